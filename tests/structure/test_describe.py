"""What a file or a module is for: the sentence that a human wrote, never a licence, never its imports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fanout_mcp.structure.describe import module_purpose, purpose, symbol_rows
from fanout_mcp.structure.graph import Module, facts, graph
from fanout_mcp.structure.outline import outline_path, outline_text

APACHE = """\
/*
 * Copyright 2024 The Authors
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 *
 *     https://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS.
 */
"""
NO_B = "no description; defines B (derived)"
FILES = [
    ("README.md", "Sells *nice* things.\n\n## Sponsors\n\nMany.\n", "Sells *nice* things."),
    ("README.md", "*Shop* sells things.\n\n# Shop\n", "Shop: *Shop* sells things."),
    ("CHANGES.md", "## Unreleased\n\n- A\n\n## 1.0\n\nAll is new.\n", "Markdown: ## Unreleased, ## 1.0"),
    ("ci.yml", "on: push\nname: 'Sells things'\njobs:\n", "Sells things"),
    (".lintignore", "# Editors\n.idea\n", "no description; text without definitions, 2 lines (derived)"),
    ("a.toml", "# https://example.com/1\n[a]\n", "TOML: a"),
    ("README.md", "# Shop\n\nSells {class}`Item`s.\n", "Shop: Sells `Item`s."),
    ("a.ini", "# Needed by b\na = 1\n", "INI: a"),
    ("a.ini", "# Sells things.\n\na = 1\n", "Sells things."),
    (
        "a.cer",
        "-----BEGIN CERTIFICATE-----\nMIID9DC\n",
        "no description; PEM without definitions, 2 lines (derived)",
    ),
    (
        "Shop.csproj",
        "<Project>\n<PropertyGroup>\n<Description>Sells.</Description>\n</PropertyGroup>\n</Project>\n",
        "Sells.",
    ),
    ("a.ts", "/**\n * @module\n * Sells things.\n */\n\nimport b from 'b'\n", "Sells things."),
    (
        "a.ts",
        "// Ref: https://example.com/a\n\nexport class Cart {}\n",
        "no description; defines Cart (derived)",
    ),
    (
        "a.ts",
        "/** `a` is experimental. */\nexport const a = () => 1\n",
        "no description; defines a (derived)",
    ),
    ("a.cs", "/// <summary>Holds List&lt;T&gt;.</summary>\npublic class A {}\n", "Holds List<T>."),
    ("A.java", "/** Holds {@link Item}s.\n @see B#c() */\nclass A {}\n", "Holds Items."),
    ("README.md", "# Shop\n\n## Releases\n\nAre there.\n", "Shop"),
    ("README.md", "# Shop\n\n## About\n\nSells things.\n", "Shop: Sells things."),
    (
        "shop.py",
        'def a():\n    """A."""\n\n\ndef b(): ...\n\n\ndef c(): ...\n',
        "no description; defines a, b, c (derived)",
    ),
    (
        "a.test.ts",
        "it('is cross-origin', () => {\n  cors({ origin: (b) => b })\n})\n",
        "no description; TypeScript without definitions, 3 lines (derived)",
    ),
    (
        "a.go",
        "package a\n\n// Logs.\nfunc With() {}\n\nfunc (b) C() {}\n\nfunc (b) D() {}\n\nfunc (b) E() {}\n",
        "no description; defines With (derived)",
    ),
    (
        "test/spec_a.rb",
        "class Cart\n  def b; end\nend\n\n# Adds one.\ndef body.close\nend\n",
        "no description; defines Cart, b (derived)",
    ),
    ("a.bin", "--AaB03x\nb: c\n", "begins: --AaB03x b: c"),
    (
        "a.h",
        "// Copyright X\n\n#ifndef A\n/* For POSIX. */\n#include <b.h>\nint c();\n",
        "no description; declares c (derived)",
    ),
    ("README.md", "# ![Shop](a.webp)\n\nSells things.\n", "Shop: Sells things."),
    ("run.sh", "#!/bin/sh\n\nset -eu\n\n# Opens the shop.\n\na=1\n", "Opens the shop."),
    ("package-info.java", "/** Sells things. */\n@NullMarked\npackage a;\n", "Sells things."),
    (
        "a_test.go",
        "package a\n\nfunc (s b) Set() {}\n\nfunc TestA() {}\n",
        "no description; defines TestA (derived)",
    ),
    ("test_a.py", 'def test_a():\n    """Fix: #1"""\n', "no description; defines test_a (derived)"),
    (
        "Cart.java",
        "package a;\n\n/* Thanks to X for this. */\n\nimport b.C;\n\n/** Holds things. */\nclass Cart {}\n",
        "Holds things.",
    ),
    ("a.py", '"""Based on the settings, chooses a theme."""\n', "Based on the settings, chooses a theme."),
    ("a.go", "// Thanks to caching, answers fast.\npackage a\n", "Thanks to caching, answers fast."),
    ("a.go", "// Derived from Basket: adds a lid.\npackage a\n", "Derived from Basket: adds a lid."),
    ("a.go", "// Based on work by Ann Lee.\n\n// Holds things.\npackage a\n", "Holds things."),
    ("a.go", "// Adapted from https://a.example/b\n\n// Holds things.\npackage a\n", "Holds things."),
    ("a.yml", "# Deploys the web app.\nname: foo\non: push\n", "Deploys the web app."),
    ("a.yml", "# Deploys.\nname: foo\ndescription: Deploys the web app.\n", "Deploys the web app."),
    ("a.yml", "# Copyright X\nname: foo\non: push\n", "foo"),
    ("a.yml", "name: Alice\nage: 3\n", "YAML: name, age"),
    ("README.md", "<!--\nNot shown.\n-->\n\n# Shop\n\nSells things.\n", "Shop: Sells things."),
    ("a.php", "<?php\n/*\n * This file is part of a.\n *\n * (c) Ann Lee\n */\nclass B {}\n", NO_B),
    ("a.rb", "# Be sure to restart when you change this.\nclass B\nend\n", NO_B),
    ("a.kt", "// All of it was taken from https://a.example\n\npackage b\n\nclass B\n", NO_B),
    (
        "tests/a.rs",
        "pub const A: u8 = 1;\n\n#[test]\nfn holds() {}\n",
        "no description; defines holds, A (derived)",
    ),
    ("a.c", "TEST_CASE(1)\nvoid b(int c) {}\n", "no description; defines b (derived)"),
    ("a.py", "class B:\n    def __init__(self): ...\n", NO_B),
    ("a.js", "/**\n * Module dependencies.\n */\n\nconst c = require('c')\nclass B {}\n", NO_B),
    ("B.swift", "//\n//  A.swift\n//  Shop\n//\n//  Created by X\n//\n\nclass B {}\n", NO_B),
    (
        "main.go",
        "package main\n\n// Hit clicks.\ntype Hit struct{}\n\nfunc (m model) Init() {}\n\nfunc main() {}\n",
        "no description; defines Hit, main (derived)",
    ),
    (
        "a.ts",
        "export class Cart {\n  constructor() {}\n  sum() {}\n}\n",
        "no description; defines Cart, sum (derived)",
    ),
    ("a.md", "Easy.\n\n## Use\n\n## Help\n", "Markdown: ## Use, ## Help"),
    ("A.java", "/** <p>Holds {@link Item the\n * items}. */\nclass A {}\n", "Holds the items."),
    (
        "__init__.py",
        "from a import B\n\ndef __getattr__(name): ...\n",
        "no description; Python without definitions, 3 lines (derived)",
    ),
    (
        "Cart.ts",
        "export const A = 1\n\nexport class Cart {\n  #sum() {}\n  add() {}\n}\n",
        "no description; defines Cart, add, A (derived)",
    ),
    (
        "README.md",
        "<h1>Shop</h1>\n\n## Contents\n\n- a\n\n## Use\n\nEasily.\n",
        "Markdown: ## Contents, ## Use",
    ),
    (
        "shop.py",
        'class A:\n    """One."""\n\n\nclass B:\n    """Other."""\n',
        "no description; defines A, B (derived)",
    ),
    (
        "a.c",
        '#include "b.h"\n\n/*\n * For counting.\n */\n\nint c() { return 1; }\n\nint d() { return 2; }\n',
        "no description; defines c, d (derived)",
    ),
    (
        "main.rs",
        "//! Run with\n//!\n//! ```not_rust\n//! cargo run\n//! ```\n\nfn main() {}\n",
        "no description; defines main (derived)",
    ),
    (
        "a.js",
        "export default function (config) {\n  request.onload = () => 1\n}\n",
        "no description; JavaScript without definitions, 3 lines (derived)",
    ),
    (
        "a.go",
        "package a\n\ntype entry struct{}\n\nfunc find() {}\n",
        "no description; defines entry, find (derived)",
    ),
    (
        "a.rs",
        "fn main() {}\n\nenum State {}\n\nimpl Default for State {\n    fn default() -> State {}\n}\n",
        "no description; defines State, main (derived)",
    ),
    (
        "Cart.java",
        "package a;\n\n/** Holds things. */\n// reimplemented from Basket\npublic class Cart {}\n",
        "Holds things.",
    ),
    (
        "CartTest.java",
        "class CartTest {\n  @Test public void holds() {}\n}\n",
        "no description; defines CartTest, holds (derived)",
    ),
    (
        "doc.md",
        "---\ntitle: Compared\ndescription: How it compares\n---\n\n## Redux\n\nIs alike.\n",
        "Compared: How it compares",
    ),
    ("a.mjs", "/* global process*/\nexport const a = 1\n", "no description; defines a (derived)"),
    (
        "lib.rs",
        "#![deny(missing_docs)]\n\n//! # shop\n//!\n//! Sells things.\n\npub mod a;\n",
        "Sells things.",
    ),
    (
        "upgrade.rs",
        "/// Is open.\npub struct Till;\n\nimpl Other {\n    /// Opens it.\n    pub fn upgrade(self) {}\n}\n",
        "Is open.",
    ),
    ("README.md", "# Shop\n\nWith NPM:\n\n```\nnpm i\n```\n\nSells things.\n", "Shop: Sells things."),
    (
        "Cart.kt",
        "package a\n\n/** Holds things. */\nclass Cart private constructor(private val a: Int)\n",
        "Holds things.",
    ),
    (
        "Cart.cs",
        '/// <summary>\n/// Holds <see cref="Item"/> things.\n/// </summary>\npublic class Cart {}\n',
        "Holds Item things.",
    ),
    (
        "Cart.cs",
        '/// <summary> Holds things. </summary> <typeparam name="T"></typeparam>\npublic class Cart<T> {}\n',
        "Holds things.",
    ),
    (
        "shop.rb",
        "module Shop\n  # Sells at night.\n\n  A = 1\nend\n",
        "no description; defines Shop, A (derived)",
    ),
    (
        "a.rb",
        "module Shop\n  class Till\n    def open; end\n  end\nend\n",
        "no description; defines Shop.Till, open (derived)",
    ),
    (
        "run.sh",
        "#!/bin/sh\nset -e\n\n# Opens the shop.\nopen_shop() {\n  :\n  :\n  :\n  :\n  :\n}\n",
        "open_shop: Opens the shop.",
    ),
    ("a.sh", "set -e\n\n# Opens.\nb() {\n  :\n}\n\nc=1\n\necho $c\n", "no description; defines b (derived)"),
    (
        "a.rs",
        "impl A for B {\n    fn c() {}\n}\n\n#[cfg(test)]\nmod tests {\n    fn holds() {}\n}\n",
        "no description; defines c (derived)",
    ),
    ("a.rs", "//! WARNING: not for you.\n\npub struct B;\n", NO_B),
    (
        "a.py",
        'class B:\n    """One."""\n\n    b = 1\n    c = 2\n    d = 3\n\n\nclass C: ...\n',
        "no description; defines B, C (derived)",
    ),
    ("till.rb", "module Shop\n  # Opens it.\n  module Till\n    def open; end\n  end\nend\n", "Opens it."),
    ("a.go", "package a\n\n// Is used so:\n//\n//\tvar c B\ntype B struct{}\n", NO_B),
    (
        "a.h",
        "class B final : public A<C> {\npublic:\n    int d();\n};\n\nclass E final : A {};\n",
        "no description; declares B, E (derived)",
    ),
    ("a.swift", "/// For more information take a look at `C`.\nclass B {}\n", NO_B),
    ("a.js", "// install b first:\n// https://a.example/\nconst c = require('c')\nclass B {}\n", NO_B),
    (
        "a.py",
        "# empty\n",
        "no description; Python without definitions, 1 line (derived)",
    ),
    (
        "a.lua",
        "--- Sells things.\n-- @module shop\nlocal format = string.format\n",
        "Sells things.",
    ),
    ("a.swift", "// MARK: - Modelling\n\nstruct Cart {}\n", "no description; defines Cart (derived)"),
    ("a.ts", "// import 'server-only';\n\nexport class Cart {}\n", "no description; defines Cart (derived)"),
    (
        "run.sh",
        "#!/bin/sh\n# Exit on error\nset -e\necho\n",
        "no description; Bash without definitions, 4 lines (derived)",
    ),
    ("index.ts", "export * from './cart'\n", "no description; passes on ./cart (derived)"),
    ("shop.dart", "export 'src/cart.dart' show Cart;\n", "no description; passes on src/cart.dart (derived)"),
    (
        "a.ex",
        "defmodule Shop.Till do\n  @moduledoc false\n  def open, do: 1\nend\n",
        "no description; defines Shop.Till, open (derived)",
    ),
    (
        "README.md",
        "---\nslug: a\ndescription: Sells many things.\n---\n\n# Shop\n",
        "Shop: Sells many things.",
    ),
    ("a.py", '"""Sells. Slowly."""\nimport os\n', "Sells."),
    ("a.py", "# Sells things.\nimport os\n", "Sells things."),
    ("cart.py", 'import os\n\nclass Cart:\n    """Holds things."""\n', "Holds things."),
    ("a.py", 'class Small:\n    """Small."""\n\ndef _own():\n    """Hidden."""\n', "Small."),
    (
        "Cart.kt",
        APACHE + "\npackage shop\n\nimport a.B\n\n/** Holds things. */\nclass Cart\n",
        "Holds things.",
    ),
    ("Cart.kt", APACHE + "\n/** All about carts. */\n\npackage shop\n\nclass Cart\n", "All about carts."),
    (
        "a.go",
        "// Copyright 2024 X. All rights reserved.\n\n// Package shop sells.\npackage shop\n",
        "Package shop sells.",
    ),
    ("run.sh", "#!/usr/bin/env bash\n# Opens the shop.\nset -e\n", "Opens the shop."),
    ("run.sh", "#     ____ __\n#  __/_ _/_ _/__/ run.sh\n#\n# Opens the shop.\nset -e\n", "Opens the shop."),
    ("run.sh", "# - $A (default: 1)\n# - $B\n\n# Opens the shop.\nset -e\n", "Opens the shop."),
    ("a.py", '"""\nHTTP codes\nSee the registry:\nhttps://example.com\n"""\n', "HTTP codes"),
    (
        "cart.py",
        'class Cart:\n    """\n    cart = Cart("a")\n    """\n',
        "no description; defines Cart (derived)",
    ),
    ("Dockerfile", 'FROM python:3\nCMD ["a"]\n', "no description; starts from python:3 (derived)"),
    (
        "Dockerfile",
        "FROM a AS build\nRUN x\nFROM b AS run\n",
        "no description; has the stages build, run (derived)",
    ),
    (
        "a.cpp",
        "namespace shop {\nint cart::sum() { return 1; }\nint details::x() { return 1; }\n}\n",
        "no description; defines members of cart (derived)",
    ),
    (
        "A.cs",
        "public class A {\n  static void Hide() { }\n  public void Sell() { }\n}\n",
        "no description; defines A, Sell (derived)",
    ),
    (
        "a.go",
        "package a\n\nfunc " + "F" * 60 + "() {}\n\nfunc " + "G" * 60 + "() {}\n",
        f"no description; defines {'F' * 60} and 1 more (derived)",
    ),
    (
        "version.rb",
        "module Shop\n  class Till\n    VERSION = '1'\n  end\nend\n",
        "no description; defines Shop.Till, VERSION (derived)",
    ),
    (
        "a.py",
        "class A:\n    def sell(self): ...\n\nclass _B:\n    def hidden(self): ...\n",
        "no description; defines A, sell (derived)",
    ),
    (
        "test_a.py",
        "class Fake: ...\n\ndef home(): ...\n\ndef test_a(): ...\n",
        "no description; defines test_a, Fake, home (derived)",
    ),
    ("run.sh", "#!/bin/sh\nset -e\necho\n", "no description; Bash without definitions, 3 lines (derived)"),
    (
        "cache.h",
        (
            "// Copyright (c) 2011 The Authors. All rights reserved.\n// Use is governed by a BSD-style "
            "license.\n//\n"
            "// A Cache maps keys to values.  It locks.\n#ifndef A\nclass Cache {};\n#endif\n"
        ),
        "A Cache maps keys to values.",
    ),
    ("A.swift", "//\n//  A.swift\n//\n//  Copyright (c) 2014 X\n//\n\n/// Asks.\nclass A {}\n", "Asks."),
    ("a.rs", "//! Carts.\nuse std::fmt;\n", "Carts."),
    ("a.ts", "/* eslint-disable */\n// @ts-nocheck\n/** Sells. */\n\nimport x from 'x'\n", "Sells."),
    (
        "a.hs",
        (
            "{-# LANGUAGE A #-}\n-- |\n-- Module : Shop\n-- License : BSD\n--\n-- Sells things.\nmodule "
            "Shop where\n"
        ),
        "Sells things.",
    ),
    ("a.ex", 'defmodule Shop do\n  @moduledoc """\n  Sells things.\n  """\nend\n', "Sells things."),
    (
        "a.sol",
        (
            "// SPDX-License-Identifier: MIT\npragma solidity 1;\n/**\n * @dev Holds, e.g. carts. More.\n "
            "*/\ncontract A {}\n"
        ),
        "Holds, e.g. carts.",
    ),
    ("a.proto", 'syntax = "proto3";\n\n// A cart.\nmessage Cart {}\n', "A cart."),
    ("a.adb", "-- Copyright X\n\n-- Sells things.\nprocedure A is\n", "Sells things."),
    ("constants.ts", "import x from 'x'\nexport const MOST = 1\n", "no description; defines MOST (derived)"),
    ("a.py", "import os\n", "no description; Python without definitions, 1 line (derived)"),
]


@pytest.mark.parametrize(("path", "text", "wanted"), FILES)
def test_a_file_s_purpose_is_what_its_author_wrote(path: str, text: str, wanted: str) -> None:
    assert purpose(outline_text(path, text)) == wanted


MODULES = [
    (
        {
            "shop.ex": 'defmodule Shop do\n  @moduledoc "Sells."\nend\n',
            "shop/till.ex": "defmodule Shop.Till do\nend\n",
        },
        "Sells.",
    ),
    (
        {
            "shop/mix.exs": (
                'defmodule A do\n  @text "Sells things."\n  def project, do: [description: @text]\nend\n'
            ),
            "shop/a.ex": "defmodule B do\nend\n",
        },
        "Sells things.",
    ),
    ({"shop/__init__.py": '"""Sells."""\n', "shop/README.md": "# Shop\n\nOther.\n"}, "Sells."),
    (
        {"shop/a.go": "package shop\n", "shop/doc.go": "// Package shop sells.\npackage shop\n"},
        "Package shop sells.",
    ),
    (
        {
            "shop/a.go": "package shop\n\nfunc Sell() {}\n",
            "shop/b.go": "package shop\n\nfunc Buy() {}\n",
            "shop/cart/a.go": "// Package cart holds.\npackage cart\n",
            "shop/README.md": "# Shop\n\nSells things.\n",
        },
        "Sells things.",
    ),
    (
        {"shop/package.json": '{ "description": "Sells things" }', "shop/index.ts": "export const a = 1\n"},
        "Sells things",
    ),
    (
        {
            "shop/Cargo.toml": '[package]\nname = "shop"\ndescription = "Sells"\n',
            "shop/src/main.rs": "fn main() {}\n",
        },
        "Sells",
    ),
    (
        {
            "shop/README.md": "# Shop\n\n[![a](b)](c)\n\nSells [things](x)\nto **all**. More.\n",
            "shop/a.py": "x = 1\n",
        },
        "Sells things to all.",
    ),
    (
        {
            "shop/__init__.py": "from .app import App\n",
            "shop/app.py": 'from . import tools\n\nclass App:\n    """The application object."""\n',
            "shop/tools.py": "def use(): ...\n",
        },
        "The application object.",
    ),
    (
        {
            "shop/a.py": "def one(): ...\n",
            "shop/b.py": "def two(): ...\n",
            "web/c.py": "from shop.a import one\n",
        },
        "no description; defines one, two in 2 files for web (derived)",
    ),
]


@pytest.mark.parametrize(("files", "wanted"), MODULES)
def test_a_module_s_purpose_is_the_nearest_sentence(files: Mapping[str, str], wanted: str) -> None:
    known = graph(outline_text(path, text) for path, text in files.items())
    paths = [
        path for path in files if path.startswith("shop/") and not path.endswith((".json", ".toml", ".md"))
    ]
    module = Module("shop", tuple(paths))
    assert module_purpose(module, known, facts(module, known, {})) == wanted


def test_overloads_are_shown_once_and_the_one_with_a_doc() -> None:
    text = "interface Cart {\n  int total();\n  /** Adds. */\n  int total(int a);\n  int total(long a);\n}\n"
    assert symbol_rows(outline_text("Cart.java", text)) == [
        "1 interface Cart",
        " 4 int total(int a) - Adds.",
    ]


def test_a_table_names_a_part_of_its_file_and_a_key_without_its_value_nothing() -> None:
    assert symbol_rows(outline_text("a.toml", 'name = "a"\n\n[tool]\nb = 1\n')) == ["3 tool"]
    assert symbol_rows(outline_text("a.yml", "name: a\njobs:\n  b: 1\n")) == []


def test_a_heading_that_comes_again_names_no_part() -> None:
    rows = symbol_rows(outline_text("a.md", "# Shop\n\n## 2.0\n\n### Fixed\n\n## 1.0\n\n### Fixed\n"))
    assert rows == ["1 # Shop", "3 ## 2.0", "7 ## 1.0"]


def test_a_title_is_cited_at_its_heading_and_not_at_a_badge_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("[![shop](https://a.example/shop)](b)\n\n# shop\n\nSells things.\n")
    assert outline_path(tmp_path, "README.md").doc_line == 3


def test_what_a_generator_defines_has_no_rows() -> None:
    assert (
        symbol_rows(outline_text("a.c", "/* A Bison parser, made by GNU Bison 3.8. */\n#define A 1\n")) == []
    )


def test_a_signature_begins_behind_the_remarks_above_it() -> None:
    text = 'class A {\n  @Suppress("B") // Still there.\n  @Test fun c() {\n  }\n}\n'
    assert symbol_rows(outline_text("A.kt", text)) == ["1 class A", " 3 fun c()"]
