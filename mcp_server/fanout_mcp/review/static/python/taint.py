"""Follow outside input through a Python file to where it does harm.

How: every function is read once, statement by statement, with an environment that says for each name what
is known of its value: where input in it came from, what it was cleaned for, and its constant text.
Branches are joined, loops read twice, containers count as a whole. Calls of functions of the same file
are followed by a second reading with the strongest input that any call passed; unknown calls pass input
on. What a function's own parameters reach is reported with low confidence: the callers are not known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final

from fanout_mcp.review.static.python import sinks
from fanout_mcp.review.static.python.expressions import (
    checked_names,
    cleaned,
    element,
    follow,
    joined,
    leaves,
    refused,
    value_of,
)
from fanout_mcp.review.static.python.settings import check_setting
from fanout_mcp.review.static.python.values import (
    FRAMEWORKS,
    MAX_ITEMS,
    NOTHING,
    REQUEST_NAMES,
    Env,
    Function,
    Hit,
    Scope,
    Taint,
    Value,
    harmless,
    join,
    last_name,
    listed,
    with_element,
)
from fanout_mcp.review.static.rules import PARAM, REMOTE, WEAKNESSES

# --- python parameters --------------------------------------------------------------------------------------
# What a function of a Python program is given: by a framework from a request, or by unknown callers.


ROUTE_DECORATORS: Final = listed("route_decorators")
STREAMS: Final = frozenset({"asyncio", "websockets", "trio", "anyio"})
"""Packages whose servers hand a function the stream that a client writes to."""
REQUEST_HANDLERS: Final = ("HTTPRequestHandler", "StreamRequestHandler", "BaseRequestHandler")
"""Bases from the standard library's servers."""
ANSWERS: Final = re.compile(
    r"get|post|put|patch|delete|head|options|trace|dispatch|list|retrieve|create|update|partial_update|destroy"
    r"|prepare|open|form_valid|form_invalid|(?:on|do|handle|action|api|async|http|perform)_\w+|handle|receive|__call__"
)
"""Methods of a view that a framework calls; others are called by these."""
VIEW_BASES: Final = ("View", "Resource", "RequestHandler", "APIView", "ViewSet", "Handler", "Endpoint")


def arguments(node: Function) -> list[ast.arg]:
    a = node.args
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *(x for x in (a.vararg, a.kwarg) if x is not None)]


def is_route(reader: Walker, node: Function) -> bool:
    """Tell whether a web framework calls the function for a request."""
    if not reader.is_web:
        return False
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = reader.dotted(target).rsplit(".", 1)[-1]
        if name in ROUTE_DECORATORS:
            return True
    first = [a.arg for a in node.args.args][:1]
    return bool(first) and first[0] in REQUEST_NAMES


def _addresses(node: Function) -> list[str]:
    """Return what a function's decorators are given first: a view's addresses."""
    calls = [one for one in node.decorator_list if isinstance(one, ast.Call) and one.args]
    return [str(one.args[0].value) for one in calls if isinstance(one.args[0], ast.Constant)]


def is_fixed_route(node: Function, others: Sequence[str]) -> bool:
    """Tell whether all addresses that lead to a view are constant: "/a/b", and not "/a/<name>"."""
    addresses = [*_addresses(node), *others]
    return bool(addresses) and all(one.startswith("/") and not set(one) & set("<{:*(") for one in addresses)


_CONVERTED = re.compile(
    r"<(?:int|float|uuid|any)(?:\([^()<>]*\))?:(\w+)>|\{(\w+):(?:int|float|uuid)\}|\(\?P<(\w+)>\w+(?:\|\w+)*\)"
)


def _converted(node: Function, others: Sequence[str]) -> set[str]:
    """Return the parameters that routes make numbers or take of a few names: <int:number>, (?P<kind>a|b)."""
    found = [pair for text in (*_addresses(node), *others) for pair in _CONVERTED.findall(text)]
    return {name for pair in found for name in pair if name}


_TYPED: Final = frozenset({"UUID", "uuid.UUID", "date", "datetime", "Decimal", "UUID4"})
"""Types that a framework makes of what it was sent, and that hold no text."""


def parameter(reader: Walker, node: Function, argument: ast.arg) -> Value:
    """Return what is known of a parameter of the function that the reader has entered."""
    name = argument.arg
    if name in {"self", "cls"}:
        return Value()
    if name == "event" and node.name.endswith("handler") and len(node.args.args) == 2:
        return Value(Taint(REMOTE, "the event", node.lineno))
    if name in REQUEST_NAMES:
        return Value(Taint(REMOTE if reader.is_web else PARAM, name, node.lineno), is_request=True)
    if name in {"reader", "websocket"} and reader.roots & STREAMS and isinstance(node, ast.AsyncFunctionDef):
        return Value(Taint(REMOTE, name, node.lineno))
    if name == "environ" and "start_response" in {one.arg for one in node.args.args}:
        return Value(Taint(REMOTE, name, node.lineno))
    note = ast.unparse(argument.annotation) if argument.annotation is not None else ""
    others = *reader.addresses.get(node.name, ()), *reader.addresses.get(reader.scope.owner, ())
    if name in _converted(node, others):
        return Value()
    if note in reader.enums or note in _TYPED or note.startswith(("Literal[", "typing.Literal[")):
        return Value()
    if note in {"int", "float", "bool", "int | None", "Optional[int]"} or "Depends" in note:
        return Value()
    is_answer = not reader.scope.owner or node.decorator_list or ANSWERS.fullmatch(node.name)
    level = REMOTE if reader.scope.is_route and is_answer else PARAM
    return Value(Taint(level, f"the parameter {name}", node.lineno))


# --- What the names of a Python program stand for: what it imports, and what was made by which call. --------


def imported(nodes: Iterable[ast.AST]) -> tuple[dict[str, str], set[str], dict[str, list[str]]]:
    """Return imported name -> what it stands for, the packages imported from, and who answers addresses."""
    names: dict[str, str] = {}
    roots: set[str] = set()
    addresses: dict[str, list[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Call | ast.Tuple):
            _register(node, addresses)
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                names[alias.asname or root] = alias.name if alias.asname else root
                roots.add(root)
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
    return names, roots, addresses


def _register(node: ast.Call | ast.Tuple, addresses: dict[str, list[str]]) -> None:
    """Note which function or class answers an address: Route("/a", f), add_get("/a", f), (r"/a", Handler)."""
    given = node.args if isinstance(node, ast.Call) else node.elts
    first = given[0] if len(given) > 1 else None
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str) or first.value[:1] != "/":
        return
    for one in given[1:]:
        function = one.func if isinstance(one, ast.Call) else one
        name = function.value if isinstance(function, ast.Attribute) else function
        if isinstance(name, ast.Name):
            addresses.setdefault(name.id, []).append(first.value)


def dotted(node: ast.expr, env: Mapping[str, Value], names: Mapping[str, str]) -> str:
    """Return the full name of what is called or read, "" when it has none."""
    if isinstance(node, ast.Name):
        value = env.get(node.id)
        if value is not None:
            return value.kind or node.id
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, env, names)
        return f"{base}.{node.attr}" if base else ""
    if isinstance(node, ast.Call):
        base = dotted(node.func, env, names)
        return f"{base}()" if base else ""
    return ""


# --- taint ------------------------------------------------------------------------------------------

TOO_DEEP: Final = "nested too deeply"
MAX_LOOPS = 4
"""Loops within loops that are read twice: each doubles what is read of those inside it."""
MAX_CALLS = 4
"""Calls in a test, from where on none is weighed."""
MAX_STATEMENTS = 4
"""Statements of a function, from where on its name does not stand for its check."""


@dataclass(slots=True)
class Walker:
    """Reads one module; `hits` is what it found."""

    tree: ast.Module
    names: dict[str, str]
    """What an imported name stands for."""
    roots: set[str]
    """The packages that are imported from."""
    addresses: dict[str, list[str]] = field(default_factory=dict)
    """Function or class -> the addresses that calls register it for."""
    hits: list[Hit] = field(default_factory=list)
    attributes: dict[str, Value] = field(default_factory=dict)
    """`Class.name`: what any method put into self.name."""
    returns: dict[str, Value] = field(default_factory=dict)
    passed: dict[str, dict[str, Value]] = field(default_factory=dict)
    """The strongest input passed to a function's parameter by calls in this file."""
    checks: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    """Function -> its parameters that it raises for unless they are sound, and what they are harmless for."""
    functions: dict[str, tuple[Function, str, Env]] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    """Lines of calls that could do harm, but are given constants alone."""
    scope: Scope = field(default_factory=lambda: Scope(None, {}))
    enums: set[str] = field(default_factory=set)
    """Classes whose values are all written out."""
    fields: dict[str, list[str]] = field(default_factory=dict)
    """Class -> the fields that it is made with, in order."""
    depth: int = 0
    loops: int = 0
    """That hold what is being read."""
    statement: ast.stmt | None = None
    """The one being read."""

    def read(self) -> str:
        """Read the module; return why not all of it was read, "" where it was."""
        try:
            self._block(self.tree.body)
            for name, given in list(self.passed.items()):
                if name in self.functions and any(v.level > PARAM for v in given.values()):
                    function, owner, env = self.functions[name]
                    self._function(function, owner, env, given)
        except RecursionError:
            return TOO_DEEP
        return ""

    @property
    def is_web(self) -> bool:
        return bool(self.roots & FRAMEWORKS)

    def dotted(self, node: ast.expr) -> str:
        """Return the full name of what is called or read, "" when it has none."""
        return dotted(node, self.scope.env, self.names)

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
            self.bind(target, value)

    def read_ann_assign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value))

    def read_aug_assign(self, node: ast.AugAssign) -> None:
        old, more = self.value(node.target), self.value(node.value)
        value = join(old, more)
        if isinstance(node.op, ast.Add) and old.items is not None and more.items is not None:
            is_followed = len(old.items) + len(more.items) <= MAX_ITEMS
            value = replace(value, items=(*old.items, *more.items) if is_followed else None)
        built = isinstance(node.op, ast.Add) and (value.taint is not None or value.built)
        self.bind(node.target, replace(value, built=built, const=None))

    def bind(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.scope.env[target.id] = value
            self.scope.assigned.add(target.id)
            check_setting(self, target, target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            each = value.items if value.items is not None and len(value.items) == len(target.elts) else None
            for index, inner in enumerate(target.elts):
                self.bind(inner, each[index] if each else element(value))
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value)
        elif isinstance(target, ast.Subscript):
            key = self.value(target.slice)
            sinks.check_item(self, target, key, value)
            self.grow(target.value, join(key, value))
            self.put(target.value, key.const, value)
        elif isinstance(target, ast.Attribute):
            check_setting(self, target, target.attr, value)
            sinks.check_body(self, target, value)
            self._set_attribute(target, value)

    def put(self, owner: ast.expr, key: object, value: Value) -> None:
        """Note an element of a container, and of those that hold it."""
        if isinstance(owner, ast.Name):
            self.change(owner.id, with_element(self.scope.env.get(owner.id, NOTHING), key, value))
        elif isinstance(owner, ast.Subscript):
            inner = with_element(self.value(owner), key, value)
            self.put(owner.value, self.value(owner.slice).const, inner)

    def change(self, name: str, value: Value) -> None:
        """Note what became of a container, under each of its names: what they stand for is one object."""
        env = self.scope.env
        old = env.get(name, NOTHING)
        is_followed = old.items is not None or old.entries is not None
        named = [one for one, held in env.items() if held is old] if is_followed else [name]
        env.update(dict.fromkeys(named, value))

    def read_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                follow(self, target.value.id, "pop", [self.value(target.slice)], {})

    def _set_attribute(self, target: ast.Attribute, value: Value) -> None:
        if isinstance(target.value, ast.Name):
            key = f"{target.value.id}.{target.attr}"
            self.scope.env[key] = value
            if target.value.id == "self":
                name = f"{self.scope.owner}.{target.attr}"
                self.attributes[name] = join(self.attributes.get(name, NOTHING), value)

    def grow(self, receiver: ast.expr, value: Value) -> None:
        """Let a container take what is put into it."""
        while isinstance(receiver, ast.Subscript):
            receiver = receiver.value
        if value.taint is None:
            return
        if isinstance(receiver, ast.Name):
            old = self.scope.env.get(receiver.id, NOTHING)
            grown = replace(join(old, value), kind=old.kind, const=None, items=old.items, entries=old.entries)
            self.change(receiver.id, grown)
        elif isinstance(receiver, ast.Attribute) and isinstance(receiver.value, ast.Name):
            self._set_attribute(receiver, join(self.value(receiver), value))

    def read_for(self, node: ast.For | ast.AsyncFor) -> None:
        items = element(self.value(node.iter))
        for _ in self._rounds():
            self.bind(node.target, items)
            self._branches(node.body, node.orelse)

    def read_while(self, node: ast.While) -> None:
        if self.decided(node.test) is False:
            self._block(node.orelse)
            return
        self.value(node.test)
        for _ in self._rounds():
            self._branches(node.body, node.orelse)
        without, holds = refused(node.test)
        if not holds:
            self.clean_for(without)  # the loop goes on until it is gone

    def _rounds(self) -> Iterator[None]:
        """Have a loop read twice, as its second round sees what its first left; once deep within others."""
        self.loops += 1
        for _ in range(2 if self.loops <= MAX_LOOPS else 1):
            yield
        self.loops -= 1

    def read_if(self, node: ast.If) -> None:
        """Read a chain of branches from its top, without a call within a call for each `elif`."""
        ends: list[Env] = []
        rest: list[ast.stmt] = [node]
        while len(rest) == 1 and isinstance(rest[0], ast.If):
            self.statement = rest[0]
            rest = self._branch(rest[0], ends)
        self._block(rest)
        if leaves(rest) and ends:
            self.scope.env = ends.pop()
        for end in reversed(ends):
            self.scope.env = joined(end, self.scope.env)

    def _branch(self, node: ast.If, ends: list[Env]) -> list[ast.stmt]:
        """Read one branch; add what holds at its end unless it leaves, and return what runs in its place."""
        if (known := self.decided(node.test)) is not None:
            return node.body if known else node.orelse
        self.value(node.test)
        checked, is_negative = checked_names(node.test)
        without, holds = refused(node.test)
        checked, beyond = self._begun(node.test, checked)
        without |= beyond
        before = dict(self.scope.env)
        if not is_negative:
            self.clean(checked)
        if holds:
            self.clean_for(without)
        self._block(node.body)
        ends += [] if leaves(node.body) else [self.scope.env]
        self.scope.env = before
        if is_negative:
            self.clean(checked)
        if not holds:
            self.clean_for(without)
        return node.orelse

    def _begun(self, test: ast.expr, checked: set[str]) -> tuple[set[str], dict[str, frozenset[str]]]:
        """Weigh `path.startswith(...)`: what a path begins with says little before it is resolved."""
        calls = [one for one in ast.walk(test) if isinstance(one, ast.Call) and one.args]
        checked = checked | {name for call in calls for name in self._asked(call)}
        beyond: dict[str, frozenset[str]] = {}
        for call in calls if len(calls) < MAX_CALLS else ():
            name = call.func.value if isinstance(call.func, ast.Attribute) else None
            if not isinstance(name, ast.Name) or last_name(call.func) != "startswith":
                continue
            value = self.scope.env.get(name.id, NOTHING)
            if value.kind.endswith("normpath()") and "'..'" in ast.unparse(call.args[0]):
                beyond[name.id] = frozenset({"path-traversal"})
            elif value.kind == "os.path.join()" or (value.built and value.text.startswith("/")):
                checked = checked - {name.id}
        return checked, beyond

    def _asked(self, call: ast.Call) -> Iterator[str]:
        """Yield the names that a function of the file looks at, which returns what its check says."""
        known = self.functions.get(call.func.id) if isinstance(call.func, ast.Name) else None
        function = known[0] if known else None
        is_short = function is not None and len(function.body) < MAX_STATEMENTS
        last = function.body[-1] if function is not None and is_short else None
        if function is None or not isinstance(last, ast.Return) or last.value is None:
            return
        checked, is_negative = checked_names(last.value)
        for given, argument in zip(call.args, function.args.args, strict=False):
            if isinstance(given, ast.Name) and argument.arg in checked and not is_negative:
                yield given.id

    def clean(self, names: AbstractSet[str]) -> None:
        self.scope.env.update(cleaned(self.scope.env, names))

    def clean_for(self, names: Mapping[str, frozenset[str]]) -> None:
        """Note of names what their input is harmless for from here on."""
        for name, weaknesses in names.items():
            if (value := self.scope.env.get(name)) is not None:
                self.scope.env[name] = harmless(value, weaknesses)

    def decided(self, test: ast.expr) -> bool | None:
        """Return how a test ends that a function computes from constants alone, None for any other."""
        const = self.value(test).const if self._is_computed(test) else None
        return None if const is None else bool(const)

    def _is_computed(self, node: ast.expr) -> bool:
        """Tell whether only constants and names that the function itself assigns count."""
        if isinstance(node, ast.Name):
            return node.id in self.scope.assigned and node.id not in self._shared()
        if isinstance(node, ast.Call):
            function = node.func
            inside = [function.value] if isinstance(function, ast.Attribute) else []
            return not node.keywords and all(map(self._is_computed, (*inside, *node.args)))
        if isinstance(node, ast.Constant):
            return self.scope.function is not None
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        return isinstance(node, _COMPUTED) and all(map(self._is_computed, children))

    def _shared(self) -> set[str]:
        """Return the names that others may change meanwhile: at a module's level, all of them."""
        if self.scope.function is None:
            return self.scope.assigned
        if self.scope.shared is None:
            inner = ast.walk(self.scope.function)
            declared = [one.names for one in inner if isinstance(one, ast.Nonlocal | ast.Global)]
            self.scope.shared = {name for names in declared for name in names}
        return self.scope.shared

    def _branches(self, *bodies: Sequence[ast.stmt]) -> None:
        for body in bodies:
            before = dict(self.scope.env)
            self._block(body)
            self.scope.env = joined(before, self.scope.env)

    def _is_meant_for_users(self, caught: ast.expr | None) -> bool:
        """Tell whether what is caught says what was wrong with the input, or is the file's own error."""
        kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught] if caught else []
        names = [last_name(kind) for kind in kinds]
        return bool(names) and all(name in self.fields or name.endswith("ValidationError") for name in names)

    def read_try(self, node: ast.Try) -> None:
        before = dict(self.scope.env)
        self._block(node.body)
        self._block(node.orelse)
        after = self.scope.env
        anywhere = joined(before, after)
        at_last = anywhere
        for handler in node.handlers:
            self.scope.env = dict(anywhere)
            if handler.name and not self._is_meant_for_users(handler.type):
                taint = Taint(REMOTE, "the error", handler.lineno, is_error=True)
                self.scope.env[handler.name] = Value(taint)
            self._block(handler.body)
            at_last = joined(at_last, self.scope.env)
            if not leaves(handler.body):
                after = joined(after, self.scope.env)
        self.scope.env = after
        if node.finalbody:
            self._finally(node.finalbody, at_last)

    def _finally(self, body: Sequence[ast.stmt], anywhere: Env) -> None:
        """Read what also follows an error; what it leaves alone is after it what it was before."""
        after, self.scope.env = self.scope.env, dict(anywhere)
        self._block(body)
        kept = {
            name: value for name, value in after.items() if self.scope.env.get(name) is anywhere.get(name)
        }
        self.scope.env |= kept

    def read_with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            value = self.value(item.context_expr)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value)
        calls = [item.context_expr.func for item in node.items if isinstance(item.context_expr, ast.Call)]
        is_left = any(last_name(call).lower().endswith(("suppress", "raises")) for call in calls)
        before = dict(self.scope.env) if is_left else {}
        self._block(node.body)
        self.scope.env = joined(before, self.scope.env) if is_left else self.scope.env

    def read_match(self, node: ast.Match) -> None:
        subject = self.value(node.subject)
        known = subject.const if self._is_computed(node.subject) else None
        taken = node.cases if known is None else [*_taken(node.cases, known)]
        is_sure = known is not None and len(taken) == 1 and _is_plain(taken[0])
        for case in taken:
            before = dict(self.scope.env)
            for inner in ast.walk(case.pattern):
                if isinstance(inner, ast.MatchAs | ast.MatchStar) and inner.name:
                    self.scope.env[inner.name] = replace(subject, const=None, kind="")
            self._block(case.body)
            self.scope.env = self.scope.env if is_sure else joined(before, self.scope.env)

    def read_return(self, node: ast.Return) -> None:
        if node.value is not None:
            value = self.value(node.value)
            sinks.check_return(self, node, value)
            self.scope.returned = join(self.scope.returned, value)

    def read_raise(self, node: ast.Raise) -> None:
        self.value(node.exc)

    def read_class(self, node: ast.ClassDef) -> None:
        bases = [self.dotted(base) for base in node.bases]
        is_view = self.is_web and any(base.endswith(VIEW_BASES) for base in bases)
        is_handler = any(base.endswith(REQUEST_HANDLERS) for base in bases)
        if any(base.endswith(("Enum", "enum.StrEnum")) for base in bases):
            self.enums.add(node.name)
        outer = self.scope
        self.scope = Scope(outer.function, dict(outer.env), owner=node.name)
        plain = [item for item in node.body if not isinstance(item, Function)]
        self.fields[node.name] = [
            item.target.id
            for item in plain
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        ]
        self._block(plain)
        methods = [item for item in node.body if isinstance(item, Function)]
        for method in methods if not self.fields[node.name] else ():
            if method.name == "__init__":
                self.fields[node.name] = [argument.arg for argument in method.args.args[1:]]
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
        takes_requests = is_view or is_route(self, node)
        others = [*self.addresses.get(node.name, ()), *self.addresses.get(owner, ())]
        outer, fixed = self.scope, is_fixed_route(node, others)
        self.scope = Scope(node, dict(env), takes_requests, owner, is_fixed=fixed, is_handler=is_handler)
        self.depth += 1
        for argument in arguments(node):
            self.scope.env[argument.arg] = given.get(argument.arg) or parameter(self, node, argument)
        self._block(node.body)
        returned = self.scope.returned
        if returned is not NOTHING and not takes_requests:
            self.returns[node.name] = returned
        elif not any(isinstance(inner, ast.Return) for inner in ast.walk(node)):
            self.checks[node.name] = dict(self._checked(node))
        self.depth -= 1
        self.scope = outer
        self.scope.env.pop(node.name, None)

    def _checked(self, node: Function) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield parameters that a function returns for only when they are sound, and what that is for."""
        for name in {argument.arg for argument in arguments(node)} - self.scope.assigned:
            value = self.scope.env.get(name, NOTHING)
            clean = frozenset(WEAKNESSES) if value.taint is None else value.taint.clean
            if clean and parameter(self, node, ast.arg(name)).taint is not None:
                yield name, clean

    def value(self, node: ast.expr | None) -> Value:
        return value_of(self, node)


_COMPUTED: Final = (ast.Compare, ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Subscript, ast.Tuple, ast.List)


def _taken(cases: Sequence[ast.match_case], known: object) -> Iterator[ast.match_case]:
    """Yield the case that a constant takes, or those that it may take."""
    for case in cases:
        options = _options(case.pattern)
        constants = [*_constants(options)]
        if len(constants) < len(options) or known in constants:
            yield case
            if _is_plain(case) or (case.guard is None and known in constants):
                return


def _options(pattern: ast.pattern) -> list[ast.pattern]:
    """Return the patterns any of which takes a value: both of `"a" | "b" as name`."""
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is not None:
        return _options(pattern.pattern)
    return pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]


def _constants(options: Sequence[ast.pattern]) -> Iterator[object]:
    for one in options:
        if isinstance(one, ast.MatchValue) and isinstance(one.value, ast.Constant):
            yield one.value.value


def _is_plain(case: ast.match_case) -> bool:
    """Tell whether a case takes its constants, or everything, whatever else holds."""
    options = _options(case.pattern)
    is_all = len(options) == 1 and isinstance(options[0], ast.MatchAs)
    return case.guard is None and (is_all or len([*_constants(options)]) == len(options))


_STATEMENTS: dict[type[ast.stmt], Callable[..., None]] = {
    ast.Expr: Walker.read_expr,
    ast.Assign: Walker.read_assign,
    ast.AnnAssign: Walker.read_ann_assign,
    ast.AugAssign: Walker.read_aug_assign,
    ast.For: Walker.read_for,
    ast.AsyncFor: Walker.read_for,
    ast.While: Walker.read_while,
    ast.If: Walker.read_if,
    ast.Try: Walker.read_try,
    ast.With: Walker.read_with,
    ast.AsyncWith: Walker.read_with,
    ast.Match: Walker.read_match,
    ast.Delete: Walker.read_delete,
    ast.Return: Walker.read_return,
    ast.Raise: Walker.read_raise,
    ast.ClassDef: Walker.read_class,
    ast.FunctionDef: Walker.read_define,
    ast.AsyncFunctionDef: Walker.read_define,
}
