"""Facts of a repository: who uses what, what loads in a circle, where programs start, what is installed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from fanout_mcp.structure.graph import Graph, Module, facts, graph, mapped
from fanout_mcp.structure.outline import outline_text

Files = Mapping[str, str]


def known(files: Files) -> Graph:
    return graph(outline_text(path, text) for path, text in files.items())


GO = {
    "go.mod": "module example.com/shop\n",
    "config/ai.go": "package config\n\nfunc Ask() {}\n",
    "config/load.go": "package config\n\nfunc Load() {}\n",
    "main.go": (
        'package main\n\nimport (\n\t"fmt"\n\tconf "example.com/shop/config"\n'
        '\t"github.com/spf13/cobra"\n)\n\n'
        "func main() { conf.Load(); fmt.Println(cobra.Command{}) } // conf.Ask\n"
    ),
}
KOTLIN = {
    "core/Cart.kt": "package shop.core\n\nclass Cart\n\nfun total() = 1\n",
    "core/Till.kt": "package shop.core\n\nclass Till\n",
    "app/Main.kt": "package shop.app\n\nimport shop.core.total\nimport shop.core.*\n\nval a = Till()\n",
}
TYPESCRIPT = {
    "tsconfig.json": '{ // own\n  "compilerOptions": { "baseUrl": ".", "paths": { "@/*": ["src/*"], } }\n}\n',
    "package.json": '{ "workspaces": ["packages/*"] }\n',
    "packages/kit/package.json": (
        '{ "name": "@own/kit", "exports": { ".": { "types": "./dist/a.d.ts", "import": "./dist/a.js" },'
        ' "./deep/*": "./dist/deep/*.js" } }\n'
    ),
    "packages/kit/src/a.ts": "export const a = 1\n",
    "packages/kit/src/deep/one.ts": "export const one = 1\n",
    "src/money.ts": "export const money = 1\n",
    "src/cart.ts": (
        'import { money } from "@/money"\nimport { a } from "@own/kit"\n'
        'import { one } from "@own/kit/deep/one"\n'
        'import fs from "node:fs"\nimport React from "react"\n'
    ),
}
PYTHON = {
    "src/pkg/__init__.py": "",
    "src/pkg/helpers.py": "a = 1\n",
    "src/pkg/main.py": "from .helpers import a\n",
    "src/pkg/sub/x.py": "from ..helpers import a\n",
    "src/pkg/sub/y.py": "from ..helpers import a\nfrom . import x\n",
}
KOTLIN_SCRIPT = {
    "build/src/main/kotlin/jvm.kt": "val isNew = true\n",
    "core/Cart.kt": "package shop\n\nimport kotlin.jvm.JvmName\n\nclass Cart\n",
}
SWIFT = {
    "Sources/Shop/List.swift": "public struct List {}\n",
    "Sources/Page/Rows.swift": "struct Rows { let a: List }\n",
    "Sources/Till/Till.swift": "import Shop\n\nstruct Till { let a: List }\n",
}
ZIG = {
    "build.zig.zon": ".{ .name = .clap }\n",
    "clap.zig": "pub const a = 1;\n",
    "example/a.zig": 'const clap = @import("clap");\n',
}
EDGES = [
    (KOTLIN_SCRIPT, "core/Cart.kt", []),
    (SWIFT, "Sources/Page/Rows.swift", []),
    (SWIFT, "Sources/Till/Till.swift", ["Sources/Shop/List.swift"]),
    (ZIG, "example/a.zig", ["clap.zig"]),
    (GO, "main.go", ["config/load.go"]),
    (KOTLIN, "app/Main.kt", ["core/Cart.kt", "core/Till.kt"]),
    (TYPESCRIPT, "src/cart.ts", ["packages/kit/src/a.ts", "packages/kit/src/deep/one.ts", "src/money.ts"]),
    (PYTHON, "src/pkg/sub/y.py", ["src/pkg/helpers.py", "src/pkg/sub/x.py"]),
    (
        {
            "A.cs": "namespace Shop.Core { public class Cart { } }\n",
            "B.cs": "namespace Shop.Core { public class Till { } }\n",
            "C.cs": "using Shop.Core;\nnamespace Web { class Page { Cart cart; } }\n",
        },
        "C.cs",
        ["A.cs"],
    ),
    (
        {
            "Cart.cs": "namespace Shop { public partial class Cart { } }\n",
            "Cart.Total.cs": "namespace Shop { public partial class Cart { } }\n",
            "Page.cs": "using Shop;\nnamespace Web { class Page { Cart cart; } }\n",
        },
        "Page.cs",
        ["Cart.cs"],
    ),
    (
        {
            "composer.json": '{ "autoload": { "psr-4": { "Shop\\\\": "lib/" } } }\n',
            "lib/Core/Cart.php": "<?php\nnamespace Shop\\Core;\nclass Cart {}\n",
            "web/page.php": "<?php\nuse Shop\\Core\\Cart;\n",
        },
        "web/page.php",
        ["lib/Core/Cart.php"],
    ),
    (
        {
            "Sources/Core/Cart.swift": "public struct Cart {}\n",
            "Sources/Core/Till.swift": "public struct Till {}\n",
            "Sources/App/Main.swift": "import Core\n\nlet cart = Cart()\n",
        },
        "Sources/App/Main.swift",
        ["Sources/Core/Cart.swift"],
    ),
    (
        {"lua/shop/money.lua": "return {}\n", "lua/shop/cart.lua": 'local m = require("shop.money")\n'},
        "lua/shop/cart.lua",
        ["lua/shop/money.lua"],
    ),
    (
        {
            "pubspec.yaml": "name: shop\n",
            "lib/money.dart": "int a = 1;\n",
            "lib/cart.dart": "import 'package:shop/money.dart';\nimport 'dart:io';\n",
        },
        "lib/cart.dart",
        ["lib/money.dart"],
    ),
    (
        {
            "lib/money.ex": "defmodule Shop.Money do\nend\n",
            "lib/cart.ex": "defmodule Shop.Cart do\n  alias Shop.Money\nend\n",
        },
        "lib/cart.ex",
        ["lib/money.ex"],
    ),
    (
        {
            "src/Shop/Money.hs": "module Shop.Money where\n",
            "app/Main.hs": "module Main where\nimport Shop.Money\n",
        },
        "app/Main.hs",
        ["src/Shop/Money.hs"],
    ),
    (
        {"main.tf": 'module "a" {\n  source = "./modules/a"\n}\n', "modules/a/main.tf": "locals {}\n"},
        "main.tf",
        ["modules/a/main.tf"],
    ),
    (
        {"token/Base.sol": "contract Base {}\n", "token/Cart.sol": 'import {Base} from "./Base.sol";\n'},
        "token/Cart.sol",
        ["token/Base.sol"],
    ),
    (
        {"src/money.zig": "pub const a = 1;\n", "src/main.zig": 'const m = @import("money.zig");\n'},
        "src/main.zig",
        ["src/money.zig"],
    ),
]


@pytest.mark.parametrize(("files", "path", "wanted"), EDGES, ids=[path for _, path, _ in EDGES])
def test_an_import_leads_where_the_language_leads_it(files: Files, path: str, wanted: list[str]) -> None:
    assert sorted(known(files).imports.get(path, [])) == wanted


def test_a_package_of_go_is_used_through_the_files_that_define_what_is_used() -> None:
    found = known(GO)
    assert found.imported_by == {"config/load.go": ["main.go"]}
    own = facts(Module(".", ("main.go",)), found, {})
    assert (own.external, own.standard) == (("github.com/spf13/cobra",), ("fmt",))


def test_relative_imports_need_no_init_file() -> None:
    users = known(PYTHON).imported_by["src/pkg/helpers.py"]
    assert sorted(users) == ["src/pkg/main.py", "src/pkg/sub/x.py", "src/pkg/sub/y.py"]


CYCLES = [
    ({"a.ts": "export { type B } from './b'\n", "b.ts": "import { a } from './a'\nexport const b = a\n"}, []),
    ({"a.ts": "export type { B } from './b'\n", "b.ts": "import { a } from './a'\nexport const b = a\n"}, []),
    (
        {"lib/a.rb": "require 'b'\n", "lib/b.rb": "def go\n  require 'a'\nend\n"},
        [],
    ),
    (
        {"a.lua": "local b = require 'b'\n", "b.lua": "local function f()\n  return require 'a'\nend\n"},
        [],
    ),
    ({"a.py": "import b\n", "b.py": "import a\n"}, [["a.py", "b.py"]]),
    (
        {
            "a.py": "import b\n",
            "b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n",
        },
        [],
    ),
    ({"a.py": "import b\n", "b.py": "def late():\n    import a\n"}, []),
    (
        {
            "a.py": "import b\n",
            "b.py": "import typing\nif typing.TYPE_CHECKING:\n    x = 1\nelse:\n    import a\n",
        },
        [["a.py", "b.py"]],
    ),
    ({"a.ts": "import { b } from './b'\n", "b.ts": "import type { A } from './a'\nexport const b = 1\n"}, []),
    (
        {
            "a.ts": "import { B } from './b'\nconst a = 1\n",
            "b.ts": "import { A } from './a'\nexport interface B {}\n",
        },
        [],
    ),
    (
        {"src/a.rs": "use crate::b::B;\n", "src/b.rs": "use crate::a::A;\n", "src/lib.rs": "mod a; mod b;\n"},
        [],
    ),
]


@pytest.mark.parametrize(("files", "wanted"), CYCLES)
def test_a_cycle_counts_when_loading_runs_into_it(files: Files, wanted: list[list[str]]) -> None:
    assert known(files).cycles == wanted


def test_entry_points_come_from_manifests_first() -> None:
    files = {
        "pyproject.toml": '[project]\nname = "shop"\n[project.scripts]\nshop = "shop.cli:run"\n',
        "src/shop/__init__.py": "",
        "src/shop/cli.py": "import sys\n\ndef run():\n    pass\n",
        "package.json": '{ "bin": { "till": "./bin/till.js" } }\n',
        "bin/till.js": "console.log(1)\n",
        "cmd/shop/main.go": "package main\n\nfunc main() {}\n",
    }
    found = known(files)
    own = facts(Module(".", tuple(files)), found, {})
    assert own.entry_points == ("src/shop/cli.py:3 (shop)", "bin/till.js:1 (till)", "cmd/shop/main.go:3")


def test_every_file_is_in_a_module_or_in_a_line_of_the_map() -> None:
    files = {f"pkg{n}/src/a.py": '"""One."""\nx = 1\n' for n in range(14)}
    files |= {
        "legacy/one.adb": "procedure One is\n",
        "docs/guide.md": "# Guide\n",
        "tests/test_a.py": "x = 1\n",
    }
    files |= {"vendor/x.go": "package x\n", "assets/a.css": "a {}\n", "api.pb.go": "package api\n"}
    divided = mapped(known(files), ["yarn.lock"])
    inside = {path for module in divided.modules for path in module.paths}
    assert "legacy/one.adb" in inside
    assert divided.folded == [
        "docs: docs (1 file: 1 .md)",
        "generated: . (2 files: 1 .go, 1 .lock)",
        "other files: assets (1 file: 1 .css)",
        "test: tests (1 file: 1 .py)",
        "vendored: vendor (1 file: 1 .go)",
    ]


def test_a_monorepo_is_mapped_by_its_packages() -> None:
    files = {}
    for n in range(20):
        files[f"packages/p{n:02}/package.json"] = f'{{ "name": "p{n:02}", "description": "Number {n}." }}'
        files[f"packages/p{n:02}/src/deep/a.ts"] = "export const a = 1\n"
        files[f"playground/g{n:02}/package.json"] = "{}"
        files[f"playground/g{n:02}/a.ts"] = "const a = 1\n"
    divided = mapped(known(files))
    assert [module.name for module in divided.modules] == [f"packages/p{n:02}" for n in range(20)]
    assert "example: playground (40 files: 20 .json, 20 .ts)" in divided.folded


TESTED = [
    ({"cart.py": "", "tests/test_cart.py": "a = 1\n"}, "cart.py", ["tests/test_cart.py"]),
    ({"build.gradle.kts": "val a = 1\n", "app-test/build.gradle.kts": "val a = 1\n"}, "build.gradle.kts", []),
    (
        {
            "a/types.ts": "export const a = 1\n",
            "b/types.ts": "export const b = 1\n",
            "b/types.test.ts": "f()\n",
        },
        "a",
        [],
    ),
    ({"cart.py": "", "tests/cart": "things\n"}, "cart.py", []),
    (
        {"src/-Reader.kt": "class Reader\n", "test/ReaderTest.kt": "class ReaderTest\n"},
        "src/-Reader.kt",
        ["test/ReaderTest.kt"],
    ),
    (
        {
            "net.c": "int f(void) { return 1; }\n",
            "net.h": "int f(void);\n",
            "tests/all.c": '#include "../net.h"\n',
        },
        "net.c",
        ["tests/all.c"],
    ),
    (
        {"shop/a.py": "", "shop/a.pyi": "", "tests/test_all.py": "from shop.a import f\n"},
        "shop/a.pyi",
        ["tests/test_all.py"],
    ),
]


@pytest.mark.parametrize(
    ("files", "module", "wanted"),
    TESTED,
    ids=[
        "named after it",
        "a build file's name",
        "a name that two have",
        "no code",
        "a name hidden from callers",
        "a header",
        "a stub",
    ],
)
def test_a_test_is_a_module_s_that_uses_it_or_is_named_after_it_alone(
    files: Files, module: str, wanted: list[str]
) -> None:
    whole = known({path: text or "def f(): ...\n" for path, text in files.items()})
    paths = tuple(path for path in whole.outlines if path == module or path.startswith(f"{module}/"))
    assert list(facts(Module(module, paths), whole, {}).tests) == wanted
