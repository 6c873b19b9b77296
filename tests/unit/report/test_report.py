"""The report: its sections as data, and the page that holds them all."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.formats import write_csv
from qualiclip.bench.report import page, sections
from qualiclip.bench.tables.render import render, write
from qualiclip.bench.tables.results import read_results
from qualiclip.bench.tables.standing import standing
from qualiclip.bench.tables.tidy import collected, read_tidy
from qualiclip.bench.workspace import Workspace
from tests.support.cards import dataset_card, figure_card, method_card, table_card
from tests.support.results import EVERYTHING, noisy, with_results

GONE = "its weights are gone"


@pytest.fixture
def workspace(tmp_path, at_root) -> Workspace:
    """Four methods on a set of 60 images, of which two are here; one table, one gMAD figure."""
    mos = np.random.default_rng(0).random(60)
    scored = [(method_card("a"), noisy(mos, 0.1)), (method_card("b", higher_better=False), -noisy(mos, 0.5, 2))]
    scored += [(method_card("c", trained_on=["myset"]), mos), (method_card("d"), GONE)]
    workspace = with_results(tmp_path, scored, mos, dataset_card(60))
    (tmp_path / "myset").mkdir()
    for i in range(2):
        Image.new("RGB", (1200, 900), "red").save(tmp_path / f"myset/{i}.png")
    # cards, and what their jobs have written
    workspace.all_tables = {"t": table_card(**EVERYTHING)}
    workspace.all_figures = {"f": figure_card("gmad", name="f", methods=["a", "b"])}
    workspace.all_figures |= {"g": figure_card("gmad", name="g", title="left out", methods=["a", "nobody"])}
    write(render(workspace.all_tables["t"], workspace), workspace.paths.table("t"))
    write_csv(collected([workspace.paths.table("t").with_suffix(".csv")]), workspace.paths.results)
    workspace.paths.figure("f").parent.mkdir()
    Image.new("RGB", (30, 20), "blue").save(workspace.paths.figure("f"))
    files = [workspace.paths.figure("f").with_suffix(s) for s in (".csv", ".tex", ".pdf")]
    for file in [*files, workspace.paths.latex_index]:
        file.write_text(f"the file {file.name}")
    return workspace


def results_of(workspace: Workspace) -> list:
    return read_results(workspace.paths, workspace.scored())


def board_of(workspace: Workspace, without: str = "") -> list[dict]:
    """Rows of the leaderboard."""
    results = results_of(workspace)
    compared = [r for r in results if r.method.name != without]
    ranked = standing(compared, workspace)
    return sections.leaderboard(read_tidy(workspace.paths.results), compared, results, ranked)[1]


def test_the_leaderboard_is_sorted_by_the_mean_of_what_competes(workspace):
    rows = board_of(workspace)
    assert [r["title"] for r in rows] == ["A", "B", "C", "D"], "C has seen the labels, D was not run"
    cells = {r["title"]: r["cells"][0] for r in rows}
    assert cells["C"]["leaked"] and not cells["A"]["leaked"] and cells["C"]["value"] == pytest.approx(1)
    assert cells["D"]["refused"] == GONE and np.isnan(cells["D"]["value"])
    assert [r["text"] for r in rows[2:]] == ["–", "–"] and [r["rank"] for r in rows[2:]] == [("", "")] * 2
    assert float(cells["A"]["low"]) < cells["A"]["value"] < float(cells["A"]["high"])
    assert rows[0]["mean"] == cells["A"]["value"] and [r["rank"] for r in rows[:2]] == [(1, 1), (2, 2)]


def test_the_leaderboard_has_a_gap_where_a_method_has_no_result(workspace):
    assert {r["title"] for r in board_of(workspace, without="a")} == {"B", "C", "D"}
    assert sections._cell(None, pd.DataFrame())["text"] == "–"


def test_the_scatter_plot_has_scores_labels_and_thumbnails(workspace):
    (plot,) = sections.scatter(workspace, results_of(workspace))
    assert plot["title"] == "My set" and plot["total"] == 60 and plot["sign"] == 1 and plot["label"] == "MOS"
    assert [m["name"] for m in plot["methods"]] == ["a", "b", "c"], "a refused method has no points"
    assert len(plot["images"]) == len(plot["labels"]) == len(plot["thumbs"]) == len(plot["methods"][0]["scores"]) == 60
    assert plot["labels"] == sorted(plot["labels"])
    assert sum(t.startswith("data:image/jpeg;base64,") for t in plot["thumbs"]) == 2
    assert plot["methods"][1]["sign"] == -1 and len(plot["methods"][0]["fit"]) == 4
    json.dumps(plot, allow_nan=False)


def test_gmad_pairs_with_their_images(workspace):
    (figure,) = sections.competitions(workspace)
    assert figure["reason"] == "" and len(figure["pairs"]) == 2 * workspace.config.gmad_levels
    pair = figure["pairs"][0]
    assert {pair["defender"], pair["attacker"]} == {"A", "B"} and [s["side"] for s in pair["sides"]] == [
        "better",
        "worse",
    ]
    assert [w.split()[0] for w in pair["sides"][0]["words"]] == ["A", "B", "MOS"]
    workspace.all_figures = {"f": figure_card("gmad", methods=["a", "d"])}
    assert sections.competitions(workspace)[0]["reason"] == f"D on My set: not run: {GONE}"


def test_the_gmad_ranking_needs_three_methods(workspace):
    table = sections.gmad_ranking(workspace, results_of(workspace))
    assert set(table.values["Method"]) == {"A", "B", "C"} and table.values["Method"][0] == "C"
    assert "All 3 methods against each other on My set, 60 images." in table.caption
    assert sections.gmad_ranking(workspace, results_of(workspace)[:2]) is None


def test_figures_are_made_smaller(workspace, tmp_path):
    Image.new("RGB", (4000, 100), "blue").save(tmp_path / "wide.png")
    assert sections.inline(tmp_path / "wide.png").startswith("data:image/webp;base64,")
    assert sections.jpeg(tmp_path / "nowhere.png", 10) == ""


def test_the_page_has_it_all_and_needs_no_network(workspace):
    text = page.render(workspace, page.printed_tables(workspace))
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"$]*"', text) and "@import" not in text
    assert 'id="table-t"' in text and 'id="figure-f"' in text
    assert "<strong>left out</strong>: not drawn, this run has no method nobody." in text
    assert f'title="{GONE}"' in text and "gMAD: global ranking" in text
    cells = json.loads(workspace.paths.table("t").with_suffix(".json").read_text())
    assert all(cell["text"] in text for row in cells["rows"] for cell in row), "the tables as they were printed"
    points = json.loads(re.search(r'id="points">(.*?)</script>', text, re.DOTALL)[1])
    assert [m["title"] for m in points[0]["methods"]] == ["A", "B", "C"]


def test_the_page_holds_the_files_that_it_offers(workspace):
    text = page.render(workspace, page.printed_tables(workspace))
    held = json.loads(re.search(r'id="files">(.*?)</script>', text, re.DOTALL)[1])
    for path in (workspace.paths.table("t").with_suffix(".csv"), workspace.paths.latex_index):
        assert held[path.name] == path.read_text(encoding="utf-8")
    assert "f.csv" in held and set(re.findall(r'data-file="(\S+?)"', text)) <= {*held, "f.pdf"}


def test_ablations_and_methods_with_a_model_per_split_have_no_row(tmp_path, at_root):
    mos = np.random.default_rng(0).random(60)
    probe = method_card("probe", module="x.py:X", features_of="encoder", family="supervised")
    scored = [(method_card("a"), noisy(mos, 0.1)), (method_card("e", family="ablation"), mos), (probe, mos)]
    workspace = with_results(tmp_path, scored, mos, dataset_card(60))
    everything = {"rows": {"family": ["opinion-unaware", "supervised", "ablation"], "names": ["e"]}}
    workspace.all_tables = {"t": table_card(**EVERYTHING | everything)}
    workspace.all_figures = {}
    workspace.all_methods["encoder"] = workspace.all_methods["encoder"].model_copy(update={"scales": []})
    write(render(workspace.all_tables["t"], workspace), workspace.paths.table("t"))
    write_csv(collected([workspace.paths.table("t").with_suffix(".csv")]), workspace.paths.results)
    workspace.paths.latex_index.write_text("the index")
    text = page.render(workspace, page.printed_tables(workspace))
    board = re.search(r'id="board".*?</table>', text, re.DOTALL)[0]
    assert re.findall(r'<tr[^>]*><td data-key="">(\w+)', board) == ["A"]
    assert "PROBE" in text
    assert load_config({}).banner not in text, "the banner is that of the scale"
