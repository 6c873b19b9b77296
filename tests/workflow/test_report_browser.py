"""The report in a real headless Chromium: no console errors, sorting, images, zoom, plot, phone width."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.dag

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]

# Runs inside the page; what it finds is written into an element that --dump-dom shows.
PROBE = """
<script>
window.addEventListener("load", async () => {
  const seen = {};
  const value = cell => cell.dataset.key === "" ? cell.textContent : Number(cell.dataset.key);
  const column = (table, i) => [...table.tBodies[0].rows].map(row => value(row.cells[i]));
  const board = document.getElementById("board"), heads = board.querySelectorAll("th button");
  heads[2].click(); seen.down = column(board, 2); seen.aria = heads[2].closest("th").getAttribute("aria-sort");
  heads[2].click(); seen.up = column(board, 2);
  heads[0].click(); seen.names = column(board, 0);
  const images = [...document.querySelectorAll("img:not(dialog img)")];
  for (const image of images) image.loading = "eager";
  // decode() of an image off the screen may never answer under virtual time: what counts is checked below
  const decoded = Promise.all(images.map(i => i.decode().catch(() => null)));
  await Promise.race([decoded, new Promise(done => setTimeout(done, 8000))]);
  seen.images = images.length; seen.broken = images.filter(i => !i.complete || i.naturalWidth === 0).length;
  const zoom = document.querySelector(".pair button.zoom");
  zoom.focus(); zoom.click();
  seen.zoomed = document.getElementById("zoom").open && document.querySelector("dialog img").naturalWidth > 0;
  document.getElementById("zoom").close();
  const svg = document.querySelector("#plot svg");
  seen.dots = svg.querySelectorAll("circle").length; seen.curve = svg.querySelectorAll("polyline").length;
  svg.focus();
  svg.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  const tip = document.getElementById("tip");
  seen.tip = !tip.hidden && tip.querySelector("img") !== null;
  const dot = svg.querySelector("circle").getBoundingClientRect();
  const at = { clientX: dot.x + dot.width / 2, clientY: dot.y + dot.height / 2, bubbles: true };
  svg.dispatchEvent(new PointerEvent("pointermove", at));
  seen.hovered = tip.textContent;
  seen.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const out = document.createElement("pre");
  out.id = "seen"; out.textContent = JSON.stringify(seen);
  document.body.append(out);
});
</script>
"""


def chromium(page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: the page was not opened")
    command = [CHROMIUM, *QUIET, f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=20000"]
    command += ["--enable-logging=stderr", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory) -> Path:
    """The report with the probe at its end; REPORT names another page to look at."""
    report = Path(os.environ.get("REPORT", finished / "results/mini/report.html"))
    copy = tmp_path_factory.mktemp("browser") / "page.html"
    copy.write_text(report.read_text(encoding="utf-8").replace("</html>", PROBE + "</html>"), encoding="utf-8")
    return copy


def probe(page: Path, width: int) -> tuple[dict, str]:
    done = chromium(page, "--dump-dom", f"--window-size={width},900")
    seen = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert seen, done.stderr[-2000:]
    return json.loads(seen[1].replace("&quot;", '"').replace("&amp;", "&")), done.stderr


def test_the_page_works(page):
    seen, log = probe(page, 1280)
    assert not re.findall(r"CONSOLE.*(?:Error|error).*", log)
    assert seen["down"] == sorted(seen["down"], reverse=True) and seen["up"] == seen["down"][::-1]
    assert seen["aria"] == "descending" and len(seen["names"]) >= 3
    assert seen["names"] == sorted(seen["names"], key=str.casefold)
    assert seen["images"] >= 14 and seen["broken"] == 0
    assert seen["zoomed"] and seen["dots"] > 0 and seen["curve"] == 1
    assert seen["tip"] and "score" in seen["hovered"]


def test_it_fits_a_phone(page):
    seen, _ = probe(page, 500)  # Chromium's narrowest window
    assert seen["wider"] <= 0


def test_it_needs_no_network(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"$]*"', text) and "@import" not in text


def test_screenshots(page):
    """Kept in the run's temporary folder, wide and narrow, or in SCREENSHOTS."""
    folder = Path(os.environ.get("SCREENSHOTS", page.parent))
    for name, size in {"wide": "1280,2400", "narrow": "500,2400"}.items():
        file = folder / f"report_{name}.png"
        done = chromium(page, f"--screenshot={file}", f"--window-size={size}")
        assert file.is_file() and file.stat().st_size > 20_000, done.stderr[-2000:]
        print(file)
