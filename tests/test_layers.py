"""No module imports, by any way round, a module that imports it: neither across packages nor within one."""

from __future__ import annotations

import grimp
import pytest


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
    assert sorted(imports) == []
