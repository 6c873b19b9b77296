"""The report in a real headless Chromium: sorting, filter, address, files to save, zoom, plot, phone, accessibility."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas as pd
import pytest
import yaml
from scipy.stats import spearmanr

from qualiclip.io import sha256

pytestmark = pytest.mark.dag

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]

PROBE = (Path(__file__).parents[1] / "support/report_probe.js").read_text(encoding="utf-8")


# The accessibility checker of Deque, where its package is installed.
AXE = importlib.util.find_spec("axe_core_python")


def chromium(page: Path, *arguments: str, query: str = "") -> list[str]:
    """The command that opens a page, with a profile of its own."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: the page was not opened")
    profile = tempfile.mkdtemp(dir=page.parent)
    address = page.as_uri() + query
    return [CHROMIUM, *QUIET, f"--user-data-dir={profile}", "--enable-logging=stderr", *arguments, address]


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory) -> Path:
    """A copy of the report; REPORT names another page to look at."""
    report = Path(os.environ.get("REPORT", finished / "results/mini/report.html"))
    return Path(shutil.copy(report, tmp_path_factory.mktemp("browser") / "page.html"))


def probe(page: Path, width: int) -> tuple[dict, str]:
    """What the probe saw in a window of this width, and the log of the browser."""
    axe = (Path(AXE.origin).parent / "axe.min.js").read_text(encoding="utf-8") if AXE else ""
    probed = page.with_name("probed.html")
    scripts = f"<script>{axe}</script><script>{PROBE}</script>"
    probed.write_text(page.read_text(encoding="utf-8").replace("</html>", f"{scripts}</html>"), encoding="utf-8")
    # the page sends what it saw
    got: queue.Queue[bytes] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server, open(page.with_name(f"log{width}"), "w+") as log:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        query = f"?to=http://127.0.0.1:{server.server_port}"
        command = chromium(probed, f"--window-size={width},900", query=query)
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        try:
            seen = got.get(timeout=60)
        except queue.Empty:
            pytest.fail(f"the page has sent nothing: {Path(log.name).read_text()[-2000:]}")
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()
        return json.loads(seen), Path(log.name).read_text()


@pytest.fixture(scope="module")
def seen_wide(page) -> tuple[dict, str]:
    """What the probe found in a wide window, and the log of the browser."""
    return probe(page, 1280)


def test_the_page_works(seen_wide):
    seen, log = seen_wide
    assert not re.findall(r"CONSOLE.*(?:Error|error).*", log)
    assert seen["down"] == sorted(seen["down"], reverse=True) and seen["up"] == seen["down"][::-1]
    assert seen["aria"] == "descending" and len(seen["names"]) >= 3
    assert seen["names"] == sorted(seen["names"], key=str.casefold)
    assert seen["images"] >= 14 and seen["broken"] == 0
    assert seen["zoomed"] and seen["dots"] > 0 and seen["curve"] == 1
    assert seen["tip"] and "score" in seen["hovered"]

    assert seen["counts"] == sorted(seen["counts"], reverse=True) and len(set(map(type, seen["counts"]))) == 1
    assert seen["beside"] < 12, "headers of numbers stand over them"
    assert min(seen["zooms"]) > 1.1 and not seen["lost"]
    assert seen["said"] and seen["left"] and "score" in seen["tapped"] and seen["on_top"] and seen["axis_words"] >= 10


def test_filter_metric_and_address(finished, seen_wide):
    seen, _ = seen_wide
    assert seen["address"] == "#?filter=qualiclip&metric=krcc&over=median&hide=control&sort=0%2Cascending"
    assert seen["filtered"] and all("qualiclip" in name.casefold() for name in seen["filtered"])
    assert set(seen["filtered"]) <= set(seen["filtered_table"]) < set(seen["whole"]) | set(seen["filtered_table"])
    metric, over, words, rows = seen["restored"]
    assert (metric, over, words) == ("plcc_logistic", "whole", "") and set(rows) < set(seen["whole"])


def test_what_is_saved_is_the_file(finished, seen_wide):
    seen, _ = seen_wide
    root = finished / "results/mini"
    assert len(seen["files"]) > 50
    for name, digest in seen["files"].items():
        file = next((f for f in (root / "tables" / name, root / "figures" / name) if f.is_file()), None)
        assert name.endswith(".bib") or sha256(file) == digest, name


def test_five_cells_are_those_of_the_score_files(finished):
    """Computed again by scipy from scores and labels: CSV, Markdown, LaTeX and page print them."""
    root = finished / "results/mini"
    page = (root / "report.html").read_text(encoding="utf-8")
    board = re.search(r'id="board".*?</table>', page, re.DOTALL)[0]
    short = yaml.safe_load((finished / "baselines/qualiclip.yaml").read_text())["short"]
    checked = 0
    for method, name in (("qualiclip", short), ("piqe", "PIQE"), ("random", "random")):
        card = yaml.safe_load((finished / f"baselines/{method}.yaml").read_text())
        for dataset, table in (("mini_ladder", "zero_shot_synthetic"), ("mini_authentic", "zero_shot_authentic")):
            scores = pd.read_csv(root / f"scores/{method}/{dataset}.csv")
            index = pd.read_csv(root / f"index/{dataset}.csv")
            labels = yaml.safe_load((finished / f"datasets/{dataset}.yaml").read_text())["labels"]
            sign = 1 if card["higher_better"] == labels.get("higher_better", True) else -1
            text = f"{sign * spearmanr(scores['score'], index['mos']).statistic:.3f}"
            row = re.search(rf"<tr[^>]*><td[^>]*>{re.escape(card['title'])}</td>.*?</tr>", board, re.DOTALL)[0]
            assert f">{text}<" in row, (method, dataset)
            cells = (root / f"tables/{table}.md").read_text()
            if "whole set" in cells and re.search(rf"\|\s*{re.escape(card['title'])}", cells):
                line = next(x for x in cells.splitlines() if x.startswith(f"| {card['title']} "))
                assert text in line
                tex = (root / f"tables/{table}.tex").read_text()
                line = next(x for x in tex.splitlines() if x.startswith(f"{name} &"))
                assert text.replace("-", "$-$") in line
                checked += 1
    assert checked >= 5


def test_it_fits_a_phone(page):
    seen, _ = probe(page, 500)  # Chromium's narrowest window
    assert seen["wider"] <= 0 and min(seen["zooms"]) > 1.1 and seen["axis_words"] >= 10 and seen["on_top"]


@pytest.mark.skipif(AXE is None, reason="axe-core-python is not installed: accessibility was not checked")
def test_accessibility(seen_wide):
    """No finding of axe-core that is serious or critical."""
    assert seen_wide[0]["axe"] == []


def test_it_needs_no_network(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"$]*"', text) and "@import" not in text


def test_screenshots(page):
    """Kept in the run's temporary folder, wide and narrow, or in SCREENSHOTS."""
    folder = Path(os.environ.get("SCREENSHOTS", page.parent))
    for name, size in {"wide": "1280,2400", "narrow": "500,2400"}.items():
        file = folder / f"report_{name}.png"
        command = chromium(page, f"--screenshot={file}", f"--window-size={size}", "--virtual-time-budget=20000")
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        assert file.is_file() and file.stat().st_size > 20_000, done.stderr[-2000:]
        print(file)
