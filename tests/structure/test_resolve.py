"""Which file an import leads to."""

from __future__ import annotations

import pytest

from fanout_mcp.structure.outline import outline_text
from fanout_mcp.structure.resolve import index, resolved

OTHERS = (
    "shop/__init__.py",
    "shop/cart.py",
    "shop/money.py",
    "plain/tools.py",
    "src/lib/deep.py",
    "js/b.ts",
    "go/inner/one.go",
    "rs/src/cart.rs",
    "rs/src/lib.rs",
    "c/a.h",
    "rb/b.rb",
    "rb/lib/deep/c.rb",
    "php/src/Deep/One.php",
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
        ("rs/src/money.rs", "use super::cart::Cart;\n", ["rs/src/cart.rs"]),
        ("rs/src/money.rs", "mod tests {\n    use super::Money;\n}\n", []),
        ("rs/src/money.rs", "mod tests {\n    use super::super::cart::Cart;\n}\n", ["rs/src/cart.rs"]),
        ("c/a.c", '#include "a.h"\n', ["c/a.h"]),
        ("rb/a.rb", "require_relative 'b'\n", ["rb/b.rb"]),
        ("rb/a.rb", "require 'b'\n", []),
        ("rb/a.rb", "require 'deep/c'\n", ["rb/lib/deep/c.rb"]),
        ("php/a.php", "<?php\nuse Own\\Deep\\{One, Two as Three};\n", ["php/src/Deep/One.php"]),
        ("php/a.php", "<?php\nuse Other\\Shallow\\One;\nuse One\\One;\n", []),
        ("Main.java", "import shop.Cart;\n", ["java/shop/Cart.java"]),
        ("Main.java", "import static shop.Cart.MOST;\n", ["java/shop/Cart.java"]),
    ],
)
def test_an_import_leads_to_the_repository_s_own_file_or_nowhere(
    path: str, text: str, wanted: list[str]
) -> None:
    known = index([path, *OTHERS])
    assert list(resolved(outline_text(path, text), known)[0]) == wanted


NAMED = {
    "go.mod": "example.com/own",
    "kit/package.json": "@own/kit",
    "crates/part/Cargo.toml": "own-part",
}
PARTS = (
    "root.go",
    "json/a.go",
    "kit/src/index.ts",
    "kit/src/deep/index.ts",
    "crates/part/src/lib.rs",
    "crates/part/src/deep.rs",
    "core/main.rs",
    "core/flags/mod.rs",
    "core/flags/defs.rs",
)


@pytest.mark.parametrize(
    ("path", "text", "wanted", "other"),
    [
        ("x/a.go", 'package x\nimport "example.com/own"\n', ["root.go"], []),
        ("x/a.go", 'package x\nimport "example.com/own/json"\n', ["json/a.go"], []),
        ("x/a.go", 'package x\nimport "encoding/json"\n', [], ["encoding/json"]),
        ("x/a.ts", 'import "@own/kit"\n', ["kit/src/index.ts"], []),
        ("x/a.ts", 'import "@own/kit/deep"\n', ["kit/src/deep/index.ts"], []),
        ("x/a.ts", 'import "@own/other"\n', [], ["@own/other"]),
        ("core/args.rs", "use own_part::Thing;\n", ["crates/part/src/lib.rs"], []),
        ("core/args.rs", "use own_part::{deep::{One, Two}};\n", ["crates/part/src/deep.rs"], []),
        ("core/args.rs", "use crate::{flags::{defs::A}, C};\n", ["core/flags/defs.rs", "core/main.rs"], []),
        ("core/flags/defs.rs", "use super::B;\n", ["core/flags/mod.rs"], []),
        ("core/args.rs", "use deep::One;\n", [], ["deep::One"]),
    ],
)  # fmt: skip
def test_what_manifests_name_is_known_in_the_whole_repository(
    path: str, text: str, wanted: list[str], other: list[str]
) -> None:
    known = index([path, *PARTS], NAMED)
    edges, rest = resolved(outline_text(path, text), known)
    assert (list(edges), rest) == (wanted, other)


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("go.mod", "// own\nmodule example.com/own\n\ngo 1.22\n", ("example.com/own", 2)),
        ("package.json", '{\n  "private": true,\n  "name": "@own/kit"\n}\n', ("@own/kit", 3)),
        ("Cargo.toml", '[package]\nname = "own-part"\n[lib]\nname = "other"\n', ("own-part", 2)),
        ("Cargo.toml", '[workspace]\nmembers = []\n[lib]\nname = "other"\n', None),
        ("other.json", '{"name": "kit"}\n', None),
    ],
)
def test_a_manifest_tells_the_name_of_its_package(
    path: str, text: str, wanted: tuple[str, int] | None
) -> None:
    found = [(one.name, one.line) for one in outline_text(path, text).symbols if one.kind == "package"]
    assert found == ([wanted] if wanted else [])
