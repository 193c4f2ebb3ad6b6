"""Outlines: what a file defines, in every language, with its lines; what only looks like a definition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fanout_mcp.structure.languages import LANGUAGES, language_of, rewritten
from fanout_mcp.structure.outline import Outline, as_json, from_json, outline_path, outline_text

PYTHON = '''\
"""Carts. They hold things."""
import decimal
from shop.money import Money

@dataclass
class Cart(Base):
    """What a customer takes."""

    def total(self, rate: float = 0.2) -> Money:
        def add(one): ...

async def fetch(url: str): ...

if __name__ == "__main__":
    fetch("x")
'''
JAVASCRIPT = """\
// Carts.
const money = require('./money')
import { stock } from './stock.js'
class Cart extends Base {
  #secret() {}
  get total() { return 1 }
  later = () => 2
}
exports.open = function (id) { return id }
Cart.prototype.close = function close() {}
const sum = (a, b) => a + b
function* walk() {}
export const api = { list() {}, drop: () => 0 };
[1].map(function (x) { return x })
"""
TYPESCRIPT = """\
import type { Money } from "./money";
export interface Line { price(): Money; count: number }
export type Id = string | number;
export enum Size { S, L }
export abstract class Cart<T> { abstract total(): Money; private drop(id: Id): void {} }
namespace Shop { export function open(): void {} }
export const LIMIT: number = 3;
declare function later(x: number): string;
"""
TSX = """\
import React from "react";
export const Button = (props: Props) => <button>{props.label}</button>;
export function Page(): JSX.Element { return <Button label="x" />; }
"""
GO = """\
// Package shop sells.
package shop

import "fmt"

// Cart holds.
type Cart struct{ lines []Line }

func (c *Cart) Total() int { return 0 }

type Seller interface {
	Sell(id int) error
}

const Most, least = 9, 1

var (
	Open  bool
	count int
)

func main() {
	const Inner = 1
}
"""
RUST = """\
//! Carts.
use std::fmt::Debug;

pub const MOST: usize = 9;

/// Holds things.
pub struct Cart<'a> { lines: &'a str }

impl<'a> Cart<'a> {
    pub fn total(&self) -> u32 { 0 }
}

trait Sell { fn sell(&self); }
enum Size { S, L }
macro_rules! cart { () => {}; }
mod inner { pub(crate) fn open() {} }
type Id = u32;
"""
JAVA = """\
package shop;
import java.util.List;
/** Holds. */
public class Cart extends Base {
    public Cart(int id) { }
    private int count() { return 0; }
    interface Line { int price(); }
    enum Size { S, L }
}
record Point(int x, int y) { }
"""
C = """\
#include <stdio.h>
#include "shop.h"
struct cart { int lines; };
typedef struct { int x; } point;
enum size { S, L };
static int count(const struct cart *c) { return 0; }
int *total(void) { return 0; }
#define TWICE(x) ((x) * 2)
"""
CPP = """\
#include <vector>
namespace shop {
template <typename T> class Cart {
 public:
  Cart();
  int total() const { return 0; }
};
enum class Size { S, L };
}
int shop::open(int id) { return id; }
"""
C_SHARP = """\
using System.Linq;
namespace Shop {
    public interface ILine { int Price(); }
    public class Cart : Base {
        public Cart(int id) { }
        private int Count() { return 0; }
        public int Total { get; set; }
    }
    public enum Size { S, L }
    public record Point(int X, int Y);
}
"""
RUBY = """\
# Carts.
require 'money'
module Shop
  class Cart < Base
    def total(rate = 0.2)
    end
    def self.open(id)
    end
  end
end
"""
PHP = """\
<?php
namespace Shop;
use Shop\\Money;
interface Line { public function price(): int; }
trait Sells { function sell() {} }
abstract class Cart extends Base {
    public function total(float $rate = 0.2): int { return 0; }
}
enum Size { case S; }
function open(int $id) {}
"""
BASH = """\
#!/bin/bash
# Opens the shop.
source ./money.sh
open_shop() {
  echo open
}
function close_shop { echo closed; }
"""
KOTLIN = """\
package shop.cart

import shop.money.Money as Coin

/** Holds things. */
@Serializable
data class Cart(val id: Int) : Base(), Line {
    private val size: Int = 3

    override fun total(rate: Double): Money = 1

    companion object {
        const val MOST = 9
    }
}

fun interface Runner {
    fun run()
}

interface Line {
    fun price(): Int
}

enum class Size { S, L }

object Shop

typealias Id = Int

fun String.open(id: Int) {
    fun inner() {}
}

const val LIMIT = 3
"""
SWIFT = """\
import Foundation

/// Holds things.
public final class Cart: Base {
    public let id: Int = 1
    init(a: Int) {}
    func total(rate: Double) -> Int { return 0 }
}

struct Point {
    var x: Int { 1 }
}

enum Size { case s, l }

protocol Line {
    func price() -> Int
}

extension Cart: Line {
    static func make() {}
}

actor Till {}

typealias Id = Int

func open(_ id: Int) {
    let inside = 1
}

let limit = 3
"""
SCALA = """\
package shop.cart

import shop.money.{Money, Other => O}

/** Holds things. */
case class Cart(id: Int) extends Base {
  def total(r: Double): Int = 0
  val x = 1
}

object Cart {
  def apply(): Cart = ???
}

trait Line {
  def price: Int
}

def open(id: Int) = {
  def inner = 1
}
"""
DART = """\
import 'package:shop/money.dart';

/// Holds things.
abstract class Cart<T> extends Base {
  final int id;
  Cart(this.id);
  Cart.named() : id = 1;
  int total({double rate = 1}) {
    void inner() {}
    return 0;
  }

  int get size => 1;
  static const most = 9;
}

mixin Sells {}

extension Loud on String {
  void shout() {}
}

enum Size { s, l }

typedef Id = int;

int open(int id) => 1;

const limit = 3;
"""
LUA = """\
local money = require("shop.money")
local M = {}

--- Adds.
function M.total(a)
  return 1
end

function M:size() end

local function inner() end

M.open = function(id) end

return M
"""
ELIXIR = '''\
defmodule Shop.Cart do
  @moduledoc """
  Holds things.
  """
  alias Shop.{Money, Other}

  @doc "Adds."
  def total(a, b) when a > 1 do
    1
  end

  def total(a, _), do: a

  defp inner, do: 1

  defmacro mac(x) do
    x
  end

  @callback price(a) :: b
  @type t :: integer
end

defprotocol Shop.Line do
  def price(a)
end
'''
HASKELL = """\
module Shop.Cart (Cart(..), total) where

import qualified Shop.Money as M

-- | A cart.
data Cart = Cart { count :: Int } | Empty

newtype Id = Id Int

class Line a where
  price :: a -> Int

instance Line Cart where
  price _ = 1

-- | Adds.
total :: Cart -> Int
total Empty = 0
total c = inner c
  where
    inner = count

other x = 1
"""
ZIG = """\
//! Carts.
const std = @import("std");

/// Holds things.
pub const Cart = struct {
    id: u8,

    pub fn total(self: Cart) u8 {
        return 0;
    }
};

pub fn open(id: u8) !void {}

const limit = 3;
pub const Size = enum { s, l };
"""
TERRAFORM = """\
variable "range" {
  description = "The range."
}

resource "aws_vpc" "this" {
  cidr = var.range
}

module "cart" {
  source = "./modules/cart"
}

output "id" {
  value = 1
}
"""
SOLIDITY = """\
pragma solidity ^0.8.0;

import {Base} from "./Base.sol";

/// @notice Holds things.
contract Cart is Base {
    uint public constant MOST = 9;
    event Sold(uint id);
    error Empty();
    struct Line { uint x; }
    constructor() {}
    modifier open() { _; }
    function total(uint a) public view returns (uint) { return 0; }
}

interface Priced {
    function price() external;
}
"""

TABLE = [
    ("a.py", PYTHON, "6 class Cart, 9 method Cart.total, 10 function Cart.total.add, 12 function fetch"),
    (
        "a.js",
        JAVASCRIPT,
        (
            "4 class Cart, 5 method Cart.#secret, 6 method Cart.total, 7 method Cart.later, "
            "9 function exports.open, 10 function Cart.prototype.close, 11 function sum, 12 function walk, "
            "13 constant api, 13 method api.list, 13 method api.drop"
        ),
    ),
    (
        "a.ts",
        TYPESCRIPT,
        (
            "2 interface Line, 2 method Line.price, 3 type Id, 4 enum Size, 5 class Cart, "
            "5 method Cart.total, 5 method Cart.drop, 6 namespace Shop, 6 function Shop.open, "
            "7 constant LIMIT, 8 function later"
        ),
    ),
    ("a.tsx", TSX, "2 function Button, 3 function Page"),
    (
        "a.go",
        GO,
        (
            "7 type Cart, 9 method Total, 11 type Seller, 12 method Seller.Sell, 15 constant Most, "
            "15 constant least, 18 constant Open, 19 constant count, 22 function main"
        ),
    ),
    (
        "a.rs",
        RUST,
        (
            "4 constant MOST, 7 struct Cart, 9 impl Cart<'a>, 10 method Cart<'a>.total, 13 trait Sell, "
            "13 method Sell.sell, 14 enum Size, 15 macro cart, "
            "16 module inner, 16 method inner.open, 17 type Id"
        ),
    ),
    (
        "A.java",
        JAVA,
        (
            "4 class Cart, 5 constructor Cart.Cart, 6 method Cart.count, 7 interface Cart.Line, "
            "7 method Cart.Line.price, 8 enum Cart.Size, 10 record Point"
        ),
    ),
    ("a.c", C, "3 struct cart, 4 type point, 5 enum size, 6 function count, 7 function total, 8 macro TWICE"),
    (
        "a.cc",
        CPP,
        (
            "2 namespace shop, 3 class shop.Cart, 5 method shop.Cart.Cart, 6 method shop.Cart.total, "
            "8 enum shop.Size, 10 function shop::open"
        ),
    ),
    (
        "a.cs",
        C_SHARP,
        (
            "2 namespace Shop, 3 interface Shop.ILine, 3 method Shop.ILine.Price, 4 class Shop.Cart, "
            "5 constructor Shop.Cart.Cart, 6 method Shop.Cart.Count, 7 property Shop.Cart.Total, "
            "9 enum Shop.Size, 10 record Shop.Point"
        ),
    ),
    ("a.rb", RUBY, "3 module Shop, 4 class Shop.Cart, 5 method Shop.Cart.total, 7 method Shop.Cart.open"),
    (
        "a.php",
        PHP,
        (
            "4 interface Line, 4 method Line.price, 5 trait Sells, 5 method Sells.sell, 6 class Cart, "
            "7 method Cart.total, 9 enum Size, 10 function open"
        ),
    ),
    ("a.sh", BASH, "4 function open_shop, 7 function close_shop"),
    (
        "a.kt",
        KOTLIN,
        (
            "7 class Cart, 8 property Cart.size, 10 method Cart.total, 13 property Cart.MOST, "
            "17 interface Runner, 18 method Runner.run, 21 interface Line, 22 method Line.price, "
            "25 class Size, 27 object Shop, 29 type Id, 31 function open, 32 function open.inner, "
            "35 constant LIMIT"
        ),
    ),
    (
        "a.swift",
        SWIFT,
        (
            "4 class Cart, 5 property Cart.id, 6 constructor Cart.init, 7 method Cart.total, "
            "10 struct Point, 11 property Point.x, 14 enum Size, 16 protocol Line, "
            "17 method Line.price, 20 impl Cart, 21 method Cart.make, 24 class Till, 26 type Id, "
            "28 function open, 32 constant limit"
        ),
    ),
    (
        "a.scala",
        SCALA,
        (
            "6 class Cart, 7 method Cart.total, 8 property Cart.x, 11 object Cart, "
            "12 method Cart.apply, 15 trait Line, 16 method Line.price, 19 function open, "
            "20 function open.inner"
        ),
    ),
    (
        "a.dart",
        DART,
        (
            "4 class Cart, 6 constructor Cart.Cart, 7 constructor Cart.Cart.named, "
            "8 method Cart.total, 9 function Cart.total.inner, 13 property Cart.size, "
            "14 constant Cart.most, 17 class Sells, 19 impl Loud, 20 method Loud.shout, "
            "23 enum Size, 25 type Id, 27 function open, 29 constant limit"
        ),
    ),
    (
        "a.lua",
        LUA,
        ("5 function M.total, 9 function M:size, 11 function inner, 13 function M.open"),
    ),
    (
        "a.ex",
        ELIXIR,
        (
            "1 module Shop.Cart, 8 function Shop.Cart.total, 14 function Shop.Cart.inner, "
            "16 macro Shop.Cart.mac, 20 callback Shop.Cart.price, 21 type Shop.Cart.t, "
            "24 module Shop.Line, 25 function Shop.Line.price"
        ),
    ),
    (
        "a.hs",
        HASKELL,
        (
            "6 type Cart, 8 type Id, 10 class Line, 11 method Line.price, 13 impl Line, "
            "17 function total, 23 function other"
        ),
    ),
    (
        "a.zig",
        ZIG,
        ("5 struct Cart, 8 method Cart.total, 13 function open, 15 constant limit, 16 enum Size"),
    ),
    (
        "a.tf",
        TERRAFORM,
        ("1 variable range, 5 resource aws_vpc.this, 9 module cart, 13 output id"),
    ),
    (
        "a.sol",
        SOLIDITY,
        (
            "6 class Cart, 7 property Cart.MOST, 8 event Cart.Sold, 9 error Cart.Empty, "
            "10 struct Cart.Line, 11 constructor Cart.constructor, 12 modifier Cart.open, "
            "13 method Cart.total, 16 interface Priced, 17 method Priced.price"
        ),
    ),
]


def told(outline: Outline) -> str:
    return ", ".join(
        f"{one.line} {one.kind} {'.'.join(filter(None, (one.parent, one.name)))}" for one in outline.symbols
    )


@pytest.mark.parametrize(("path", "text", "wanted"), TABLE, ids=[row[0] for row in TABLE])
def test_every_definition_is_found_with_its_line_kind_and_holder(path: str, text: str, wanted: str) -> None:
    outline = outline_text(path, text)
    assert told(outline) == wanted
    assert not any("syntax" in note for note in outline.notes)


def test_every_language_is_in_the_table() -> None:
    assert {language_of(path) for path, _, _ in TABLE} == set(LANGUAGES)


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("a.py", PYTHON, ("decimal", "shop.money.Money")),
        ("a.js", JAVASCRIPT, ("./money", "./stock.js")),
        ("a.go", GO, ("fmt",)),
        ("a.rs", RUST, ("std::fmt::Debug",)),
        ("A.java", JAVA, ("java.util.List",)),
        ("a.c", C, ("stdio.h", "shop.h")),
        ("a.cs", C_SHARP, ("System.Linq",)),
        ("a.rb", RUBY, ("money",)),
        ("a.php", PHP, ("Shop\\Money",)),
        ("a.sh", BASH, ("./money.sh",)),
        ("a.kt", KOTLIN, ("shop.money.Money",)),
        ("a.swift", SWIFT, ("Foundation",)),
        ("a.scala", SCALA, ("shop.money.Money", "shop.money.Other")),
        ("a.dart", DART, ("package:shop/money.dart",)),
        ("a.lua", LUA, ("shop.money",)),
        ("a.ex", ELIXIR, ("Shop.Money", "Shop.Other")),
        ("a.hs", HASKELL, ("Shop.Money",)),
        ("a.zig", ZIG, ("std",)),
        ("a.tf", TERRAFORM, ("./modules/cart",)),
        ("a.sol", SOLIDITY, ("./Base.sol",)),
    ],
)
def test_imports_are_names_without_quotes_and_keywords(path: str, text: str, wanted: tuple[str, ...]) -> None:
    assert outline_text(path, text).imports == wanted


def test_what_python_keeps_private_or_inside_a_function_is_told_apart() -> None:
    outline = outline_text("a.py", PYTHON + "class _Own:\n    def shown(self): ...\n")
    public = [one.name for one in outline.symbols if one.public and not one.in_function]
    assert public == ["Cart", "total", "fetch", "shown"]
    assert [one.name for one in outline.symbols if one.in_function] == ["add"]


@pytest.mark.parametrize("path", ["a.py", "a.ts"])
def test_a_parameter_called_private_hides_nothing(path: str) -> None:
    text = {
        "a.py": "def add(self, private=False): ...\n",
        "a.ts": "export function add(private_: boolean, private: boolean): void {}\n",
    }[path]
    assert outline_text(path, text).symbols[0].public


def test_go_names_what_it_exports_by_their_first_letter() -> None:
    public = [one.name for one in outline_text("a.go", GO).symbols if one.public]
    assert public == ["Cart", "Total", "Seller", "Sell", "Most", "Open"]


@pytest.mark.parametrize("path", ["a.js", "a.ts"])
def test_functions_under_the_keys_of_an_assigned_object_are_named(path: str) -> None:
    outline = outline_text(path, "exports.api = { list() {}, drop: () => 0, most: 9 }\n")
    assert told(outline) == "1 export api, 1 method api.list, 1 method api.drop"


def test_two_names_of_one_statement_stand_beside_each_other() -> None:
    assert told(outline_text("a.go", "package a\n\nvar A, B int\n")) == "3 constant A, 3 constant B"


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("a.js", "export { a, b as c } from './a'\n", "1 export a, 1 export c"),
        ("a.js", "export * as all from './a'\n", "1 export all"),
        ("a.js", "const a = 1\nexport { a, a as b }\n", "1 constant a, 2 export b"),
        ("a.js", "export var a = 1, b = 2\n", "1 constant a, 1 constant b"),
        ("a.js", "export const { a, b: c } = d\n", "1 constant a, 1 constant c"),
        ("a.js", "export default () => 1\n", "1 function default"),
        ("a.js", "export default class {}\n", "1 class default"),
        ("a.js", "export default make(a)\n", "1 constant default"),
        ("a.js", "const a = make(b)\nexport default a\n", "1 constant a"),
        ("a.js", "const a = 1\nexport function b() {}\n", "1 variable a, 2 function b"),
        ("a.js", "const a = require('a')\nexports.b = a.b\n", "2 export b"),
        ("a.js", "exports.a = exports.b = function () {}\n", "1 function exports.a, 1 function exports.b"),
        ("a.js", "const a = () => 1\nmodule.exports = { a }\n", "1 function a"),
        ("a.js", "on('x', { close() {}, open: () => 1 })\n", "1 method close, 1 method open"),
        ("a.ts", "export declare const A: unique symbol\n", "1 constant A"),
        ("a.ts", "declare global { interface A {} }\n", "1 namespace global, 1 interface global.A"),
        ("a.ts", "const a = (() => 1) as B\n", "1 function a"),
        ("a.go", "package a\n\nfunc a() { b := func() {} }\n", "3 function a, 3 function a.b"),
        ("a.go", "package a\n\nvar _ A = b\nvar c, d = 1, 2\n", "4 constant c, 4 constant d"),
        ("a.rs", "trait A { type B; }\n", "1 trait A, 1 type A.B"),
        ("a.rs", "lazy! { pub static ref A: u8 = 1; pub fn b() {} }\n", "1 constant A, 1 function b"),
        ("a.rs", "impl<T>\n    A for B<T> {}\n", "1 impl B<T>"),
        ("a.rs", "make! {\n    pub fn\n    $name() {}\n    fn b() {}\n}\n", "3 function name, 4 function b"),
        ("A.java", "class A {\n  @Override\n  public int b() { return 1; }\n}\n", "1 class A, 3 method A.b"),
        ("a.cs", "[Old]\nclass A { const int B = 1; ~A() {} }\n", "2 class A, 2 constant A.B, 2 method A.A"),
        ("a.c", "static int\na(void) { return 1; }\n", "2 function a"),
        ("a.c", "typedef int (*call)(int);\n#define MOST 9\n#define ON\n", "1 type call, 2 constant MOST"),
        ("a.rb", "A = 1\nattr_reader :b\nalias d e\n", "1 constant A, 2 attribute b, 3 method d"),
        ("a.php", "<?php\nclass A { const B = 1; }\n", "2 class A, 2 constant A.B"),
        ("a.py", "MOST = 9\nleast = 1\ntype Id = int\n", "1 constant MOST, 3 type Id"),
    ],
)  # fmt: skip
def test_a_definition_may_be_written_in_many_ways(path: str, text: str, wanted: str) -> None:
    assert told(outline_text(path, text)) == wanted


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("a.ts", "export type * from './a'\nexport const b = 1\n", "1 export ./a, 2 constant b"),
        (
            "a.ts",
            "interface A {\n  b(): void\n  <T>(c: T): T\n}\nexport class D { e = () => 1 }\n",
            "1 interface A, 2 method A.b, 5 class D, 5 method D.e",
        ),
        (
            "a.c",
            "#ifdef A\nint a(int b) {\n#else\nint a(void) {\n#endif\n  return 1;\n}\nint c(void) {}\n",
            "2 function a, 8 function c",
        ),
        (
            "a.cc",
            "class EXPORTED Shelf {\n  void lock() GUARDED(m) {}\n  int size_ GUARDED_BY(m);\n};\n",
            "1 class Shelf, 2 method Shelf.lock",
        ),
        ("a.h", "struct EXPORTED Options {\n  int most = 1;\n};\n", "1 struct Options"),
        (
            "a.kt",
            "interface A {}\n\nfun interface B {\n  fun c()\n}\n",
            "1 interface A, 3 interface B, 4 method B.c",
        ),
        (
            "a.cpp",
            "MY_BEGIN\nclass MY_EXPORT A {\n  MY_CONSTEXPR int b() { return 1; }\n};\nMY_END\n",
            "2 class A, 3 method A.b",
        ),
    ],
)
def test_what_a_grammar_does_not_know_hides_no_definition(path: str, text: str, wanted: str) -> None:
    outline = outline_text(path, text)
    assert told(outline) == wanted
    assert not outline.notes


def test_rewriting_a_file_for_its_grammar_moves_no_byte() -> None:
    text = b"#if A_B\n  A_C(x) int d(E_F g); \\\r\n#else\n <T>(h)\n#endif\nexport type * from 'i'\n"
    for language in ("C", "C++", "TypeScript"):
        found = list(rewritten(text, language))
        assert found
        assert {len(other) for other in found} == {len(text)}
        assert {other.count(b"\n") for other in found} == {text.count(b"\n")}


def test_a_constant_is_told_without_its_value() -> None:
    outline = outline_text("a.py", "PHRASE: str = 'open sesame'\n")
    assert outline.symbols[0].signature == "PHRASE: str"


def test_a_variable_that_no_other_file_can_name_is_not_public() -> None:
    module, script = "const a = 1\nexport const b = 2\n", "const a = 1\n"
    assert [one.public for one in outline_text("a.js", module).symbols] == [False, True]
    assert [one.public for one in outline_text("a.js", script).symbols] == [True]


def test_a_doc_ends_before_its_tags() -> None:
    text = "/**\n * Adds.\n * @param a what\n */\nfunction add(a) {}\n/** @type {B} */\nfunction b() {}\n"
    assert [one.doc for one in outline_text("a.js", text).symbols] == ["Adds.", ""]


def test_the_file_s_own_words_and_where_it_starts_are_found() -> None:
    outline = outline_text("a.py", PYTHON)
    assert (outline.doc, outline.entry) == ("Carts.", 14)
    cart = outline.symbols[0]
    assert (cart.signature, cart.doc, cart.end_line) == ("class Cart(Base)", "What a customer takes.", 10)


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("a.go", "package main\n\nfunc main() {}\n", 3),
        ("a.go", "package a\n\nvar a = `\nfunc main() {}\n`\n", 0),
        ("a.rs", 'const A: &str = "\nfn main() {}\n";\n\nfn main() {}\n', 5),
    ],
)
def test_a_program_starts_where_it_is_defined_not_where_it_is_quoted(
    path: str, text: str, wanted: int
) -> None:
    assert outline_text(path, text).entry == wanted


def test_a_signature_holds_no_body_and_no_secret() -> None:
    key = "ghp_" + "a1B2" * 9
    outline = outline_text("a.py", f'def open(key="{key}"):\n    return key\n')
    assert key not in str(outline)
    assert outline.symbols[0].signature.startswith("def open(key=")


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("a.md", "# Shop\n\nSells.\n\n## Cart\n", "1 heading # Shop, 5 heading ## Cart"),
        ("a.toml", "[shop]\nname = 1\n", "1 key shop, 2 key name"),
        ("a.json", '{"shop": {"name": 1}, "cart": 2}\n', "1 key shop, 1 key cart"),
        ("a.json", '{\n  "shop": {"cart": 1},\n  "cart": 2\n}\n', "2 key shop, 3 key cart"),
        ("a.yml", "shop:\n  name: 1\ncart: 2\n", "1 key shop, 3 key cart"),
        ("NOTES", "anything\n", ""),
    ],
)
def test_documents_and_configuration_are_told_by_headings_and_keys(path: str, text: str, wanted: str) -> None:
    assert told(outline_text(path, text)) == wanted


def test_broken_syntax_is_said_and_what_is_whole_is_still_found() -> None:
    outline = outline_text("a.py", "def whole(): ...\n\ndef broken(:\n")
    assert outline.symbols[0].name == "whole"
    assert any("did not understand" in note for note in outline.notes)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "\ufeff", "def f():\r\n    pass\r\n"])
def test_hardly_anything_is_an_outline_too(text: str) -> None:
    assert outline_text("a.py", text).skipped == ""


def test_an_outline_survives_the_way_out_of_a_worker() -> None:
    outline = outline_text("a.go", GO)
    assert from_json(outline.path, as_json(outline)) == outline


def test_a_pathological_file_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("(" * 100_000)
    assert outline_path(tmp_path, "a.py").skipped
    assert not outline_path(tmp_path, "a.py").symbols


PATTERNS = [
    (
        "a.sql",
        (
            "-- Sells.\n\n/* create table gone (id); */\nCREATE TABLE IF NOT EXISTS shop.cart (id int);\n"
            "create or replace view open_carts as select 1;\nCREATE FUNCTION total(id int) RETURNS int\n"
        ),
        "4 table shop.cart, 5 view open_carts, 6 function total",
    ),
    (
        "a.proto",
        (
            'syntax = "proto3";\nimport "money.proto";\n// A.\nmessage Cart {\n  enum Size { S = 0; }\n}\n'
            "service Shop {\n  rpc Open(Cart) returns (Cart);\n}\n"
        ),
        "4 message Cart, 5 enum Size, 7 service Shop, 8 rpc Open",
    ),
    (
        "a.graphql",
        '"""Holds."""\ntype Cart implements Line {\n  id: ID!\n}\ninput NewCart { id: ID }\nquery A { a }\n',
        "2 type Cart, 5 input NewCart, 6 query A",
    ),
    (
        "a.ps1",
        "<# function Gone {} #>\nfunction Get-Cart {\n}\nclass Cart {\n}\nFilter Open-Cart { }\n",
        "2 function Get-Cart, 4 class Cart, 6 function Open-Cart",
    ),
    (
        "a.groovy",
        (
            "package shop\nimport shop.Money\nclass Cart {\n  def total(rate) {\n  }\n  static void "
            "open(int id) {\n  }\n}\n"
        ),
        "3 class Cart, 4 method total, 6 method open",
    ),
    ("a.gradle", "task ship(type: Copy) {\n}\ndependencies {\n}\n", "1 task ship, 3 block dependencies"),
    (
        "a.R",
        '# Adds.\ntotal <- function(x) {\n}\nopen.cart = function(id) id\nsetClass("Cart", slots = c())\n',
        "2 function total, 4 function open.cart, 5 class Cart",
    ),
    (
        "a.jl",
        "module Shop\nusing Money\nstruct Cart\nend\nfunction total(c::Cart)\nend\nopen_cart(id) = id\nend\n",
        "1 module Shop, 3 struct Cart, 5 function total, 7 function open_cart",
    ),
    (
        "a.pl",
        "package Shop::Cart;\nuse strict;\nuse Shop::Money;\n\n=pod\n\nsub gone\n\n=cut\n\nsub total {\n}\n",
        "1 package Shop::Cart, 11 function total",
    ),
    ("Makefile", "# Builds.\nall: one\n\techo\nNAME := 1\none two: all\n", "2 target all, 5 target one two"),
    ("Dockerfile", 'FROM python:3 AS build\nRUN x\nCMD ["a"]\n', '1 stage build, 3 cmd ["a"]'),
]


@pytest.mark.parametrize(("path", "text", "wanted"), PATTERNS, ids=[row[0] for row in PATTERNS])
def test_a_language_without_a_grammar_is_outlined_by_patterns_and_labelled(
    path: str, text: str, wanted: str
) -> None:
    outline = outline_text(path, text)
    assert told(outline) == wanted
    assert outline.how == "patterns"
    assert any("by patterns" in note for note in outline.notes)


def test_a_component_is_its_name_and_its_script_at_its_own_lines() -> None:
    text = (
        '<template>\n  <b>{{ total }}</b>\n</template>\n<script lang="ts">\nimport { sum } from "./sum"\n'
        "\nfunction total(): number { return sum() }\n</script>\n"
    )
    outline = outline_text("src/Cart.vue", text)
    assert told(outline) == "1 component Cart, 7 function total"
    assert outline.imports == ("./sum",)
    assert outline.language == "Vue"


def test_a_notebook_is_read_as_its_cells_without_outputs(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Sums\n", "Adds up carts."]},
        {
            "cell_type": "code",
            "metadata": {},
            "source": ["%matplotlib inline\n", "def total(cart):\n", '    return "sum" + cart'],
            "outputs": [{"data": {"image/png": "A" * 2_000_000}}],
        },
    ]
    whole = json.dumps({"cells": cells, "nbformat": 4}, indent=1)
    (tmp_path / "a.ipynb").write_text(whole)
    outline = outline_path(tmp_path, "a.ipynb")
    [symbol] = outline.symbols
    assert (symbol.name, outline.skipped, outline.doc) == ("total", "", "Sums")
    assert "def total(cart)" in whole.split("\n")[symbol.line - 1]
    assert outline.tokens < 1_000


@pytest.mark.parametrize(
    ("path", "text", "doc"),
    [
        ("a.ps1", "<#\n.Synopsis\nRemoves all carts.\n#>\nfunction Remove-Cart {\n}\n", "Removes all carts."),
        ("a.graphql", '"""\nA cart.\n"""\ntype Cart {\n  id: ID\n}\n', "A cart."),
        ("a.proto", "/* A cart. */\n@option(x)\nmessage Cart {\n}\n", "A cart."),
    ],
    ids=["PowerShell", "GraphQL", "Protobuf"],
)
def test_a_comment_of_several_lines_is_the_doc_of_what_it_stands_above(
    path: str, text: str, doc: str
) -> None:
    assert [symbol.doc for symbol in outline_text(path, text).symbols] == [doc]


def test_an_import_of_python_goes_on_behind_a_backslash() -> None:
    assert outline_text("a.py", "from shop import cart, \\\n    money\n").imports == (
        "shop.cart",
        "shop.money",
    )
