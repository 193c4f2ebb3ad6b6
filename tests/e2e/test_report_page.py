"""The report's page in a real headless Chromium: it loads, sorts, filters, fits a phone and can be read."""

from __future__ import annotations

import html
import json
import random
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.records import DAY, record, row, write
from fanout_mcp.reports import hooks
from fanout_mcp.state.settings import Settings

pytestmark = pytest.mark.e2e

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=5000", "--dump-dom"),
)
DARK = "--blink-settings=preferredColorScheme=0"
LIGHT = "--blink-settings=preferredColorScheme=1"

PROBE = """
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument, view = frame.contentWindow;
  const column = (table, number) => [...page.querySelectorAll(`#${table} tbody tr`)]
    .filter((row) => !row.hidden).map((row) => row.cells[number].dataset.value);
  const found = {ready: page.documentElement.dataset.ready, charts: page.querySelectorAll("svg").length};
  const median = [...page.querySelectorAll("#hooks th")].findIndex((head) => head.textContent === "median");
  page.querySelectorAll("#hooks th button")[median].click();
  found.down = column("hooks", median).map(Number);
  page.querySelectorAll("#hooks th button")[median].click();
  found.up = column("hooks", median).map(Number);
  page.querySelectorAll("#hooks th button")[0].click();
  found.names = column("hooks", 0);
  const input = page.querySelector("input");
  input.value = "hook3";
  input.dispatchEvent(new view.Event("input"));
  found.filtered = column("hooks", 0);
  found.told = page.querySelector("output").textContent;
  found.wide = page.documentElement.scrollWidth;
  const light = (words) => {
    const [r, g, b] = words.match(/[\\d.]+/g).slice(0, 3).map((one) => {
      const c = one / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = view.getComputedStyle(at).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const words = "h1, h2, p, li, td, th, dt, dd, label, svg text, .slower, .faster";
  found.contrast = [...page.querySelectorAll(words)]
    .map((node) => {
      const style = view.getComputedStyle(node);
      const ink = node.tagName === "text" ? style.fill : style.color;
      const [a, b] = [light(ink), light(ground(node))].sort((one, two) => two - one);
      return [(a + 0.05) / (b + 0.05), node.tagName, node.textContent.slice(0, 20)];
    }).sort((one, two) => one[0] - two[0])[0];
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
"""


def chromium() -> str:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed; the page is looked at in a real browser")
    return program


def look(tmp_path: Path, document: str, width: int, scheme: str) -> dict[str, Any]:
    """Open the page in a frame of a width, use it, and return what was found."""
    source = html.escape(document, quote=True)
    wrapper = f'<!doctype html><body><iframe width="{width}" height="800" srcdoc="{source}"></iframe>'
    path = tmp_path / "wrapper.html"
    path.write_text(f"{wrapper}<script>{PROBE}</script></body>")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [chromium(), *FLAGS, scheme, profile, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stdout[-500:]
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    return found


@pytest.fixture
def document(tmp_path: Path) -> str:
    chance, now = random.Random(1), time.time()
    records = [
        record(
            *(row(f"hook{n}", round(chance.lognormvariate(n / 4, 0.3), 2), lane="lane") for n in range(12)),
            at=now - back * DAY / 10,
            phase=("PreToolUse", "UserPromptSubmitWithAVeryLongName")[back % 2],
        )
        for back in range(130)
    ]
    write(tmp_path, *records)
    item = hooks.item(Settings(tmp_path, tmp_path / "user"), 7, None)
    return hooks.render(hooks.make({**item, "home": str(tmp_path)}))


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_the_page_works_and_can_be_read(tmp_path: Path, document: str, width: int, scheme: str) -> None:
    found = look(tmp_path, document, width, scheme)
    assert found["ready"] == "yes"
    assert found["charts"] >= 5
    assert found["down"] == sorted(found["down"], reverse=True)
    assert found["up"] == sorted(found["up"])
    assert found["names"] == sorted(found["names"], reverse=True)
    assert set(found["filtered"]) == {"hook3"}
    assert found["told"] == "2 of 24"
    assert found["wide"] <= width
    assert found["contrast"][0] >= 4.5, found["contrast"]
