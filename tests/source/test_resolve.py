"""Which file an import leads to."""

from __future__ import annotations

import pytest

from fanout_mcp.source.outline import outline_text
from fanout_mcp.source.resolve import index, targets

OTHERS = (
    "shop/__init__.py",
    "shop/cart.py",
    "shop/money.py",
    "plain/tools.py",
    "src/lib/deep.py",
    "js/b.ts",
    "go/inner/one.go",
    "rs/src/cart.rs",
    "c/a.h",
    "rb/b.rb",
    "java/shop/Cart.java",
)


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("shop/cart.py", "from shop.money import Money\n", ["shop/money.py"]),
        ("shop/cart.py", "from . import money\n", ["shop/money.py"]),
        ("web/page.py", "import plain.tools\n", ["plain/tools.py"]),
        ("web/page.py", "from lib.deep import one\n", ["src/lib/deep.py"]),
        ("web/page.py", "import decimal\n", []),
        ("js/a.ts", 'import { b } from "./b.js"\n', ["js/b.ts"]),
        ("js/a.ts", 'import x from "react"\n', []),
        ("go/main.go", 'package main\nimport "example.com/x/go/inner"\n', ["go/inner/one.go"]),
        ("rs/src/lib.rs", "use crate::cart::Cart;\n", ["rs/src/cart.rs"]),
        ("c/a.c", '#include "a.h"\n', ["c/a.h"]),
        ("rb/a.rb", "require_relative 'b'\n", ["rb/b.rb"]),
        ("Main.java", "import shop.Cart;\n", ["java/shop/Cart.java"]),
    ],
)
def test_an_import_leads_to_the_repository_s_own_file_or_nowhere(
    path: str, text: str, wanted: list[str]
) -> None:
    known = index([path, *OTHERS])
    assert targets(outline_text(path, text), known) == wanted
