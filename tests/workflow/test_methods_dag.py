"""Anyone's method in the DAG: the four ways of adding one, and a method whose weights come later."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.test_dag import copy_tree, jobs, snakemake

pytestmark = pytest.mark.dag

CARD = """
title: {name}
family: opinion-unaware
higher_better: true
citation: mine
license: mine
"""
MODULE = """
class Red:
    def load(self, device):
        pass

    def score(self, batch):
        return batch.images[:, 0].mean((1, 2))
"""
RULE = """
rule mine_rule:
    input:
        index=OUT / "index/{dataset}.csv",
    output:
        OUT / "scores/mine-rule/{dataset}.csv",
    params:
        raw=RAW,
    shell:
        "(echo image,score; tail -n +2 {input.index} | cut -d, -f1 | while read f;"
        " do echo $f,$(wc -c < {params.raw}/{wildcards.dataset}/$f); done) > {output}.raw &&"
        " python -m qualiclip.bench.score.precomputed baselines/mine-rule.yaml datasets/{wildcards.dataset}.yaml"
        " --index {input.index} --from {output}.raw --out {output} && rm {output}.raw"
"""
LATE = """
from qualiclip.bench.methods.contract import NotRun

class Late:
    def __init__(self, mirror):
        self.file = mirror and mirror / "mine/late.pth"

    def load(self, device):
        if not (self.file and self.file.is_file()):
            raise NotRun("late.pth could not be fetched from nowhere; put it at DIR/mine/late.pth")

    def score(self, batch):
        return batch.images.mean((1, 2, 3))
"""


def add(tree: Path, name: str, source: str, **files: str) -> str:
    """A card with its files; returns the score file of the held-out photos."""
    (tree / f"baselines/{name}.yaml").write_text(CARD.format(name=name) + source + "\n")
    for file, text in files.items():
        (tree / "baselines" / file.replace("__", ".")).write_text(text)
    return f"results/mini/scores/{name}/mini_heldout.csv"


def idle(tree: Path, *arguments: str) -> bool:
    """Whether nothing is left to be done."""
    done = snakemake(tree, "-n", *arguments)
    return "Nothing to be done" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("methods") / "tree")


def test_a_method_is_added_in_four_ways(tree):
    done = snakemake(tree, "results/mini/index/mini_heldout.csv")
    assert done.returncode == 0, done.stderr
    photos = pd.read_csv(tree / "results/mini/index/mini_heldout.csv")[["image"]].assign(score=[0.25, 0.75])
    targets = [
        add(tree, "mine-pyiqa", "pyiqa: piqe"),
        add(tree, "mine-python", "module: mine.py:Red", mine__py=MODULE),
        add(tree, "mine-scores", "scores: 'mine_{dataset}.csv'", mine_mini_heldout__csv=photos.iloc[::-1].to_csv()),
        add(tree, "mine-rule", "rule: true", **{"mine-rule__smk": RULE}),
    ]
    done = snakemake(tree, *targets)
    assert done.returncode == 0, done.stderr
    assert {"score": 2, "published": 1, "mine_rule": 1}.items() <= jobs(done).items()
    scores = {Path(t).parent.name: pd.read_csv(tree / t, keep_default_na=False) for t in targets}
    for table in scores.values():
        assert list(table) == ["image", "score", "error"] and table["image"].equals(photos["image"])
        assert (table["error"] == "").all()
    assert scores["mine-scores"]["score"].tolist() == [0.25, 0.75]
    sizes = [(tree / "datasets/raw/mini_heldout" / f).stat().st_size for f in photos["image"]]
    assert scores["mine-rule"]["score"].tolist() == sizes
    assert scores["mine-python"]["score"].between(0, 1).all()
    assert idle(tree, *targets)


def test_labels_alone_train_and_fit_nothing(tree):
    said = ["datasets=[mini_authentic]", "labels_only=[mini_authentic]"]
    done = snakemake(tree, "-n", "table_zero_shot_authentic", "--config", *said)
    assert done.returncode == 0, done.stderr
    planned = jobs(done)
    assert planned["unseen"] > 5 and not {"train", "fit", "score", "features", "within"} & set(planned), planned


def test_a_method_without_weights_is_tried_again_when_they_come(tree):
    target = add(tree, "mine-late", "module: late.py:Late\nweights: [mine/late.pth]", late__py=LATE)
    mirror = tree / "files"
    assert snakemake(tree, target).returncode == 0
    assert set(pd.read_csv(tree / target)["error"].str[:8]) == {"not run:"}
    for config in ([], ["--config", f"mirror={mirror}"]):  # nothing has come
        assert idle(tree, target, *config)
    (mirror / "mine").mkdir(parents=True)
    (mirror / "mine/late.pth").touch()
    done = snakemake(tree, target, "--config", f"mirror={mirror}")
    assert done.returncode == 0 and jobs(done) == {"score": 1}, done.stderr
    assert pd.read_csv(tree / target)["score"].notna().all()
    assert json.loads((tree / f"{target}.provenance.json").read_text())["found"] == ["mine/late.pth"]
    for config in ([], ["--config", f"mirror={mirror}"]):  # with the file or without: it is done
        assert idle(tree, target, *config)
