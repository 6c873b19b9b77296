"""The static site: a folder per run, and a page that lists them."""

from __future__ import annotations

import json
import re

from qualiclip.bench.paths import sidecar
from qualiclip.bench.release import site


def test_runs_stand_side_by_side_and_their_links_lead_somewhere(run, tmp_path):
    paths = run.paths
    for file in (paths.report, paths.results, paths.release, sidecar(paths.table("t"))):
        file.parent.mkdir(exist_ok=True)
        file.write_text(file.name)
    for folder, ends in ((paths.table("t"), ("md", "csv", "tex")), (paths.figure("f"), ("png", "pdf", "csv"))):
        folder.parent.mkdir(exist_ok=True)
        for end in ends:
            folder.with_suffix(f".{end}").write_text(end)
    for name, scale in (("paper-1", "paper"), ("mini-2", "mini <&>")):
        (tmp_path / "site" / name).mkdir(parents=True)
        site.copy(run, tmp_path / "site" / name)
        facts = site.record(run)
        facts["facts"]["Scale"] = scale
        (tmp_path / "site" / name / "run.json").write_text(json.dumps(facts))
    page = site.contents(tmp_path / "site")
    assert "mini &lt;&amp;&gt;" in page and "MySet" not in page and page.count("My set 1") == 2
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 2 * 10 + 1
    for link in links[1:]:
        assert (tmp_path / "site" / link).is_file(), link
    assert not list((tmp_path / "site").rglob("*.provenance.json"))


def test_a_site_without_runs_is_a_page(tmp_path):
    assert "<table>" in site.contents(tmp_path)
