"""Features of an encoder: whole images, in index order, from partial results where there are some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench import provenance
from qualiclip.bench.cards.base import CardError
from qualiclip.bench.formats import read_features, read_scores, refusal
from qualiclip.bench.methods.load import RefusedMethod, VariantMethod
from qualiclip.bench.score import features, per_split
from qualiclip.model import QualiCLIP
from qualiclip.tensors import to_image
from tests.support.cards import BASELINES, dataset_card, method_card
from tests.support.small_set import Mean

CARD = method_card(variant="untrained", input={"batch": 2})


@pytest.fixture
def photo_set(photos, tmp_path) -> tuple[pd.DataFrame, Path]:
    """The index of three photos and one file that is no image, and the folder of the raw datasets."""
    folder = tmp_path / "raw/myset"
    folder.mkdir(parents=True)
    for i in range(3):
        to_image(photos[i]).save(folder / f"{i}.png")
    (folder / "3.png").write_bytes(b"no image")
    names = [f"{i}.png" for i in range(4)]
    return pd.DataFrame({"image": names, "width": 224, "height": 224, "mos": [0.1, 0.2, 0.3, 0.4]}), tmp_path / "raw"


def test_features_are_those_of_the_encoder_whole_image_in_index_order(photo_set, photos, checkpoint, tmp_path):
    index, raw = photo_set
    for workers in (0, 2):
        arrays = features.encode(VariantMethod(checkpoint), CARD, dataset_card(), index, raw, "cpu", workers)
        np.savez(tmp_path / "f.npz", **arrays)
        ours, error, reason = read_features(tmp_path / "f.npz", index)
        theirs = QualiCLIP.from_checkpoint(checkpoint).encode((photos[:3] * 255).round() / 255).detach().numpy()
        assert ours.dtype == np.float32 and ours[:3] == pytest.approx(theirs, abs=1e-5)
        assert np.isnan(ours[3]).all() and error[3].startswith("cannot be read") and not any(error[:3])
        assert reason == ""
    with pytest.raises(ValueError, match="not one row per image of the index"):
        read_features(tmp_path / "f.npz", index.iloc[::-1])


def test_features_go_on_from_partial_results(photo_set, checkpoint, tmp_path):
    index, raw = photo_set
    card = method_card(variant="untrained")

    def encode(method):
        partial = features.PartialFeatures(tmp_path / "p", seconds=0)
        return features.encode(method, card, dataset_card(), index, raw, partial=partial)["features"], partial

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
    resumed, partial = encode(counting)
    assert counting.seen == ("2.png",)
    whole = features.encode(VariantMethod(checkpoint), card, dataset_card(), index, raw)["features"]
    assert np.array_equal(resumed, whole, equal_nan=True)
    partial.clear()
    assert not (tmp_path / "p").exists()


def test_a_method_without_features_is_refused(photo_set):
    index, raw = photo_set
    with pytest.raises(CardError, match=r"its method has no features\(batch\)"):
        features.encode(Mean(), CARD, dataset_card(), index, raw)


def test_an_encoder_that_cannot_run_has_no_features_and_says_why(photo_set):
    index, raw = photo_set
    arrays = features.encode(RefusedMethod("no GPU"), CARD, dataset_card(), index, raw)
    assert arrays["features"].shape == (4, 0) and str(arrays["reason"]) == "no GPU"
    assert arrays["image"].tolist() == index["image"].tolist() and not any(arrays["error"])


def test_the_jobs_write_whole_files_and_pass_on_why_they_cannot_run(
    photo_set, checkpoint, tmp_path, monkeypatch, at_root
):
    index, raw = photo_set
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
    probe = (BASELINES / "probe-untrained.yaml", *shared, "--features", npz, "--learned", learned, "--out", scores)
    job(per_split, *probe)
    table = read_scores(scores)
    assert table["split_official"].notna().tolist() == [False, False, True, False]
    assert provenance.read(scores)["complete"] and learned.stat().st_size > 100
    monkeypatch.setattr(features, "create", lambda *_: RefusedMethod("no GPU"))
    job(features, *encoder, "--out", npz)
    job(per_split, *probe)
    assert refusal(read_scores(scores)) == "no GPU" and set(read_scores(scores)["reason"]) == {"no GPU"}
    assert not provenance.read(scores)["complete"]
