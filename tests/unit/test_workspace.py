"""Which cards a run uses, that they fit together, and what finished outputs say of how they were made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qualiclip.bench import provenance
from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.paths import Paths
from qualiclip.bench.tables.kinds import timed_methods
from qualiclip.bench.workspace import Workspace
from tests.support.cards import BASELINES, figure_card, method_card
from tests.support.commands import ROOT


@pytest.fixture
def workspace(tmp_path, at_root) -> Workspace:
    """Scale mini with results of its own."""
    (tmp_path / "mirror").mkdir()
    return Workspace(load_config({"results": str(tmp_path), "mirror": str(tmp_path / "mirror")}))


@pytest.mark.parametrize("key", ["datasets", "methods", "labels_only", "trust"])
def test_a_name_in_the_config_that_no_card_has(at_root, key):
    with pytest.raises(CardError, match=r"config: no \w+ card 'nobody'; cards: .*(mini_ladder|piqe)"):
        Workspace(load_config({key: ["nobody"]}))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"features_of": "nobody"}, "features_of: 'nobody' is no method card whose source is a variant"),
        ({"features_of": "niqe"}, "features_of: 'niqe' is no method card whose source is a variant"),
        ({"features_of": "clipiqa", "variant": "qualiclip"}, "variant: its features are those of 'untrained'"),
    ],
)
def test_the_encoder_is_one_of_the_suite(changes, problem, workspace):
    card = method_card(path=BASELINES / "m.yaml", family="supervised", module="probe.py:RidgeProbe", **changes)
    workspace.all_methods = {**workspace.all_methods, "m": card}
    with pytest.raises(CardError, match=problem):
        workspace._check_cards()


def test_a_figure_cannot_show_what_has_no_score_of_a_photo(workspace):
    workspace.all_figures = {"f": figure_card("gmad", methods=["niqe", "probe-untrained"])}
    with pytest.raises(CardError, match="probe-untrained is trained per split"):
        workspace._check_cards()


def test_a_figure_with_the_name_of_a_table(workspace):
    workspace.all_figures = {"datasets": figure_card("gmad", name="datasets")}
    with pytest.raises(CardError, match=r"tables/datasets\.yaml has this name too"):
        workspace._check_cards()


def test_a_method_trained_on_a_set_without_a_card(workspace):
    workspace.all_methods = {**workspace.all_methods, "m": method_card(trained_on=["nothing"])}
    with pytest.raises(CardError, match=r"m\.yaml: trained_on: no dataset card 'nothing'"):
        workspace._check_cards()


def test_tables_show_methods_with_a_model_per_split_within_datasets_and_nowhere_else(at_root):
    workspace = Workspace(load_config({"scale": "paper"}))
    ours = {m.name for m in workspace.methods() if m.features_of}
    assert {"probe-untrained", "probe-qualiclip", "clipiqa+-retrained", "qualiclip+-retrained"} <= ours
    shown = {name: {m.name for m, _ in workspace.table_pairs(t)} for name, t in workspace.all_tables.items()}
    assert ours <= shown["same_dataset"] and not any(ours & names for t, names in shown.items() if t != "same_dataset")
    assert not ours & {m.name for m in timed_methods(workspace.all_tables["efficiency"], workspace)}
    assert workspace.variant_of(workspace.all_methods["probe-untrained"]) == "untrained"


def test_a_variant_that_the_scale_does_not_train_is_left_out(at_root):
    names = {m.name for m in Workspace(load_config({"variants": {"qualiclip": {}}})).methods()}
    assert "qualiclip" in names and not {"clipiqa", "probe-untrained", "ablation-full"} & names


def test_paths_are_those_of_the_scale(at_root):
    workspace = Workspace(load_config({"scale": "scratch", "results": "elsewhere", "data": "raws"}))
    assert workspace.paths.index("{dataset}") == Path("elsewhere/scratch/index/{dataset}.csv")
    assert workspace.paths.manifest("clive") == Path("raws/clive/manifest.json")


def test_a_figure_of_a_method_that_is_not_here_is_left_out_and_named(at_root):
    workspace = Workspace(load_config({"methods": ["piqe", "clipiqa"]}))
    assert "score_vs_intensity" not in {f.name for f in workspace.figures()}
    assert any("qualiclip" in why for why in workspace.figures_left_out().values())


def test_a_figure_of_a_method_without_a_card(workspace):
    with pytest.raises(CardError, match="methods: no method card 'nobody'"):
        workspace.figure_methods(figure_card("gmad", methods=["nobody", "piqe"]))


def test_tables_are_those_of_the_scale(at_root):
    mini, paper = (Workspace(load_config({"scale": scale})) for scale in ("mini", "paper"))
    assert {t.name for t in paper.tables()} - {t.name for t in mini.tables()} == {"released_weights"}
    assert {t.name for t in mini.tables()} < set(mini.all_tables)


# Files of the mirror.


def made(out: Path, **facts) -> None:
    """A finished output that states how it was made."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.touch()
    provenance.record(out, **facts)


def put(workspace: Workspace, *files: str) -> None:
    for file in files:
        (workspace.config.mirror / file).parent.mkdir(parents=True, exist_ok=True)
        (workspace.config.mirror / file).touch()


def test_the_files_that_the_mirror_has(workspace):
    method = workspace.all_methods["clipiqa+"]
    assert len(method.weights) > 1 and workspace.mirrored_files(method, "mini_ladder") == []
    put(workspace, method.weights[0], "pyiqa/of_another_method.pth")
    assert workspace.mirrored_files(method, "mini_ladder") == method.weights[:1]
    precomputed = workspace.all_methods["precomputed-qualiclip"]
    put(workspace, precomputed.wanted_files("clive")[0])
    assert workspace.mirrored_files(precomputed, "clive") == precomputed.wanted_files("clive")[:1]
    assert workspace.mirrored_files(precomputed, "mini_ladder") == []


def test_a_mirror_that_comes_later_reruns_nothing(workspace):
    method = workspace.all_methods["clipiqa+"]
    made(workspace.paths.scores(method.name, "mini_ladder"), complete=True, mirrored=["what it had"])
    put(workspace, *method.weights)
    assert workspace.mirrored_files(method, "mini_ladder") == ["what it had"]


def test_a_refused_output_is_tried_again_when_a_file_has_come(workspace):
    method = workspace.all_methods["clipiqa+"]
    made(workspace.paths.scores(method.name, "mini_ladder"), complete=False, mirrored=[])
    assert workspace.mirrored_files(method, "mini_ladder") == []
    put(workspace, *method.weights)
    assert workspace.mirrored_files(method, "mini_ladder") == method.weights


def test_the_files_behind_a_fit_are_its_own(workspace):
    method = workspace.all_methods["mvg-arniqa"]
    made(workspace.paths.fitted(method.name), complete=True, mirrored=["of the fit"])
    put(workspace, *method.weights)
    assert workspace.mirrored_files(method, None) == ["of the fit"]
    assert workspace.mirrored_files(method, "mini_ladder") == method.weights


def test_what_is_measured_of_a_refused_method_is_made_when_its_file_has_come(workspace):
    method = workspace.all_methods["clipiqa+"]
    out = workspace.paths.efficiency(method.name)
    made(out, complete=False, mirrored=[])
    assert workspace.mirrored_files(method, None, out) == []
    put(workspace, *method.weights)
    assert workspace.mirrored_files(method, None, out) == method.weights
    made(out, complete=True, mirrored=["what it had"])
    assert workspace.mirrored_files(method, None, out) == ["what it had"]


def test_a_set_that_was_not_here_is_fetched_again_when_a_file_of_it_has_come(workspace, tmp_path):
    workspace.paths = Paths(workspace.paths.root, tmp_path / "raw")
    d, manifest = workspace.all_datasets["cviu"], workspace.paths.manifest("cviu")
    assert workspace.mirrored_release(d) == []
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"reason": "by hand", "mirrored": []}))
    put(workspace, "cviu/cviu.zip", "cviu/unrelated")
    assert workspace.mirrored_release(d) == ["cviu/cviu.zip"]
    manifest.write_text(json.dumps({"mirrored": ["what it was made of"]}))
    assert workspace.mirrored_release(d) == ["what it was made of"]
    split = "splits/KonIQ-10k/train.npy"  # a second place
    put(workspace, split)
    assert workspace.mirrored_release(workspace.all_datasets["koniq10k"]) == [split]


def test_without_a_mirror_there_are_none(at_root, tmp_path):
    workspace = Workspace(load_config({"results": str(tmp_path)}))
    assert workspace.mirrored_files(workspace.all_methods["clipiqa+"], "mini_ladder") == []


# Shards.


def test_a_large_set_is_scored_in_shards(at_root, tmp_path):
    workspace = Workspace(load_config({"results": str(tmp_path), "shard": 250}))
    assert workspace.shards("piqe", "mini_ladder") == [
        tmp_path / f"mini/scores/piqe/mini_ladder.shards/{k}-of-3.csv" for k in (1, 2, 3)
    ]
    pairs = workspace.sharded_pairs()
    assert ("piqe", "mini_ladder") in pairs and ("piqe", "mini_authentic") not in pairs
    assert not {m for m, _ in pairs} & {"probe-qualiclip", "precomputed-niqe"}


def test_shards_of_a_finished_score_file_are_those_it_was_made_of(at_root, tmp_path):
    workspace = Workspace(load_config({"results": str(tmp_path), "shard": 250}))
    made(workspace.paths.scores("piqe", "mini_ladder"), complete=True)
    made(workspace.paths.scores("niqe-fit", "mini_ladder"), complete=True, shards=5)
    assert ("piqe", "mini_ladder") not in workspace.sharded_pairs()
    assert len(workspace.shards("niqe-fit", "mini_ladder")) == 5
    assert ("niqe-fit", "mini_ladder") in workspace.sharded_pairs()


def test_the_cards_are_those_of_the_repository(workspace):
    assert len(workspace.all_methods) == len(list(BASELINES.rglob("*.yaml")))
    assert len(workspace.all_datasets) == len(list((ROOT / "datasets").glob("*.yaml")))
