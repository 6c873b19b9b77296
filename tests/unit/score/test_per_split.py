"""Methods trained within each split: features once, and no look at the test part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard, Splits
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.data.splits import attach
from qualiclip.bench.formats import read_scores
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.methods.load import RefusedMethod, VariantMethod, create
from qualiclip.bench.metrics import correlate
from qualiclip.bench.score import features, per_split
from qualiclip.bench.workspace import Workspace
from qualiclip.model import QualiCLIP
from qualiclip.tensors import to_image
from tests.conftest import ROOT

BASELINES = ROOT / "baselines"
SAID = {"name": "m", "path": BASELINES / "m.yaml", "title": "m", "family": "supervised", "citation": "", "license": ""}


def dataset(**labels) -> DatasetCard:
    said = {"format": "csv", "file": "x", "range": (0, 1)} | labels
    base = {"title": "My set", "family": "authentic", "citation": "", "license": "", "folder": "x"}
    return DatasetCard(name="myset", path=Path("myset.yaml"), labels=said, **base)


def method(**said) -> MethodCard:
    return MethodCard(**SAID | {"higher_better": True, "module": "probe.py:RidgeProbe", "features": "clipiqa"} | said)


@pytest.fixture(scope="module")
def known() -> tuple[pd.DataFrame, np.ndarray]:
    """An index of 200 images with ten splits, and features of which one direction is the label, and noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 16)).astype(np.float32)
    mos = 1 / (1 + np.exp(-x[:, 0] - 0.3 * rng.standard_normal(200)))
    labels = pd.DataFrame({"image": [f"{i}.png" for i in range(200)], "mos": mos})
    return attach(labels, Splits()), x


NONE = np.full(200, "")


def probe(index: pd.DataFrame, x: np.ndarray, d: DatasetCard | None = None) -> pd.DataFrame:
    return per_split.score(per_split.create(method()), x, NONE, index, d or dataset(), "cpu")


# Splits.


class Spy:
    """Predicts the mean label, and remembers what it was shown."""

    def fit(self, splits, device):
        self.seen = splits

    def predict(self, k, x):
        return np.full(len(x), self.seen[k].train.mos.mean())

    def learned(self):
        return {"mean": np.array([s.train.mos.mean() for s in self.seen])}


def test_a_method_sees_the_train_and_val_part_and_no_test_image(known):
    index, _ = known
    numbered = np.arange(200.0)[:, None]  # a feature that says which image it is
    spy = Spy()
    table = per_split.score(spy, numbered, NONE, index, dataset(), "cpu")
    assert list(table) == ["image", "score", "error", *(f"split_{k:02d}" for k in range(10))]
    for k, s in enumerate(spy.seen):
        parts = index[f"split_{k:02d}"].to_numpy()
        for name, part in (("train", s.train), ("val", s.val)):
            rows = part.features[:, 0].astype(int)
            assert rows.tolist() == np.flatnonzero(parts == name).tolist()
            assert part.mos == pytest.approx(index["mos"].to_numpy()[rows])
        assert np.array_equal(table[f"split_{k:02d}"].notna(), parts == "test")
    assert table["score"].isna().all()


def test_labels_of_the_test_part_change_nothing(known):
    index, x = known
    test = (index["split_00"] == "test").to_numpy()
    spoilt = index.assign(mos=np.where(test, 1 - index["mos"], index["mos"]))
    open_range = dataset(range=(None, None))
    for d in (dataset(), open_range):
        assert probe(index, x, d)["split_00"].equals(probe(spoilt, x, d)["split_00"])
        assert not probe(index, x, d)["split_01"].equals(probe(spoilt, x, d)["split_01"])


def test_labels_come_between_0_and_1_and_higher_is_better(known):
    index, x = known
    spy = Spy()
    dmos = index.assign(mos=5 - 4 * index["mos"])
    per_split.score(spy, x, NONE, dmos, dataset(higher_better=False, range=(1, 5)), "cpu")
    rows = (index["split_00"] == "train").to_numpy()
    assert spy.seen[0].train.mos == pytest.approx(index["mos"].to_numpy()[rows])
    per_split.score(spy, x, NONE, dmos, dataset(higher_better=False, range=(1, None)), "cpu")
    assert spy.seen[0].train.mos.max() < 1 and spy.seen[0].train.mos.min() == pytest.approx(0)


def test_images_without_features_are_left_out_and_say_why(known):
    index, x = known
    error = NONE.astype("<U20")
    error[7], x = "cannot be read", x.copy()
    x[7] = np.nan
    table = per_split.score(per_split.create(method()), x, error, index, dataset(), "cpu")
    inside = (index.filter(like="split_") == "test").to_numpy()
    assert table["error"][7] == "cannot be read" and table.iloc[7, 3:].isna().all()
    assert np.array_equal(table.iloc[:, 3:].notna().drop(index=7), np.delete(inside, 7, 0))


@pytest.mark.parametrize("parts", [{}, {"split_official": "test"}], ids=["no splits", "nothing to train on"])
def test_a_set_that_cannot_be_trained_on_is_not_run(known, parts):
    index, x = known
    with pytest.raises(NotRun, match="My set"):
        probe(index[["image", "mos"]].assign(**parts), x)


@pytest.mark.parametrize("said", [lambda n: np.full(n, np.nan), lambda n: np.zeros(n - 1)], ids=["NaN", "too few"])
def test_scores_that_are_no_numbers_stop(known, said):
    class Broken(Spy):
        def predict(self, k, x):
            return said(len(x))

    with pytest.raises(ValueError, match=r"split_00: not one finite score for each of 40 images"):
        per_split.score(Broken(), known[1], NONE, known[0], dataset(), "cpu")


# Correlations.


def values(index: pd.DataFrame, x: np.ndarray, tmp_path: Path) -> pd.DataFrame:
    table = probe(index, x)
    table.to_csv(tmp_path / "s.csv", index=False)
    index.to_csv(tmp_path / "i.csv", index=False)
    return correlate.metrics_of(tmp_path / "s.csv", tmp_path / "i.csv", method(), dataset())


def test_correlations_are_those_of_each_splits_own_column(known, tmp_path):
    index, x = known
    found = values(index, x, tmp_path)
    assert set(found["split"]) == {f"split_{k:02d}" for k in range(10)}, "there is no value of the whole set"
    table = read_scores(tmp_path / "s.csv")
    for k in range(10):
        test = index[f"split_{k:02d}"] == "test"
        by_hand = spearmanr(table[f"split_{k:02d}"][test], index["mos"][test]).statistic
        row = found.query(f"split == 'split_{k:02d}' and metric == 'srcc'").iloc[0]
        assert row["value"] == pytest.approx(by_hand) and row["n"] == test.sum() and by_hand > 0.8


def test_random_features_and_random_labels_score_nothing(known, tmp_path):
    index, x = known
    rng = np.random.default_rng(5)
    for features_of, labels in ((rng.standard_normal(x.shape), index["mos"]), (x, rng.permutation(index["mos"]))):
        found = values(index.assign(mos=labels), features_of, tmp_path).query("metric == 'srcc'")["value"]
        assert abs(found.median()) < 0.25


def test_scores_outside_of_the_test_part_are_refused(known, tmp_path):
    index, x = known
    good = probe(index, x)
    correlate.check(good, index, Path("s.csv"), allow_errors=False)
    train = int(np.flatnonzero(index["split_03"] == "train")[0])
    leaky = good.copy()
    leaky.loc[train, "split_03"] = 0.5
    with pytest.raises(ValueError, match=rf"{train}.png has a score outside of the test parts"):
        correlate.check(leaky, index, Path("s.csv"), allow_errors=True)
    with pytest.raises(ValueError, match="outside of the test parts"):
        correlate.check(good.assign(score=0.5), index, Path("s.csv"), allow_errors=True)
    good.drop(columns="split_03").to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(ValueError, match="columns image, score, error, split_00"):
        read_scores(tmp_path / "s.csv", index)
    test = int(np.flatnonzero(index["split_03"] == "test")[0])
    short = good.copy()
    short.loc[test, "split_03"] = np.nan
    with pytest.raises(ValueError, match=rf"1 of 200 images have no score \({test}.png"):
        correlate.check(short, index, Path("s.csv"), allow_errors=False)


# Features.


@pytest.fixture
def small(photos, tmp_path) -> tuple[pd.DataFrame, Path]:
    folder = tmp_path / "raw/myset"
    folder.mkdir(parents=True)
    for i in range(3):
        to_image(photos[i]).save(folder / f"{i}.png")
    (folder / "3.png").write_bytes(b"no image")
    names = [f"{i}.png" for i in range(4)]
    return pd.DataFrame({"image": names, "width": 224, "height": 224, "mos": [0.1, 0.2, 0.3, 0.4]}), tmp_path / "raw"


def test_features_are_those_of_the_encoder_whole_image_in_index_order(small, photos, checkpoint, tmp_path):
    index, raw = small
    card = MethodCard(**SAID | {"higher_better": True, "variant": "untrained", "input": {"batch": 2}})
    for workers in (0, 2):
        arrays = features.encode(VariantMethod(checkpoint), card, dataset(), index, raw, "cpu", workers)
        np.savez(tmp_path / "f.npz", **arrays)
        found, error = per_split.read_features(tmp_path / "f.npz", index)
        theirs = QualiCLIP.from_checkpoint(checkpoint).encode((photos[:3] * 255).round() / 255).detach().numpy()
        assert found.dtype == np.float32 and found[:3] == pytest.approx(theirs, abs=1e-5)
        assert np.isnan(found[3]).all() and error[3].startswith("cannot be read") and not any(error[:3])
    with pytest.raises(ValueError, match="not one row per image of the index"):
        per_split.read_features(tmp_path / "f.npz", index.iloc[::-1])


def test_features_go_on_from_their_parts(small, checkpoint, tmp_path):
    index, raw = small
    card = MethodCard(**SAID | {"higher_better": True, "variant": "untrained"})

    def encode(method):
        parts = features.FeatureParts(tmp_path / "parts", seconds=0)
        return features.encode(method, card, dataset(), index, raw, parts=parts)["features"], parts

    class Killed(VariantMethod):
        def features(self, batch):
            if batch.names == ["2.png"]:
                raise SystemExit(143)
            return super().features(batch)

    class Counting(VariantMethod):
        seen = ()

        def features(self, batch):
            self.seen = (*self.seen, *batch.names)
            return super().features(batch)

    with pytest.raises(SystemExit):
        encode(Killed(checkpoint))
    counting = Counting(checkpoint)
    found, parts = encode(counting)
    assert counting.seen == ("2.png",)
    whole = features.encode(VariantMethod(checkpoint), card, dataset(), index, raw)["features"]
    assert np.array_equal(found, whole, equal_nan=True)
    parts.clear()
    assert not (tmp_path / "parts").exists()


def test_the_jobs_write_whole_files_and_pass_on_why_they_cannot_run(small, checkpoint, tmp_path, monkeypatch, at_root):
    index, raw = small
    index.assign(split_official=["train", "train", "test", "val"]).to_csv(tmp_path / "index.csv", index=False)
    (tmp_path / "myset.yaml").write_text(
        "{title: My set, family: authentic, folder: x, citation: '', license: '',"
        " labels: {file: x, range: [0, 1]}, splits: null}"
    )

    def job(module, *arguments):
        monkeypatch.setattr("sys.argv", ["job", *map(str, arguments)])
        module.main()

    shared = (tmp_path / "myset.yaml", "--index", tmp_path / "index.csv")
    npz, scores, learned = tmp_path / "f.npz", tmp_path / "s.csv", tmp_path / "l.safetensors"
    encoder = (BASELINES / "clipiqa.yaml", *shared, "--raw", raw, "--checkpoint", checkpoint, "--device", "cpu")
    job(features, *encoder, "--out", npz)
    probe_job = (BASELINES / "probe-clip.yaml", *shared, "--features", npz, "--learned", learned, "--out", scores)
    job(within, *probe_job)
    table = read_scores(scores)
    assert table["split_official"].notna().tolist() == [False, False, True, False]
    assert per_split.provenance.read(scores)["complete"] and learned.stat().st_size > 100
    monkeypatch.setattr(features, "create", lambda *_: RefusedMethod("no GPU"))
    job(features, *encoder, "--out", npz)
    job(within, *probe_job)
    assert set(read_scores(scores)["error"]) == {"not run: no GPU"}
    assert not per_split.provenance.read(scores)["complete"]


# Cards.


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"module": None, "pyiqa": "niqe"}, "features belong to a module"),
        ({"higher_better": False}, "higher is better"),
        ({"fit": True}, "no fit"),
    ],
)
def test_cards_that_make_no_sense(said, problem):
    with pytest.raises(ValueError, match=problem):
        method(**said)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"features": "nobody"}, "features: 'nobody' is no method card whose source is a variant"),
        ({"features": "niqe"}, "features: 'niqe' is no method card whose source is a variant"),
        ({"features": "clipiqa", "variant": "qualiclip"}, "variant: its features are those of 'untrained'"),
    ],
)
def test_the_encoder_is_one_of_the_suite(changes, problem, at_root):
    space = Workspace.load({})
    space.all_methods = {**space.all_methods, "m": method(**changes)}
    with pytest.raises(CardError, match=problem):
        space._check()


def test_a_figure_cannot_show_what_has_no_score_of_a_photo(at_root):
    space = Workspace.load({})
    card = FigureCard(
        name="f", path=Path("f.yaml"), title="f", caption="f", kind="gmad", methods=["niqe", "probe-clip"]
    )
    space.all_figures = {"f": card}
    with pytest.raises(CardError, match="probe-clip is trained within splits"):
        space._check()


def test_tables_show_them_within_datasets_and_nowhere_else(at_root):
    space = Workspace.load({"scale": "paper"})
    ours = {m.name for m in space.methods() if m.features}
    assert {"probe-clip", "probe-qualiclip", "clipiqa+-here", "qualiclip+-here"} <= ours
    shown = {name: {m.name for m, _ in space.table_pairs(t)} for name, t in space.all_tables.items()}
    assert ours <= shown["same_dataset"] and not any(ours & names for t, names in shown.items() if t != "same_dataset")
    assert not ours & {m.name for m in space.timed_methods(space.all_tables["efficiency"])}
    assert space.variant_of(space.all_methods["probe-clip"]) == "untrained"


def test_a_method_trained_within_splits_scores_no_single_photo():
    with pytest.raises(CardError, match="trained within each split"):
        create(read_card(MethodCard, BASELINES / "probe-clip.yaml"))


def test_torch_is_not_needed_for_a_probe(at_root):
    code = "import sys, qualiclip.bench.score.per_split; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=at_root).returncode == 0
