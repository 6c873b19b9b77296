"""Methods with a model per split: no look at the test part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.dataset import DatasetCard, Splits
from qualiclip.bench.data.splits import attach
from qualiclip.bench.formats import check_scores, read_scores
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.methods.load import create
from qualiclip.bench.metrics import correlate
from qualiclip.bench.score import per_split
from tests.support.cards import BASELINES, baseline, dataset_card, method_card

NO_ERRORS = np.full(200, "")
PROBE = method_card(path=BASELINES / "m.yaml", family="supervised", module="probe.py:RidgeProbe", features_of="clipiqa")


@pytest.fixture(scope="module")
def known() -> tuple[pd.DataFrame, np.ndarray]:
    """An index of 200 images with ten splits, and features of which one direction is the label, and noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 16)).astype(np.float32)
    mos = 1 / (1 + np.exp(-x[:, 0] - 0.3 * rng.standard_normal(200)))
    labels = pd.DataFrame({"image": [f"{i}.png" for i in range(200)], "mos": mos})
    return attach(labels, Splits()), x


def probe(index: pd.DataFrame, x: np.ndarray, dataset: DatasetCard | None = None) -> pd.DataFrame:
    """The score file of a ridge probe."""
    return per_split.score(per_split.create(PROBE), x, NO_ERRORS, index, dataset or dataset_card(), "cpu")


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
    table = per_split.score(spy, numbered, NO_ERRORS, index, dataset_card(), "cpu")
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
    open_range = dataset_card(labels={"range": (None, None)})
    for dataset in (dataset_card(), open_range):
        assert probe(index, x, dataset)["split_00"].equals(probe(spoilt, x, dataset)["split_00"])
        assert not probe(index, x, dataset)["split_01"].equals(probe(spoilt, x, dataset)["split_01"])


def test_labels_come_between_0_and_1_and_higher_is_better(known):
    index, x = known
    spy = Spy()
    dmos = index.assign(mos=5 - 4 * index["mos"])
    closed, half_open = (
        dataset_card(labels={"higher_better": False, "range": ends}) for ends in ((1, 5), (1, None))
    )
    per_split.score(spy, x, NO_ERRORS, dmos, closed, "cpu")
    rows = (index["split_00"] == "train").to_numpy()
    assert spy.seen[0].train.mos == pytest.approx(index["mos"].to_numpy()[rows])
    per_split.score(spy, x, NO_ERRORS, dmos, half_open, "cpu")
    assert spy.seen[0].train.mos.max() < 1 and spy.seen[0].train.mos.min() == pytest.approx(0)


def test_images_without_features_are_left_out_and_say_why(known):
    index, x = known
    error = NO_ERRORS.astype("<U20")
    error[7], x = "cannot be read", x.copy()
    x[7] = np.nan
    table = per_split.score(per_split.create(PROBE), x, error, index, dataset_card(), "cpu")
    inside = (index.filter(like="split_") == "test").to_numpy()
    assert table["error"][7] == "cannot be read" and table.iloc[7, 3:].isna().all()
    assert np.array_equal(table.iloc[:, 3:].notna().drop(index=7), np.delete(inside, 7, 0))


@pytest.mark.parametrize("parts", [{}, {"split_official": "test"}], ids=["no splits", "nothing to train on"])
def test_a_set_that_cannot_be_trained_on_is_not_run(known, parts):
    index, x = known
    with pytest.raises(NotRun, match="My set"):
        probe(index[["image", "mos"]].assign(**parts), x)


@pytest.mark.parametrize(
    "predict", [lambda n: np.full(n, np.nan), lambda n: np.zeros(n - 1)], ids=["NaN", "too few"]
)
def test_scores_that_are_no_numbers_stop(known, predict):
    class Broken(Spy):
        def predict(self, k, x):
            return predict(len(x))

    with pytest.raises(ValueError, match=r"split_00: not one finite score for each of 40 images"):
        per_split.score(Broken(), known[1], NO_ERRORS, known[0], dataset_card(), "cpu")


# Correlations.


def metrics(index: pd.DataFrame, x: np.ndarray, folder: Path) -> pd.DataFrame:
    """The metrics file of a ridge probe."""
    probe(index, x).to_csv(folder / "s.csv", index=False)
    index.to_csv(folder / "i.csv", index=False)
    return correlate.metrics_of(folder / "s.csv", folder / "i.csv", PROBE, dataset_card())


def test_correlations_are_those_of_each_splits_own_column(known, tmp_path):
    index, x = known
    values = metrics(index, x, tmp_path)
    assert set(values["split"]) == {f"split_{k:02d}" for k in range(10)}, "there is no value of the whole set"
    table = read_scores(tmp_path / "s.csv")
    for k in range(10):
        test = index[f"split_{k:02d}"] == "test"
        by_hand = spearmanr(table[f"split_{k:02d}"][test], index["mos"][test]).statistic
        row = values.query(f"split == 'split_{k:02d}' and metric == 'srcc'").iloc[0]
        assert row["value"] == pytest.approx(by_hand) and row["n"] == test.sum() and by_hand > 0.8


def test_random_features_and_random_labels_score_nothing(known, tmp_path):
    index, x = known
    rng = np.random.default_rng(5)
    for features, labels in ((rng.standard_normal(x.shape), index["mos"]), (x, rng.permutation(index["mos"]))):
        values = metrics(index.assign(mos=labels), features, tmp_path).query("metric == 'srcc'")["value"]
        assert abs(values.median()) < 0.25


def test_scores_outside_of_the_test_part_are_refused(known, tmp_path):
    index, x = known
    good = probe(index, x)
    check_scores(good, index, Path("s.csv"), allow_errors=False)
    train = int(np.flatnonzero(index["split_03"] == "train")[0])
    leaky = good.copy()
    leaky.loc[train, "split_03"] = 0.5
    with pytest.raises(ValueError, match=rf"{train}.png has a score outside of the test parts"):
        check_scores(leaky, index, Path("s.csv"), allow_errors=True)
    with pytest.raises(ValueError, match="outside of the test parts"):
        check_scores(good.assign(score=0.5), index, Path("s.csv"), allow_errors=True)
    good.drop(columns="split_03").to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(ValueError, match="columns image, score, error, split_00"):
        read_scores(tmp_path / "s.csv", index)
    test = int(np.flatnonzero(index["split_03"] == "test")[0])
    short = good.copy()
    short.loc[test, "split_03"] = np.nan
    with pytest.raises(ValueError, match=rf"1 of 200 images have no score \({test}.png"):
        check_scores(short, index, Path("s.csv"), allow_errors=False)


# Cards.


def test_a_method_with_a_model_per_split_scores_no_single_photo():
    with pytest.raises(CardError, match="trained per split"):
        create(baseline("probe-untrained"))


def test_a_method_that_scores_photos_is_not_trained_per_split():
    with pytest.raises(CardError, match="it is not trained per split; the key features_of says on what"):
        per_split.create(method_card())


def test_arguments_that_the_class_does_not_take_are_reported():
    card = PROBE.model_copy(update={"arguments": {"nothing": 1}})
    with pytest.raises(CardError, match=r"m\.yaml: probe\.py:RidgeProbe: RidgeProbe\(\) takes no arguments"):
        per_split.create(card)
