"""No module imports, by any way round, a module that imports it: neither across packages nor within one."""

from __future__ import annotations

import grimp
import pytest

KNOWN = ("fanout_mcp.review.static.python.",)
"""One circle is left, among the analysers of Python."""


@pytest.mark.parametrize("package", ["fanout_mcp", "fanout_hooks"])
def test_imports_go_in_no_circle(package: str) -> None:
    graph = grimp.build_graph(package, exclude_type_checking_imports=True)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    # What imports nothing, and what nothing imports, is in no circle; taken away, it leaves the circles.
    while True:
        imported = set[str]().union(*imports.values())
        free = {name for name, own in imports.items() if not own or name not in imported}
        if not free:
            break
        imports = {name: own - free for name, own in imports.items() if name not in free}
    assert sorted(name for name in imports if not name.startswith(KNOWN)) == []


def test_the_known_circle_is_still_there() -> None:
    """When it is gone, KNOWN goes too."""
    graph = grimp.build_graph("fanout_mcp", exclude_type_checking_imports=True)
    inside = [name for name in graph.modules if name.startswith(KNOWN)]
    assert any(
        graph.chain_exists(other, name)
        for name in inside
        for other in graph.find_modules_directly_imported_by(name)
    )
