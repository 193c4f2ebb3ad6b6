"""Follow outside input through a Python file to where it does harm.

How: every function is read once, statement by statement, with an environment that says for each name what
is known of its value: where input in it came from, what it was cleaned for, and its constant text.
Branches are joined, loops read twice, containers count as a whole. Calls of functions of the same file
are followed by a second reading with the strongest input that any call passed; unknown calls pass input
on. What a function's own parameters reach is told with low confidence: nobody knows who calls it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from fanout_mcp.review.analysers import python_sinks as sinks
from fanout_mcp.review.analysers.python_settings import Call, check_setting
from fanout_mcp.review.analysers.python_tables import (
    ARCHIVE_METHODS,
    ARCHIVED,
    ARCHIVES,
    CLEANING_TESTS,
    CLEANS,
    CLEANS_ALL,
    ERROR_CALLS,
    FRAMEWORKS,
    GROWS,
    HANDLED,
    HARMLESS_AS_NUMBER,
    KEEPS_CALLS,
    KEEPS_TEXT,
    LOCAL,
    PARAM,
    REMOTE,
    REQUEST_HANDLERS,
    REQUEST_NAMES,
    REQUEST_SAFE,
    ROUTE_DECORATORS,
    SOURCE_CALLS,
    SOURCE_METHODS,
    SOURCE_NAMES,
    STILL_NUMBERS,
    VIEW_BASES,
)
from fanout_mcp.review.analysers.python_values import NOTHING, Hit, Taint, Value, join

Function = ast.FunctionDef | ast.AsyncFunctionDef
Env = dict[str, Value]


@dataclass(slots=True)
class Scope:
    """One function (or the module) being read."""

    function: Function | None
    env: Env
    is_route: bool = False
    owner: str = ""
    """The class that the function belongs to."""
    is_handler: bool = False
    """The class answers requests of a server of the standard library."""
    returned: Value = NOTHING


@dataclass(slots=True)
class Reader:
    """Reads one module; `hits` is what it found."""

    tree: ast.Module
    names: dict[str, str] = field(default_factory=dict)
    """What an imported name stands for."""
    roots: set[str] = field(default_factory=set)
    hits: list[Hit] = field(default_factory=list)
    attributes: dict[str, Value] = field(default_factory=dict)
    """`Class.name`: what any method put into self.name."""
    returns: dict[str, Value] = field(default_factory=dict)
    passed: dict[str, dict[str, Value]] = field(default_factory=dict)
    """The strongest input passed to a function's parameter by calls in this file."""
    functions: dict[str, tuple[Function, str, Env]] = field(default_factory=dict)
    scope: Scope = field(default_factory=lambda: Scope(None, {}))
    depth: int = 0
    statement: ast.stmt | None = None
    """The one being read."""

    def read(self) -> list[Hit]:
        self._read_imports()
        self._block(self.tree.body)
        for name, given in list(self.passed.items()):
            if name in self.functions and any(v.level > PARAM for v in given.values()):
                function, owner, env = self.functions[name]
                self._function(function, owner, env, given)
        return list(dict.fromkeys(self.hits))

    @property
    def is_web(self) -> bool:
        return bool(self.roots & FRAMEWORKS)

    def _read_imports(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.names[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
                    self.roots.add(alias.name.split(".")[0])
            elif isinstance(node, ast.ImportFrom):
                self.roots.add((node.module or "").split(".")[0])
                for alias in node.names:
                    self.names[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"

    # --- names -------------------------------------------------------------------------------------------

    def dotted(self, node: ast.expr) -> str:
        """Return the full name of what is called or read, "" when it has none."""
        if isinstance(node, ast.Name):
            value = self.scope.env.get(node.id)
            if value is not None:
                return value.kind or node.id
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        if isinstance(node, ast.Call):
            base = self.dotted(node.func)
            return f"{base}()" if base else ""
        return ""

    # --- statements --------------------------------------------------------------------------------------

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            method = _STATEMENTS.get(type(statement))
            if method is not None:
                self.statement = statement
                method(self, statement)

    def read_expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def read_assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self._bind(target, value, node.value)

    def read_ann_assign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, self.value(node.value), node.value)

    def read_aug_assign(self, node: ast.AugAssign) -> None:
        value = join(self.value(node.target), self.value(node.value))
        built = isinstance(node.op, ast.Add) and (value.taint is not None or value.built)
        self._bind(node.target, replace(value, built=built, const=None))

    def _bind(self, target: ast.expr, value: Value, source: ast.expr | None = None) -> None:
        if isinstance(target, ast.Name):
            self.scope.env[target.id] = value
            check_setting(self, target, target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            each = source.elts if isinstance(source, ast.Tuple | ast.List) else None
            for index, element in enumerate(target.elts):
                own = self.value(each[index]) if each and len(each) == len(target.elts) else None
                self._bind(element, own or replace(value, const=None, kind=""))
        elif isinstance(target, ast.Starred):
            self._bind(target.value, value)
        elif isinstance(target, ast.Subscript):
            key = self.value(target.slice)
            sinks.check_item(self, target, key, value)
            self._grow(target.value, join(key, value))
        elif isinstance(target, ast.Attribute):
            sinks.check_attribute(self, target, value)
            self._set_attribute(target, value)

    def _set_attribute(self, target: ast.Attribute, value: Value) -> None:
        if isinstance(target.value, ast.Name):
            key = f"{target.value.id}.{target.attr}"
            self.scope.env[key] = value
            if target.value.id == "self":
                name = f"{self.scope.owner}.{target.attr}"
                self.attributes[name] = join(self.attributes.get(name, NOTHING), value)

    def _grow(self, receiver: ast.expr, value: Value) -> None:
        """Let a container take what is put into it."""
        while isinstance(receiver, ast.Subscript):
            receiver = receiver.value
        if value.taint is None:
            return
        if isinstance(receiver, ast.Name):
            old = self.scope.env.get(receiver.id, NOTHING)
            self.scope.env[receiver.id] = replace(join(old, value), kind=old.kind, const=None)
        elif isinstance(receiver, ast.Attribute):
            self._set_attribute(receiver, join(self.value(receiver), value))

    def read_for(self, node: ast.For | ast.AsyncFor) -> None:
        items = self.value(node.iter)
        for _ in range(2):
            self._bind(node.target, replace(items, const=None, kind=""))
            self._branches(node.body, node.orelse)

    def read_while(self, node: ast.While) -> None:
        self.value(node.test)
        for _ in range(2):
            self._branches(node.body, node.orelse)

    def read_if(self, node: ast.If) -> None:
        self.value(node.test)
        checked, is_negative = _checked_names(node.test)
        before = dict(self.scope.env)
        if not is_negative:
            self._clean(checked)
        self._block(node.body)
        after_body, self.scope.env = self.scope.env, before
        if is_negative:
            self._clean(checked)
        self._block(node.orelse)
        if _leaves(node.body):
            return
        if node.orelse and _leaves(node.orelse):
            self.scope.env = after_body
            return
        self.scope.env = _joined(after_body, self.scope.env)

    def _clean(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.scope.env:
                self.scope.env[name] = replace(self.scope.env[name], taint=None)

    def _branches(self, *bodies: Sequence[ast.stmt]) -> None:
        for body in bodies:
            before = dict(self.scope.env)
            self._block(body)
            self.scope.env = _joined(before, self.scope.env)

    def read_try(self, node: ast.Try) -> None:
        self._block(node.body)
        for handler in node.handlers:
            before = dict(self.scope.env)
            if handler.name:
                taint = Taint(REMOTE, "the error", handler.lineno, is_error=True)
                self.scope.env[handler.name] = Value(taint)
            self._block(handler.body)
            self.scope.env = _joined(before, self.scope.env)
        self._block(node.orelse)
        self._block(node.finalbody)

    def read_with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            value = self.value(item.context_expr)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, value)
        self._block(node.body)

    def read_match(self, node: ast.Match) -> None:
        subject = self.value(node.subject)
        for case in node.cases:
            before = dict(self.scope.env)
            for inner in ast.walk(case.pattern):
                if isinstance(inner, ast.MatchAs | ast.MatchStar) and inner.name:
                    self.scope.env[inner.name] = replace(subject, const=None, kind="")
            self._block(case.body)
            self.scope.env = _joined(before, self.scope.env)

    def read_return(self, node: ast.Return) -> None:
        if node.value is not None:
            value = self.value(node.value)
            sinks.check_return(self, node, value)
            self.scope.returned = join(self.scope.returned, value)

    def read_raise(self, node: ast.Raise) -> None:
        if node.exc is not None:
            self.value(node.exc)

    def read_class(self, node: ast.ClassDef) -> None:
        bases = [self.dotted(base) for base in node.bases]
        is_view = self.is_web and any(base.endswith(VIEW_BASES) for base in bases)
        is_handler = any(base.endswith(REQUEST_HANDLERS) for base in bases)
        outer = self.scope
        self.scope = Scope(outer.function, dict(outer.env), owner=node.name)
        plain = [item for item in node.body if not isinstance(item, Function)]
        self._block(plain)
        methods = [item for item in node.body if isinstance(item, Function)]
        env = self.scope.env
        self.scope = outer
        for method in sorted(methods, key=lambda item: item.name != "__init__"):
            self._function(method, node.name, env, {}, is_view=is_view, is_handler=is_handler)

    def read_define(self, node: Function) -> None:
        self._function(node, self.scope.owner, self.scope.env, {})

    def _function(
        self,
        node: Function,
        owner: str,
        env: Env,
        given: dict[str, Value],
        *,
        is_view: bool = False,
        is_handler: bool = False,
    ) -> None:
        if self.depth > 20:
            return
        self.functions[node.name] = (node, owner, env)
        is_route = self._is_route(node) or is_view
        outer, self.scope = self.scope, Scope(node, dict(env), is_route, owner, is_handler)
        self.depth += 1
        for argument in _arguments(node):
            self.scope.env[argument.arg] = given.get(argument.arg) or self._parameter(
                node, argument, is_route
            )
        self._block(node.body)
        returned = self.scope.returned
        self.depth -= 1
        self.scope = outer
        if returned.taint is not None and returned.level == PARAM:
            returned = replace(returned, taint=None)  # the caller's own arguments tell more
        self.returns[node.name] = returned
        self.scope.env.pop(node.name, None)

    def _is_route(self, node: Function) -> bool:
        if not self.is_web:
            return False
        for decorator in node.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = self.dotted(target).rsplit(".", 1)[-1]
            if name in ROUTE_DECORATORS:
                return True
        first = [a.arg for a in node.args.args][:1]
        return bool(first) and first[0] in REQUEST_NAMES

    def _parameter(self, node: Function, argument: ast.arg, is_route: bool) -> Value:  # noqa: FBT001 read at one place
        name = argument.arg
        if name in {"self", "cls"}:
            return Value()
        if name == "event" and node.name.endswith("handler") and len(node.args.args) == 2:
            return Value(Taint(REMOTE, "the event", node.lineno))
        if name in REQUEST_NAMES:
            return Value(Taint(REMOTE if self.is_web else PARAM, name, node.lineno), is_request=True)
        note = ast.unparse(argument.annotation) if argument.annotation is not None else ""
        if note in {"int", "float", "bool", "int | None", "Optional[int]"} or "Depends" in note:
            return Value()
        level = REMOTE if is_route else PARAM
        return Value(Taint(level, f"the parameter {name}", node.lineno))

    # --- expressions -------------------------------------------------------------------------------------

    def value(self, node: ast.expr | None) -> Value:
        if node is None:
            return NOTHING
        method = _EXPRESSIONS.get(type(node))
        return method(self, node) if method is not None else self._children(node)

    def _children(self, node: ast.AST) -> Value:
        result = NOTHING
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                result = join(result, self.value(child))
        return replace(result, const=None, kind="", is_request=False)

    def read_constant(self, node: ast.Constant) -> Value:
        return Value(const=node.value, text=node.value if isinstance(node.value, str) else "")

    def read_name(self, node: ast.Name) -> Value:
        value = self.scope.env.get(node.id)
        if value is not None:
            return value
        full = self.names.get(node.id, "")
        if node.id in REQUEST_NAMES and full and full.split(".")[0] in FRAMEWORKS:
            return Value(Taint(REMOTE, "the request", node.lineno), is_request=True)
        level = SOURCE_NAMES.get(full)
        return Value(Taint(level, full, node.lineno) if level else None, kind=full)

    def read_attribute(self, node: ast.Attribute) -> Value:
        name = self.dotted(node)
        level = SOURCE_NAMES.get(name)
        if level is not None:
            return Value(Taint(level, name, node.lineno))
        if isinstance(node.value, ast.Name):
            own = self.scope.env.get(f"{node.value.id}.{node.attr}")
            if own is not None:
                return own
            if node.value.id == "self":
                if self.scope.is_handler and node.attr in HANDLED:
                    return Value(Taint(REMOTE, f"self.{node.attr}", node.lineno))
                if node.attr == "request" and self.is_web:
                    return Value(Taint(REMOTE, "self.request", node.lineno), is_request=True)
                return self.attributes.get(f"{self.scope.owner}.{node.attr}", NOTHING)
        base = self.value(node.value)
        if base.is_request:
            if node.attr in REQUEST_SAFE:
                return NOTHING
            level = base.level
            return Value(
                Taint(level, f"request.{node.attr}", node.lineno), is_file=node.attr in {"files", "FILES"}
            )
        if node.attr == "filename" and base.is_file:
            return replace(base, is_file=False)
        return replace(base, const=None, kind=name if name and not base.taint else "", built=False)

    def read_subscript(self, node: ast.Subscript) -> Value:
        base, key = self.value(node.value), self.value(node.slice)
        if self.dotted(node.value) in {"globals()", "locals()"} and key.taint:
            sinks.report(self, "unsafe-reflection", node, key)
        return replace(base if base.taint else replace(NOTHING, text=base.text), const=None, kind="")

    def _join(self, node: ast.expr) -> Value:
        return self._children(node)

    def read_bin_op(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        joined = join(left, right)
        if isinstance(left.const, str) and isinstance(right.const, str) and isinstance(node.op, ast.Add):
            return Value(const=left.const + right.const, text=left.const + right.const)
        if isinstance(node.op, ast.Div | ast.Mod | ast.FloorDiv) and right.is_number and right.taint:
            sinks.report(self, "zero-division", node, right)
        if (
            isinstance(node.op, ast.Mult)
            and (left.is_number or right.is_number)
            and (left.text or right.text)
        ):
            sinks.report(self, "resource-exhaustion", node, left if left.is_number else right)
        is_text = isinstance(node.op, ast.Add | ast.Mod)
        varies = left.const is None or right.const is None
        kind = left.kind if isinstance(node.op, ast.Div) and "Path" in left.kind else ""
        return replace(joined, const=None, kind=kind, built=is_text and varies)

    def read_joined_str(self, node: ast.JoinedStr) -> Value:
        result = NOTHING
        for piece in node.values:
            inner = piece.value if isinstance(piece, ast.FormattedValue) else piece
            value = self.value(inner)
            if isinstance(piece, ast.FormattedValue) and piece.conversion == ord("r") and value.taint:
                clean = value.taint.clean | {"log-injection", "header-injection"}
                value = replace(value, taint=replace(value.taint, clean=clean))
            result = join(result, value)
        varies = any(isinstance(piece, ast.FormattedValue) for piece in node.values)
        return replace(result, const=None, kind="", built=varies)

    def read_if_exp(self, node: ast.IfExp) -> Value:
        self.value(node.test)
        checked, is_negative = _checked_names(node.test)
        before = dict(self.scope.env)
        if not is_negative:
            self._clean(checked)
        body = self.value(node.body)
        self.scope.env = dict(before)
        if is_negative:
            self._clean(checked)
        result = join(body, self.value(node.orelse))
        self.scope.env = before
        return result

    def read_compare(self, node: ast.Compare) -> Value:
        sides = [self.value(side) for side in (node.left, *node.comparators)]
        sinks.check_compare(self, node, sides)
        return NOTHING

    def read_named(self, node: ast.NamedExpr) -> Value:
        value = self.value(node.value)
        self._bind(node.target, value)
        return value

    def read_lambda(self, node: ast.Lambda) -> Value:
        before = dict(self.scope.env)
        for argument in node.args.args:
            self.scope.env[argument.arg] = Value()
        value = self.value(node.body)
        self.scope.env = before
        return value

    def read_comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
        before = dict(self.scope.env)
        for generator in node.generators:
            self._bind(generator.target, replace(self.value(generator.iter), const=None, kind=""))
            for test in generator.ifs:
                self.value(test)
        if isinstance(node, ast.DictComp):
            value = join(self.value(node.key), self.value(node.value))
        else:
            value = self.value(node.elt)
        self.scope.env = before
        return replace(value, const=None, kind="")

    def read_call(self, node: ast.Call) -> Value:
        receiver = self.value(node.func.value) if isinstance(node.func, ast.Attribute) else NOTHING
        arguments = [self.value(argument) for argument in node.args]
        keywords = {keyword.arg or "**": self.value(keyword.value) for keyword in node.keywords}
        name = self.dotted(node.func)
        call = Call(node, name, arguments, keywords)
        sinks.check_call(self, call, receiver)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if isinstance(node.func, ast.Attribute) and method in GROWS:
            for value in (*arguments, *keywords.values()):
                self._grow(node.func.value, value)
        return self._result(call, method, receiver)

    def _result(self, call: Call, method: str, receiver: Value) -> Value:
        node, name, arguments, keywords = call
        everything = [*arguments, *keywords.values()]
        level = SOURCE_CALLS.get(name)
        if level is not None:
            return Value(Taint(level, f"{name}()", node.lineno))
        if name in ERROR_CALLS:
            return Value(Taint(REMOTE, "the error", node.lineno, is_error=True))
        if method in ARCHIVE_METHODS and self.roots & ARCHIVES:
            return Value(Taint(LOCAL, ARCHIVED, node.lineno))
        if method in SOURCE_METHODS and "socket" in self.roots | {"websocket"} & self.roots:
            return Value(Taint(REMOTE, f"{method}()", node.lineno))
        joined = receiver
        for value in everything:
            joined = join(joined, value)
        if name in CLEANS_ALL and joined.taint is not None:
            number = replace(joined.taint, clean=HARMLESS_AS_NUMBER)
            return Value(number, is_number=True) if name in STILL_NUMBERS else NOTHING
        local = name.rsplit(".", 1)[-1]
        if local in self.functions and (name == local or name.startswith("self.")):
            self._pass(local, node, arguments)
            joined = join(joined, self.returns.get(local, NOTHING))
        taint = joined.taint
        if taint is not None:
            cleaned = CLEANS.get(name, frozenset())
            if method == "replace" and node.args and isinstance(node.args[0], ast.Constant):
                cleaned = _replaced(node.args[0].value)
            keeps = name in KEEPS_CALLS or method in KEEPS_TEXT or bool(cleaned)
            if name in sinks.ENDS or method in sinks.ENDING_METHODS:
                return Value(kind=f"{name}()")
            taint = replace(taint, clean=taint.clean | cleaned, is_direct=taint.is_direct and keeps)
        built = method in {"format", "join", "format_map"} and any(
            value.const is None for value in everything
        )
        keeps_file = receiver.is_file and method in {"get", "getlist"}
        # The pieces stay known through str methods only: "SELECT" in an unknown call's argument says nothing.
        text = joined.text if method in KEEPS_TEXT or name in KEEPS_CALLS else ""
        is_built = built or (method in KEEPS_TEXT and receiver.built)
        return Value(taint, text=text, kind=f"{name}()" if name else "", built=is_built, is_file=keeps_file)

    def _pass(self, name: str, node: ast.Call, arguments: Sequence[Value]) -> None:
        """Remember the strongest input that a function of this file is called with."""
        function = self.functions[name][0]
        names = [a.arg for a in function.args.args if a.arg not in {"self", "cls"}]
        given = dict(zip(names, arguments, strict=False))
        given |= {k.arg: self.value(k.value) for k in node.keywords if k.arg}
        known = self.passed.setdefault(name, {})
        for parameter, value in given.items():
            if value.taint is not None and value.level > known.get(parameter, NOTHING).level:
                known[parameter] = replace(value, const=None)


def _arguments(node: Function) -> list[ast.arg]:
    a = node.args
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *(x for x in (a.vararg, a.kwarg) if x is not None)]


def _joined(one: Env, other: Env) -> Env:
    result = dict(one)
    for name, value in other.items():
        mine = one.get(name)
        if mine is not value:
            result[name] = value if mine is None else join(mine, value)
    return result


def _leaves(body: Sequence[ast.stmt]) -> bool:
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        call = last.value.func
        name = call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""
        return name in {"abort", "exit", "_exit", "fail"}
    return isinstance(last, ast.Return | ast.Raise | ast.Continue | ast.Break)


def _checked_names(test: ast.expr) -> tuple[set[str], bool]:
    """Return the names that a test compares with what is allowed, and whether it holds when they are not."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        names, is_negative = _checked_names(test.operand)
        return names, not is_negative
    if isinstance(test, ast.BoolOp):
        parts = [_checked_names(part) for part in test.values]
        wanted = isinstance(test.op, ast.Or)
        return {name for names, negative in parts if negative is wanted for name in names}, wanted
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.left, ast.Name):
        allowed = test.comparators[0]
        is_list = not (isinstance(allowed, ast.Constant) and isinstance(allowed.value, str))
        if is_list and isinstance(test.ops[0], ast.In | ast.NotIn):
            return {test.left.id}, isinstance(test.ops[0], ast.NotIn)
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute | ast.Name):
        name = test.func.attr if isinstance(test.func, ast.Attribute) else test.func.id
        if name in CLEANING_TESTS:
            owner = [test.func.value] if isinstance(test.func, ast.Attribute) else []
            return {item.id for item in (*owner, *test.args) if isinstance(item, ast.Name)}, False
    return set(), False


def _replaced(old: object) -> frozenset[str]:
    table: dict[object, frozenset[str]] = {
        "\n": frozenset({"log-injection", "header-injection"}),
        "\r\n": frozenset({"log-injection", "header-injection"}),
        "<": frozenset({"xss"}),
        "..": frozenset({"path-traversal"}),
    }
    return table.get(old, frozenset())


_STATEMENTS: dict[type[ast.stmt], Callable[..., None]] = {
    ast.Expr: Reader.read_expr,
    ast.Assign: Reader.read_assign,
    ast.AnnAssign: Reader.read_ann_assign,
    ast.AugAssign: Reader.read_aug_assign,
    ast.For: Reader.read_for,
    ast.AsyncFor: Reader.read_for,
    ast.While: Reader.read_while,
    ast.If: Reader.read_if,
    ast.Try: Reader.read_try,
    ast.With: Reader.read_with,
    ast.AsyncWith: Reader.read_with,
    ast.Match: Reader.read_match,
    ast.Return: Reader.read_return,
    ast.Raise: Reader.read_raise,
    ast.ClassDef: Reader.read_class,
    ast.FunctionDef: Reader.read_define,
    ast.AsyncFunctionDef: Reader.read_define,
}
_EXPRESSIONS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Constant: Reader.read_constant,
    ast.Name: Reader.read_name,
    ast.Attribute: Reader.read_attribute,
    ast.Subscript: Reader.read_subscript,
    ast.BinOp: Reader.read_bin_op,
    ast.JoinedStr: Reader.read_joined_str,
    ast.IfExp: Reader.read_if_exp,
    ast.Compare: Reader.read_compare,
    ast.NamedExpr: Reader.read_named,
    ast.Lambda: Reader.read_lambda,
    ast.ListComp: Reader.read_comprehension,
    ast.SetComp: Reader.read_comprehension,
    ast.GeneratorExp: Reader.read_comprehension,
    ast.DictComp: Reader.read_comprehension,
    ast.Call: Reader.read_call,
}
