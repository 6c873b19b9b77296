"""Anyone's method in the DAG: the four ways of adding one, and a method whose weights come later."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from qualiclip.bench.formats import read_index, read_metrics, read_scores, refusal
from tests.support.trees import copy_tree, jobs, nothing_to_do, output_of, small_tree, snakemake

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
        index=paths.index("{dataset}"),
    output:
        paths.scores("mine-rule", "{dataset}"),
    params:
        raw=workspace.config.data,
    shell:
        "(echo image,score; tail -n +2 {input.index:q} | cut -d, -f1 | while read f;"
        " do echo $f,$(wc -c < {params.raw}/{wildcards.dataset}/$f); done) > {output:q}.raw &&"
        " {PYTHON} -m qualiclip.bench.score.precomputed baselines/mine-rule.yaml datasets/{wildcards.dataset}.yaml"
        " --index {input.index:q} --from {output:q}.raw --out {output:q} && rm {output:q}.raw"
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


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("methods") / "tree")


def test_a_method_is_added_in_four_ways(tree, warm):
    done = snakemake(tree, "results/mini/index/mini_heldout.csv", **warm)
    assert done.returncode == 0, done.stderr
    photos = pd.read_csv(tree / "results/mini/index/mini_heldout.csv")[["image"]].assign(score=[0.25, 0.75])
    targets = [
        add(tree, "mine-pyiqa", "pyiqa: piqe"),
        add(tree, "mine-python", "module: mine.py:Red", mine__py=MODULE),
        add(tree, "mine-scores", "scores: 'mine_{dataset}.csv'", mine_mini_heldout__csv=photos.iloc[::-1].to_csv()),
        add(tree, "mine-rule", "rule: true", **{"mine-rule__smk": RULE}),
    ]
    done = snakemake(tree, *targets, **warm)
    assert done.returncode == 0, done.stderr
    assert {"score": 2, "score_precomputed": 1, "mine_rule": 1}.items() <= jobs(done).items()
    scores = {Path(t).parent.name: pd.read_csv(tree / t, keep_default_na=False) for t in targets}
    for table in scores.values():
        assert list(table) == ["image", "score", "error"] and table["image"].equals(photos["image"])
        assert (table["error"] == "").all()
    assert scores["mine-scores"]["score"].tolist() == [0.25, 0.75]
    sizes = [(tree / "datasets/raw/mini_heldout" / f).stat().st_size for f in photos["image"]]
    assert scores["mine-rule"]["score"].tolist() == sizes
    assert scores["mine-python"]["score"].between(0, 1).all()
    assert nothing_to_do(tree, *targets)


LABELS_ONLY = ["--config", "datasets=[mini_authentic]", "labels_only=[mini_authentic]"]


def test_labels_alone_train_and_fit_nothing(tmp_path):
    """All methods that would have to see images are refused in one job."""
    done = snakemake(copy_tree(tmp_path / "tree"), "-n", "table_zero_shot_authentic", *LABELS_ONLY)
    assert done.returncode == 0, done.stderr
    assert jobs(done) == {"fetch": 2, "index": 1, "score_refused_mini_authentic": 1, "table": 1}


def test_the_scores_of_labels_alone_state_the_reason(tmp_path, warm):
    tree = small_tree(tmp_path / "tree")
    done = snakemake(tree, "table_zero_shot_authentic", *LABELS_ONLY, **warm)
    assert done.returncode == 0, output_of(done)
    root = tree / "results/mini"
    index = read_index(root / "index/mini_authentic.csv")
    for method in ("piqe", "qualiclip"):
        scores = read_scores(root / f"scores/{method}/mini_authentic.csv", index)
        assert refusal(scores) == "the images of mini authentic are not here, only its labels"
    assert "not run: the images of mini authentic are not here" in (root / "tables/zero_shot_authentic.md").read_text()
    assert nothing_to_do(tree, "table_zero_shot_authentic", *LABELS_ONLY)


SET = """
title: Late
family: authentic
files: [{filename: late.zip, manual: by a form, extract: true}]
labels: {file: labels.csv, range: [0, 1]}
citation: c
license: l
"""


def test_what_is_not_here_is_made_when_its_file_comes(tree, warm):
    """The weights of a method, and the release of a set; nothing else is made then."""
    target = add(tree, "mine-late", "module: late.py:Late\nweights: [mine/late.pth]", late__py=LATE)
    (tree / "datasets/late.yaml").write_text(SET)
    metrics = [f"results/mini/metrics/{m}/late.csv" for m in ("laplacian", "file-size")]
    others = [*metrics, "results/mini/scores/laplacian/mini_heldout.csv"]
    mirror = tree / "files"
    mirror.mkdir()
    done = snakemake(tree, target, *others, **warm)
    assert done.returncode == 0, output_of(done)
    reason = "late.pth could not be fetched from nowhere; put it at DIR/mine/late.pth"
    assert set(pd.read_csv(tree / target)["reason"]) == {reason}
    absence = "Late: not here: late.zip must be fetched by hand (by a form); put it at DIR/late/late.zip and give"
    assert all(read_metrics(tree / m)["reason"].item().startswith(absence) for m in metrics)
    for config in ([], ["--config", f"mirror={mirror}"]):  # nothing has come
        assert nothing_to_do(tree, target, *others, *config)
    for folder in ("mine", "late"):
        (mirror / folder).mkdir()
    (mirror / "mine/late.pth").touch()
    with zipfile.ZipFile(mirror / "late/late.zip", "w") as z:
        z.writestr("labels.csv", "image,mos\n" + "".join(f"{i}.png,{i / 10}\n" for i in range(10)))
        for i in range(10):
            with z.open(f"{i}.png", "w") as f:
                Image.effect_noise((40 + i, 32), 10 * i).save(f, "PNG")
    done = snakemake(tree, target, *others, "--config", f"mirror={mirror}", **warm)
    assert done.returncode == 0, output_of(done)
    assert jobs(done) == {"fetch": 1, "index": 1, "score": 3, "metrics": 2}
    assert all((read_metrics(tree / m)["n"] == 10).any() for m in metrics)
    assert pd.read_csv(tree / target)["score"].notna().all()
    assert json.loads((tree / f"{target}.provenance.json").read_text())["mirrored"] == ["mine/late.pth"]
    for config in ([], ["--config", f"mirror={mirror}"]):  # with the files or without: it is done
        assert nothing_to_do(tree, target, *others, *config)
