"""ContentSep with random weights in its released layout."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet50

from qualiclip.bench.cards.base import METHODS, load_function, read_card
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.methods.contract import Batch, NotRun
from tests.support.commands import ROOT

CARD = read_card(MethodCard, ROOT / METHODS / "contentsep.yaml")
ContentSep = load_function(CARD.module, ROOT / METHODS)


def test_its_score_is_the_distance_of_patch_features(tmp_path, monkeypatch):
    """Against NumPy: means and covariances of the features of 96 px patches at every 48 px."""
    torch.manual_seed(0)
    folder = tmp_path / "contentsep"
    folder.mkdir()
    torch.save(nn.Sequential(*list(resnet50().children())[:-1]).state_dict(), folder / "auth_ft_cd.pth")
    pristine = torch.rand(5, 3, 96, 96)
    with h5py.File(folder / "pristine_patches_096_0.75_0.80.hdf5", "w") as f:
        f["data"] = pristine.numpy()
    method = ContentSep(tmp_path)
    method.load("cpu")
    image = torch.rand(1, 3, 96, 200)
    got = method.score(Batch(image, [], [])).item()
    with torch.inference_mode():
        assert method.encode(pristine).shape == (5, 2048)
        theirs = method.encode(pristine).double().numpy()
        ours = method.encode(torch.cat([image[..., x : x + 96] for x in (0, 48, 96)])).double().numpy()
    difference = theirs.mean(0) - ours.mean(0)
    pooled = (np.cov(theirs.T) + np.cov(ours.T)) / 2 + 1e-3 * np.eye(2048)
    assert got == pytest.approx(np.sqrt(difference @ np.linalg.solve(pooled, difference)), rel=1e-4)
    (folder / "auth_ft_cd.pth").write_bytes(b"no weights")
    with pytest.raises(NotRun, match="damaged"):
        method.load("cpu")


def test_missing_files_are_named_with_their_place(tmp_path):
    with pytest.raises(NotRun, match=r"patches_096.*Google Drive, file 1TV2.*put it at .*contentsep/pristine_patches"):
        ContentSep(tmp_path).load("cpu")
    with pytest.raises(NotRun, match=r"put it at DIR/contentsep/.* and give mirror=DIR"):
        ContentSep(None).load("cpu")
