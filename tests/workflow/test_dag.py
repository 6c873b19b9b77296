"""The DAG end to end at a tiny size, in a copy of the tree: run, run again, add a card, edit, break things."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from qualiclip.bench.plan.jobs import parse
from tests.support.commands import ROOT
from tests.support.trees import append, edit, jobs, nothing_to_do, output_of, outputs, snakemake

pytestmark = pytest.mark.dag

EXPENSIVE = {"fetch", "index", "train", "fit", "features", "score", "score_shard", "merge_shards", "score_per_split"}
EXPENSIVE |= {"score_precomputed", "intensity", "sizes", "explain", "degradation_changes", "efficiency"}


@pytest.fixture
def tree(finished, tmp_path) -> Path:
    """A copy of the finished tree, to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "tree"))


def test_everything_is_there(finished):
    root = finished / "results/mini"
    assert (root / "report.html").stat().st_size > 10_000
    for table in (ROOT / "workflow/tables").glob("*.yaml"):
        if "mini" not in yaml.safe_load(table.read_text()).get("scales", ["mini"]):
            assert not (root / f"tables/{table.stem}.md").exists()
            continue
        text = (root / f"tables/{table.stem}.md").read_text()
        assert "not how good a method is" in text, "the banner of the scale is on every table"
        cells = json.loads((root / f"tables/{table.stem}.json").read_text())
        assert f"## {cells['title']}\n" in text and (root / f"tables/{table.stem}.tex").is_file()
    for figure in (ROOT / "workflow/figures").glob("*.yaml"):
        methods = yaml.safe_load(figure.read_text()).get("methods", [])
        if all((root / f"scores/{m}").is_dir() for m in methods):
            assert (root / f"figures/{figure.stem}.png").stat().st_size > 1000
        else:
            assert "not drawn" in (root / "report.html").read_text()
    scores = pd.read_csv(root / "scores/qualiclip/mini_ladder.csv")
    index = pd.read_csv(root / "index/mini_ladder.csv")
    assert scores["image"].equals(index["image"]) and scores["score"].notna().all()
    assert len(pd.read_csv(root / "tables/zero_shot_authentic.csv")) >= 6
    facts = json.loads((root / "scores/qualiclip/mini_ladder.csv.provenance.json").read_text())
    assert facts["cpu_seconds"] > 0 and facts["peak_memory_mb"] > 100 and facts["complete"]
    assert not (root / "benchmarks").exists(), "what a job took is in its record"


def test_a_finished_run_has_nothing_to_do(finished):
    done = snakemake(finished, "-n", "all")
    assert done.returncode == 0 and "Nothing to be done" in output_of(done)


def test_a_second_run_gives_the_same_score_files(finished, tree, warm):
    shutil.rmtree(tree / "results")
    shutil.rmtree(tree / "datasets/raw")
    shutil.rmtree(tree / ".snakemake")
    assert snakemake(tree, "results/mini/metrics/qualiclip/mini_ladder.csv", **warm).returncode == 0
    ours = outputs(tree, "scores/qualiclip/*.csv")
    assert ours and ours.items() <= outputs(finished, "scores/qualiclip/*.csv").items()


def test_a_deleted_table_comes_back_alone(tree):
    (tree / "results/mini/tables/zero_shot_authentic.md").unlink()
    done = snakemake(tree, "table_zero_shot_authentic")
    assert done.returncode == 0 and jobs(done) == {"table": 1}


def test_a_new_card_appears_and_only_its_own_scores_are_computed(tree):
    card = (tree / "baselines/piqe.yaml").read_text().replace("title: PIQE", "title: my method")
    (tree / "baselines/x.yaml").write_text(card)
    done = snakemake(tree, "all")
    assert done.returncode == 0, output_of(done)
    labelled = {"mini_ladder", "mini_authentic", "mini_restoration"}
    scored = set(re.findall(r"output: results/mini/scores/(\w+)/(\w+)\.csv", output_of(done)))
    assert scored == {("x", d) for d in labelled}
    assert "train" not in jobs(done) and "fetch" not in jobs(done) and "index" not in jobs(done)
    table = pd.read_csv(tree / "results/mini/tables/zero_shot_authentic.csv").set_index("method")["value"]
    assert len(table["x"]) and table["x"].tolist() == table["piqe"].tolist()
    assert set(pd.read_csv(tree / "results/mini/results.csv").query("method == 'x'")["dataset"]) == labelled


def test_editing_a_citation_reruns_no_score(tree):
    edit(tree / "baselines/piqe.yaml", {"citation": "another citation"})
    done = snakemake(tree, "-n", "all")
    assert done.returncode == 0 and not (EXPENSIVE | {"metrics"}) & set(jobs(done)), jobs(done)


def test_editing_a_caption_rebuilds_one_table(tree):
    edit(tree / "workflow/tables/datasets.yaml", {"caption": "another caption"})
    done = snakemake(tree, "table_datasets", "table_zero_shot_authentic", "figure_score_vs_intensity")
    assert "another caption" in (tree / "results/mini/tables/datasets.md").read_text()
    assert jobs(done) == {"table": 1}


def test_words_of_tables_and_figures_and_a_release_rerun_nothing_else(tree):
    """A table's card, a figure's card and the version of the package: their tables, figures and the report alone."""
    edit(tree / "workflow/tables/zero_shot_authentic.yaml", {"title": "Another title"})
    edit(tree / "workflow/figures/overview.yaml", {"title": "Another figure"})
    pyproject = tree / "pyproject.toml"
    text, n = re.subn(r'^version = ".*"$', 'version = "99.0"', pyproject.read_text(), flags=re.MULTILINE)
    assert n == 1
    pyproject.write_text(text)
    done = snakemake(tree, "all")
    # two figures: the one whose card was edited, and that of published values, which is made from the results
    assert done.returncode == 0 and jobs(done) == {"table": 1, "results": 1, "figure": 2, "report": 1}, output_of(done)
    report = (tree / "results/mini/report.html").read_text()
    assert "Another title" in report and "Another figure" in report
    assert nothing_to_do(tree, "all")


def test_editing_the_code_of_one_kind_of_table_rebuilds_its_tables(tree):
    append(tree / "qualiclip/bench/tables/datasets.py", "\n# edited\n")
    append(tree / "qualiclip/bench/figures/overview.py", "\n# edited\n")
    assert jobs(snakemake(tree, "-n", "all")) == {"table": 1, "figure": 1, "report": 1}


def test_a_run_on_fewer_datasets_trains_and_scores_nothing(tree):
    done = snakemake(tree, "-n", "all", "--config", "datasets=[mini_ladder]")
    assert done.returncode == 0 and not (EXPENSIVE | {"metrics"}) & set(jobs(done)), jobs(done)


def test_editing_the_correlations_reruns_them_and_no_score(tree):
    append(tree / "qualiclip/bench/metrics/correlate.py", "\n# edited\n")
    planned = jobs(snakemake(tree, "-n", "all"))
    assert planned["metrics"] > 0 and not EXPENSIVE & set(planned)


def test_features_are_computed_once_and_outlive_the_methods_trained_on_them(finished, tree):
    encoders, sets = {"qualiclip"}, {"mini_authentic", "mini_restoration"}
    root = finished / "results/mini"
    assert {p.parent.name for p in root.glob("features/*/*.npz")} == encoders
    learners = {p.parent.name for p in root.glob("learned/*/*.safetensors")}
    assert learners == {"probe-qualiclip", "qualiclip+-short"}
    for name in learners:
        for d in sets:
            scores, index = (pd.read_csv(root / f"{folder}/{d}.csv") for folder in (f"scores/{name}", "index"))
            parts = index.filter(like="split_")
            assert np.array_equal(scores.filter(like="split_").notna(), parts == "test")
            assert scores["score"].isna().all()
    append(tree / "baselines/probe.py", "\n# edited\n")
    done = snakemake(tree, "-n", "all")
    planned = jobs(done)
    assert planned["score_per_split"] == len(sets) and planned["metrics"] == len(sets)
    assert Counter(job.rule for job in parse(output_of(done))) == planned, "`snakemake plan` counts other jobs"
    assert not (EXPENSIVE - {"score_per_split"}) & set(planned)


def test_a_misspelt_key_stops_before_any_job(tree):
    append(tree / "baselines/piqe.yaml", "higer_better: true\n")
    done = snakemake(tree, "all")
    assert done.returncode != 0 and not jobs(done)
    meant = "baselines/piqe.yaml: unknown key 'higer_better'; did you mean 'higher_better'?; allowed keys:"
    assert meant in output_of(done) and "Traceback" not in output_of(done)


def test_a_former_key_names_its_present_one_before_any_job(tree):
    edit(tree / "workflow/config/mini.yaml", {"train": {"pairs": 2}})
    done = snakemake(tree, "all")
    assert done.returncode != 0 and not jobs(done)
    assert "unknown key 'pairs'; it is now called 'crop_pairs'" in output_of(done)


def test_an_unknown_kind_of_table_stops_before_any_job(tree):
    edit(tree / "workflow/tables/datasets.yaml", {"kind": "chart"})
    done = snakemake(tree, "all")
    assert done.returncode != 0 and not jobs(done) and "Traceback" not in output_of(done)
    assert "workflow/tables/datasets.yaml: kind: no kind of table is called 'chart'" in output_of(done)


def test_an_unknown_scale_names_the_scales(tree):
    done = snakemake(tree, "-n", "all", "--config", "scale=huge")
    assert done.returncode != 0 and "scales: mini" in output_of(done)


def test_a_spoilt_image_is_an_error_row_and_a_repair_completes(tree, warm):
    image = tree / "datasets/raw/mini_authentic/chelsea_000.png"
    good = image.read_bytes()
    image.write_bytes(good[: len(good) // 2])
    scores = tree / "results/mini/scores/laplacian/mini_authentic.csv"
    scores.unlink()
    target = "results/mini/metrics/laplacian/mini_authentic.csv"
    (tree / target).unlink()
    done = snakemake(tree, target, **warm)
    assert done.returncode != 0
    assert "1 of 16 images have no score (chelsea_000.png: cannot be read" in output_of(done)
    assert not (tree / target).exists()
    allowed = snakemake(tree, target, "--config", "allow_errors=true", **warm)
    assert allowed.returncode == 0, output_of(allowed)
    whole = pd.read_csv(tree / target)
    assert set(whole.loc[whole["split"] == "all", "n"]) == {15}
    image.write_bytes(good)
    scores.unlink()
    (tree / target).unlink()
    assert snakemake(tree, target, **warm).returncode == 0
    assert set(pd.read_csv(tree / target).query("split == 'all'")["n"]) == {16}


def test_a_missing_image_stops_the_index(tree):
    (tree / "datasets/raw/mini_authentic/chelsea_000.png").write_text("no image")
    (tree / "results/mini/index/mini_authentic.csv").unlink()
    done = snakemake(tree, "results/mini/index/mini_authentic.csv")
    assert done.returncode != 0 and "chelsea_000.png: damaged, or not an image" in output_of(done)
    assert not (tree / "results/mini/index/mini_authentic.csv").exists()
