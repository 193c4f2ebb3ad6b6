"""What a call is about is found without holding up the loop, however many files there are."""

from __future__ import annotations

import gc
import time
from contextlib import suppress
from pathlib import Path

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.receipt import Receipt
from fanout_mcp.source.workers import Workers
from fanout_mcp.structure.survey import Gathering, listed


def planted(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"f{number}.py").touch()


def test_a_vendored_folder_that_is_named_is_read_at_no_price_for_each_pair_of_files(tmp_path: Path) -> None:
    planted(tmp_path / "node_modules" / "cart", 8_000)
    planted(tmp_path / "vendor", 1)
    began = time.process_time()
    found = listed(tmp_path, ["./node_modules/cart/"])
    assert time.process_time() - began < 1.5
    assert len(found.read) == 8_000
    assert list(found.skipped) == ["vendor/f0.py"]


async def test_telling_thousands_of_files_apart_leaves_the_loop_free(
    tmp_path: Path, workers: Workers
) -> None:
    planted(tmp_path / "tests" / "fixtures", 8_000)
    (tmp_path / "cart.py").write_text("def total(): ...\n")
    began = time.thread_time()
    gathered = await Gathering(workers, tmp_path, tmp_path / "cache").gather(
        None, None, Receipt(), lambda *_: None
    )
    taken = time.thread_time() - began
    assert [module.name for module in gathered.modules] == ["."]
    assert len(gathered.graph.outlines) == 8_001
    assert taken < 0.05


async def test_no_search_for_circles_stops_the_loop_while_a_project_is_read(
    tmp_path: Path, workers: Workers
) -> None:
    (tmp_path / "cart.py").write_text("def total(): ...\n")
    seen: list[bool] = []
    gathering = Gathering(workers, tmp_path, tmp_path / "cache")
    for names in (None, ["nothing"]):
        with suppress(InvalidInput):
            await gathering.gather(names, None, Receipt(), lambda *_: seen.append(gc.isenabled()))
        assert gc.isenabled()
    assert set(seen) == {False}
