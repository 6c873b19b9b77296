"""Methods whose authors have released weights, re-implemented here: against their definitions, on random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from qualiclip.bench.cards.base import load_function
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.methods.load import create
from qualiclip.model import QualiCLIP
from tests.support.cards import BASELINES, baseline
from tests.support.photos import batch_of


def test_the_hub_scoring_is_scale_100_over_prompt_pairs(tmp_path, monkeypatch):
    """Random weights under OpenAI's names, in the cache of torch.hub: the score is the hub code's formula."""
    torch.manual_seed(0)
    model = QualiCLIP.create("RN50-quickgelu", pretrained=None)
    prompts = F.normalize(torch.randn(14, 1024), dim=-1)
    state = {f"clip_model.visual.{k}": v for k, v in model.encoder.state_dict().items()}
    state |= {"clip_model.visual.attnpool.positional_embedding": torch.zeros(50, 2048), "prompts_features": prompts}
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints/qualiclip.pth")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    hub = create(baseline("qualiclip-hub"))
    hub.load("cpu")
    x = torch.rand(2, 3, 96, 128)
    logits = (100 * model.encode(x) @ prompts.T).reshape(2, 7, 2)
    by_hand = logits.softmax(-1)[..., 0].mean(1).detach().double()
    assert hub.score(batch_of(x)).double() == pytest.approx(by_hand, abs=1e-5)


def test_grepq_against_its_definition():
    grepq = load_function("grepq.py:GRepQ", BASELINES)
    low_level = load_function("grepq.py:LowLevel", BASELINES)
    torch.manual_seed(0)
    level = low_level().eval()
    visual = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()
    method = grepq(mirror=None)
    method.prompts = torch.randn(2, 12)
    pristine, image = torch.rand(40, 3, 96, 96), torch.rand(1, 3, 150, 200)
    method.ready(level, visual, pristine)
    score = method.score(batch_of(image))

    with torch.no_grad():  # by hand, in NumPy
        cuts = [image[0, :, i : i + 96, j : j + 96] for i in (0, 48) for j in (0, 48, 96)]
        r, t = level(pristine).double().numpy(), level(torch.stack(cuts)).double().numpy()
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
        std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
        features = visual((image - mean) / std)
    d = r.mean(0) - t.mean(0)
    distance = np.sqrt(d @ np.linalg.inv((np.cov(r.T) + np.cov(t.T)) / 2 + 1e-3 * np.eye(128)) @ d)
    good, bad = F.cosine_similarity(features, method.prompts)
    by_hand = 1 - 1 / (1 + np.exp(-distance / 100)) + 1 / (1 + np.exp(10 * float(bad - good)))
    assert r.shape == (40, 128) and score.item() == pytest.approx(by_hand, abs=1e-5)


def test_grepq_without_its_files_says_where_they_go(tmp_path):
    with pytest.raises(NotRun, match=r"low_level_model_weights.tar could not be fetched .*grepq/low_level_model"):
        create(baseline("grepq"), mirror=tmp_path).load("cpu")
