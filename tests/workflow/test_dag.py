"""The DAG end to end at a tiny size, in a copy of the tree: run, run again, add a card, break things."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT, run

pytestmark = pytest.mark.dag

COPIED = ("Snakefile", "workflow", "profiles", "qualiclip", "baselines", "datasets")
TINY_CARDS = {  # what is smaller than in the real cards; all else is theirs
    "mini_pristine": {"make": {"arguments": {"leaves": 2, "side": 128, "seed": 0}}, "images": {"count": None}},
    "mini_heldout": {"make": {"arguments": {"photos": 2, "width": 128, "height": 96}}, "images": {"count": 2}},
    "mini_ladder": {"images": {"count": 240}},
    "mini_authentic": {"make": {"arguments": {"per_photo": 8, "seed": 100}}, "images": {"count": 16}},
    "mini_restoration": {"make": {"arguments": {"per_photo": 8, "seed": 200}}, "images": {"count": 16}},
}
TINY_TRAIN = {"steps": 3, "crop": 64, "pairs": 2}


def merged(base: dict, changes: dict) -> dict:
    out = dict(base)
    for key, value in changes.items():
        out[key] = merged(base.get(key, {}), value) if isinstance(value, dict) else value
    return out


def edit(path: Path, changes: dict) -> None:
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), changes)))


def copy_tree(target: Path) -> Path:
    """The project without outputs, with smaller mini sets and three training steps."""
    target.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("raw", "__pycache__"))
        else:
            shutil.copy(source, target / name)
    photos = re.search(r"TRAIN_PHOTOS = \((.*?)\)", (target / "datasets/mini.py").read_text(), re.DOTALL)[1]
    TINY_CARDS["mini_pristine"]["images"]["count"] = photos.count('"') // 2 + 2
    for name, changes in TINY_CARDS.items():
        edit(target / f"datasets/{name}.yaml", changes)
    config = target / "workflow/config/mini.yaml"
    edit(config, {"train": TINY_TRAIN, "photo_count": 1, "efficiency_size": [128, 96]})
    content = yaml.safe_load(config.read_text())
    kept = {name: content["variants"][name] for name in ("qualiclip", "untrained")}
    kept["ablation_full"] = {"steps": 2}
    config.write_text(yaml.safe_dump({**content, "variants": kept}))
    return target


def snakemake(tree: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run("snakemake", "--cores", "2", *arguments, cwd=tree, **env)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """All that a run printed: Snakemake's words come on stderr, those of its jobs on stdout."""
    return done.stdout + done.stderr


def jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Rule -> number of jobs that a run did."""
    ran = re.findall(r"^(?:local)?rule (\w+):", said(done), re.MULTILINE)
    return {rule: ran.count(rule) for rule in ran if rule != "all"}


def outputs(tree: Path, pattern: str) -> dict[str, bytes]:
    return {str(p.relative_to(tree)): p.read_bytes() for p in sorted((tree / "results").rglob(pattern))}


@pytest.fixture
def tree(finished, tmp_path) -> Path:
    """A copy of the finished tree, to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "tree"))


def test_everything_is_there(finished):
    root = finished / "results/mini"
    assert (root / "report.html").stat().st_size > 10_000
    for table in (ROOT / "workflow/tables").glob("*.yaml"):
        text = (root / f"tables/{table.stem}.md").read_text()
        assert "not how good a method is" in text, "the banner of the scale is on every table"
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


def test_a_finished_run_has_nothing_to_do(finished):
    done = snakemake(finished, "-n", "all")
    assert done.returncode == 0 and "Nothing to be done" in said(done)


def test_a_second_run_gives_the_same_score_files(finished, tree):
    shutil.rmtree(tree / "results")
    shutil.rmtree(tree / "datasets/raw")
    shutil.rmtree(tree / ".snakemake")
    assert snakemake(tree, "results/mini/metrics/qualiclip/mini_ladder.csv").returncode == 0
    ours = outputs(tree, "scores/qualiclip/*.csv")
    assert ours and ours.items() <= outputs(finished, "scores/qualiclip/*.csv").items()


def test_a_deleted_table_comes_back_alone(tree):
    (tree / "results/mini/tables/zero_shot_authentic.md").unlink()
    done = snakemake(tree, "table_zero_shot_authentic")
    assert done.returncode == 0 and jobs(done)["table"] == 1 and sum(jobs(done).values()) <= 2


def test_a_new_card_appears_and_only_its_own_scores_are_computed(tree):
    card = (tree / "baselines/piqe.yaml").read_text().replace("title: PIQE", "title: my method")
    (tree / "baselines/x.yaml").write_text(card)
    done = snakemake(tree, "all")
    assert done.returncode == 0, said(done)
    labelled = {"mini_ladder", "mini_authentic", "mini_restoration"}
    assert set(re.findall(r"output: results/mini/scores/(\w+)/(\w+)\.csv", said(done))) <= {("x", d) for d in labelled}
    assert "train" not in jobs(done) and "fetch" not in jobs(done) and "index" not in jobs(done)
    table = pd.read_csv(tree / "results/mini/tables/zero_shot_authentic.csv").set_index("Method")
    assert table.loc["my method"].tolist()[1:] == table.loc["PIQE"].tolist()[1:]


def test_editing_a_citation_reruns_no_score(tree):
    edit(tree / "baselines/piqe.yaml", {"citation": "another citation"})
    done = snakemake(tree, "-n", "all")
    assert not {"score", "metrics", "train"} & set(jobs(done)), jobs(done)


def test_editing_a_caption_rebuilds_one_table(tree):
    edit(tree / "workflow/tables/datasets.yaml", {"caption": "another caption"})
    done = snakemake(tree, "table_datasets", "table_zero_shot_authentic", "figure_score_vs_intensity")
    assert "another caption" in (tree / "results/mini/tables/datasets.md").read_text()
    assert {k: n for k, n in jobs(done).items() if "table_" not in k and "figure_" not in k} == {"table": 1}


def test_a_run_on_fewer_datasets_trains_and_scores_nothing(tree):
    done = snakemake(tree, "-n", "all", "--config", "datasets=[mini_ladder]")
    assert not {"train", "score", "metrics"} & set(jobs(done)), jobs(done)


def test_editing_the_correlations_reruns_them_and_no_score(tree):
    with (tree / "qualiclip/bench/correlate.py").open("a") as f:
        f.write("\n# edited\n")
    ran = jobs(snakemake(tree, "-n", "all"))
    assert ran["metrics"] > 0 and "score" not in ran and "train" not in ran


def test_features_are_computed_once_and_outlive_the_methods_trained_on_them(finished, tree):
    encoders, sets = {"qualiclip"}, {"mini_authentic", "mini_restoration"}
    root = finished / "results/mini"
    assert {p.parent.name for p in root.glob("features/*/*.npz")} == encoders
    trained = {p.parent.name for p in root.glob("learned/*/*.safetensors")}
    assert trained == {"probe-qualiclip", "qualiclip+-short"}
    for name in trained:
        for d in sets:
            scores, index = (pd.read_csv(root / f"{kind}/{d}.csv") for kind in (f"scores/{name}", "index"))
            parts = index.filter(like="split_")
            assert (
                np.array_equal(scores.filter(like="split_").notna(), parts == "test") and scores["score"].isna().all()
            )
    with (tree / "baselines/probe.py").open("a") as f:
        f.write("\n# edited\n")
    ran = jobs(snakemake(tree, "-n", "all"))
    assert ran["within"] == len(sets) and ran["metrics"] == len(sets)
    assert not {"features", "train", "score"} & set(ran)


def test_a_misspelt_key_stops_before_any_job(tree):
    with (tree / "baselines/piqe.yaml").open("a") as f:
        f.write("higer_better: true\n")
    done = snakemake(tree, "all")
    assert done.returncode != 0 and not jobs(done)
    assert "baselines/piqe.yaml: unknown key 'higer_better'; allowed keys:" in said(done)
    assert "Traceback" not in said(done)


def test_an_unknown_scale_names_the_scales(tree):
    done = snakemake(tree, "-n", "all", "--config", "scale=huge")
    assert done.returncode != 0 and "scales: mini" in said(done)


def test_a_spoilt_image_is_an_error_row_and_a_repair_completes(tree):
    image = tree / "datasets/raw/mini_authentic/chelsea_000.png"
    good = image.read_bytes()
    image.write_bytes(good[: len(good) // 2])
    scores = tree / "results/mini/scores/laplacian/mini_authentic.csv"
    scores.unlink()
    target = "results/mini/metrics/laplacian/mini_authentic.csv"
    (tree / target).unlink()
    done = snakemake(tree, target)
    assert done.returncode != 0 and "1 of 16 images have no score (chelsea_000.png: cannot be read" in said(done)
    assert not (tree / target).exists()
    allowed = snakemake(tree, target, "--config", "allow_errors=true")
    assert allowed.returncode == 0, said(allowed)
    whole = pd.read_csv(tree / target)
    assert set(whole.loc[whole["split"] == "all", "n"]) == {15}
    image.write_bytes(good)
    scores.unlink()
    (tree / target).unlink()
    assert snakemake(tree, target).returncode == 0
    assert set(pd.read_csv(tree / target).query("split == 'all'")["n"]) == {16}


def test_a_missing_image_stops_the_index(tree):
    (tree / "datasets/raw/mini_authentic/chelsea_000.png").write_text("no image")
    (tree / "results/mini/index/mini_authentic.csv").unlink()
    done = snakemake(tree, "results/mini/index/mini_authentic.csv")
    assert done.returncode != 0 and "chelsea_000.png: not an image that can be read" in said(done)
    assert not (tree / "results/mini/index/mini_authentic.csv").exists()
