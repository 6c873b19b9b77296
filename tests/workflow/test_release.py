"""A release made twice, a fresh clone in which it is unpacked with one more method, and the site."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.support.trees import jobs, nothing_to_do, output_of, outputs, small_tree, snakemake

pytestmark = pytest.mark.dag

CARD = """
title: my own
family: opinion-unaware
higher_better: true
scores: "mine_{dataset}.csv"
citation: mine
license: mine
"""


def test_everything_is_made_again_from_a_release(finished_small, tmp_path, warm):
    tree = Path(shutil.copytree(finished_small, tmp_path / "tree"))
    archive = tree / "results/mini/release.zip"
    done = snakemake(tree, "site", **warm)
    assert done.returncode == 0 and jobs(done) == {"release": 1, "site": 1}, output_of(done)
    first = archive.read_bytes()
    (page,) = tree.glob("results/site/mini-*/report.html")
    assert page.parent.name in (tree / "results/site/index.html").read_text()
    assert (page.parent / "release.zip").read_bytes() == first
    assert snakemake(tree, "--forcerun", "release", "release", **warm).returncode == 0
    assert archive.read_bytes() == first
    # a clone without data; a run of one's own is not replaced
    clone, config = small_tree(tmp_path / "clone"), ("--config", f"release={archive}")
    refused = snakemake(tree, "-n", "all", *config)
    assert refused.returncode != 0 and "holds a run; give another results=DIR" in output_of(refused)
    done = snakemake(clone, "all", *config, **warm)
    assert done.returncode == 0, output_of(done)
    assert jobs(done) == {"unpack": 1, "table": 1, "results": 1, "figure": 1, "report": 1}
    for file in ("tables/*.md", "tables/*.csv", "tables/*.tex", "results.csv", "figures/*.png"):
        pattern = f"mini/{file}"  # not those of the site
        assert outputs(clone, pattern) == outputs(tree, pattern) != {}
    assert not (clone / "datasets/raw").exists()
    # one more method
    scores = pd.read_csv(clone / "results/mini/scores/laplacian/mini_authentic.csv")
    (clone / "baselines/mine.yaml").write_text(CARD)
    scores[["image", "score"]].to_csv(clone / "baselines/mine_mini_authentic.csv", index=False)
    done = snakemake(clone, "all", *config, **warm)
    assert done.returncode == 0, output_of(done)
    new = {"score_precomputed": 1, "metrics": 1, "table": 1, "results": 1, "report": 1}
    assert jobs(done) == new
    table = pd.read_csv(clone / "results/mini/tables/zero_shot_authentic.csv").set_index("method")["value"]
    assert table["mine"].tolist() == table["laplacian"].tolist()
    assert nothing_to_do(clone, "all", *config)
