"""Methods of the suite's own code against their definitions, weights from the mirror, and leakage."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from qualiclip.bench.cards.base import CardError, load_function, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.methods import library_patches, niqe_distance
from qualiclip.bench.methods.contract import Batch, NotRun
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.bench.methods.load import create
from qualiclip.model import QualiCLIP
from tests.conftest import ROOT

BASELINES = ROOT / "baselines"


def card(name: str) -> MethodCard:
    return read_card(MethodCard, BASELINES / f"{name}.yaml")


def batch(images: torch.Tensor) -> Batch:
    names = [f"{i}.png" for i in range(len(images))]
    return Batch(images, names, [Path(n) for n in names])


@pytest.fixture
def files(photos, tmp_path) -> list[Path]:
    """The photos as files."""
    paths = [tmp_path / f"{i}.png" for i in range(len(photos))]
    for x, path in zip(photos, paths, strict=True):
        Image.fromarray((x * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
    return paths


# patches and distances


def test_patches_are_those_of_a_loop():
    x = torch.rand(3, 200, 150)
    found = niqe_distance.cut(x, 96, 48)
    loop = [x[:, i : i + 96, j : j + 96] for i in range(0, 105, 48) for j in range(0, 55, 48)]
    assert torch.equal(found, torch.stack(loop))
    assert niqe_distance.cut(torch.rand(3, 64, 80), 96, 48).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("n", [1, 3, 30], ids=lambda n: f"{n} patches of 5 features")
def test_the_distance_is_the_formula(n):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(n, 5)), rng.normal(1, 2, size=(40, 5))
    d, spread = a.mean(0) - b.mean(0), np.cov(a.T) if n > 1 else np.zeros((5, 5))
    wanted = np.sqrt(d @ np.linalg.inv((spread + np.cov(b.T)) / 2 + 1e-3 * np.eye(5)) @ d)
    pristine = niqe_distance.Pristine(*niqe_distance.gaussian(torch.from_numpy(b)))
    assert pristine.distance(torch.from_numpy(a)).item() == pytest.approx(wanted, rel=1e-10)
    assert pristine.distance(torch.from_numpy(b)) == 0


def test_the_sharpest_patches_are_chosen():
    flat, noisy = torch.full((1, 3, 32, 32), 0.5), torch.rand(1, 3, 32, 32)
    assert niqe_distance.sharpest(torch.cat([flat, noisy, 0.5 + 0.1 * (noisy - 0.5)])).tolist() == [False, True, False]


# NIQE fitted here, and the distance over features


def test_niqe_fit_has_niqes_features_and_distance(photos, files, tmp_path):
    from pyiqa.archs.niqe_arch import calculate_niqe

    fitted = tmp_path / "model"
    method = create(card("niqe-fit"), fitted=fitted)
    method.fit(files, fitted, "cpu")
    method.load("cpu")
    scores = method.score(batch(photos[:3]))
    model = np.load(fitted)
    assert model["mean"].shape == (36,) and 0 < model["blocks"] <= 4 * len(files)
    mean, covariance = (torch.from_numpy(model[k]) for k in ("mean", "covariance"))
    wanted = calculate_niqe(photos[:3], mu_pris_param=mean, cov_pris_param=covariance)
    assert torch.equal(scores, wanted)
    noisy = (photos[:3] + 0.1 * torch.randn(photos[:3].shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert (method.score(batch(noisy)) > scores).all()
    with pytest.raises(ValueError, match="smaller than one block"):
        method.score(batch(photos[:1, :, :90]))


def test_niqe_features_are_those_that_pyiqas_niqe_uses(photos):
    """A Gaussian made of the image's own features is at distance zero from it."""
    from pyiqa.archs.niqe_arch import calculate_niqe

    features = load_function("niqe.py:features", BASELINES)(photos[:1])[0]
    score = calculate_niqe(photos[:1], mu_pris_param=features.mean(0), cov_pris_param=torch.eye(36).double())
    assert features.shape == (4, 36) and score.item() == pytest.approx(0, abs=1e-9)


def test_mvg_over_any_encoder(photos, files, tmp_path):
    class Colours(load_function("mvg.py:Mvg", BASELINES)):
        def load_encoder(self, device):
            self.encode = lambda x: torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)

    method = Colours(fitted=tmp_path / "model")
    method.fit(files, tmp_path / "model", "cpu")
    method.load("cpu")
    scores = method.score(batch(torch.cat([photos[:2], photos[:2] / 8])))
    assert scores.shape == (4,) and (scores[2:] > scores[:2]).all()


# released QualiCLIP, and GRepQ


def test_the_hub_scoring_is_scale_100_over_prompt_pairs():
    """Random weights under OpenAI's names: the score is the hub code's formula."""
    torch.manual_seed(0)
    model = QualiCLIP.create("RN50-quickgelu", pretrained=None)
    prompts = F.normalize(torch.randn(14, 1024), dim=-1)
    state = {f"clip_model.visual.{k}": v for k, v in model.encoder.state_dict().items()}
    state |= {"clip_model.visual.attnpool.positional_embedding": torch.zeros(50, 2048), "prompts_features": prompts}
    hub = load_function("hub.py:from_release", BASELINES)(state)
    x = torch.rand(2, 3, 96, 128)
    features = model.encode(x)
    logits = (100 * features @ prompts.T).reshape(2, 7, 2)
    assert hub.score(x) == pytest.approx(logits.softmax(-1)[..., 0].mean(1).detach().double(), abs=1e-5)


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
    score = method.score(batch(image))

    with torch.no_grad():  # by hand, in NumPy
        cuts = [image[0, :, i : i + 96, j : j + 96] for i in (0, 48) for j in (0, 48, 96)]
        r, t = level(pristine).double().numpy(), level(torch.stack(cuts)).double().numpy()
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
        std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
        features = visual((image - mean) / std)
    d = r.mean(0) - t.mean(0)
    distance = np.sqrt(d @ np.linalg.inv((np.cov(r.T) + np.cov(t.T)) / 2 + 1e-3 * np.eye(128)) @ d)
    good, bad = F.cosine_similarity(features, method.prompts)
    wanted = 1 - 1 / (1 + np.exp(-distance / 100)) + 1 / (1 + np.exp(10 * float(bad - good)))
    assert r.shape == (40, 128) and score.item() == pytest.approx(wanted, abs=1e-5)


def test_grepq_without_its_files_says_where_they_go(tmp_path):
    with pytest.raises(NotRun, match=r"low_level_model_weights.tar could not be fetched .*grepq/low_level_model"):
        create(card("grepq"), mirror=tmp_path).load("cpu")


# controls


def test_the_noisy_oracle_is_the_label_and_noise():
    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(400)]
    labels = pd.DataFrame({"image": names, "mos": rng.normal(50, 10, 400)})
    method = create(card("noisy-oracle"), labels=labels)
    many = Batch(torch.zeros(400, 3, 1, 1), names, [Path(n) for n in names])
    scores = method.score(many).numpy()
    assert np.corrcoef(scores, labels["mos"])[0, 1] == pytest.approx(1 / np.sqrt(1.25), abs=0.02)
    assert np.array_equal(method.score(many).numpy(), scores)


def test_only_a_control_may_see_labels(tmp_path):
    (tmp_path / "x.yaml").write_text((BASELINES / "noisy-oracle.yaml").read_text().replace("control", "supervised"))
    with pytest.raises(CardError, match="only a control may see the labels"):
        read_card(MethodCard, tmp_path / "x.yaml")


# weights


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of torch.hub and pyiqa."""
    from pyiqa.utils import download_util

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(download_util, "DEFAULT_CACHE_DIR", str(tmp_path / "hub/pyiqa"))
    return tmp_path / "hub"


def test_weights_come_from_the_mirror(cache, tmp_path):
    from pyiqa.utils.download_util import load_file_from_url

    (tmp_path / "mirror/pyiqa").mkdir(parents=True)
    torch.save({"a": torch.ones(1)}, tmp_path / "mirror/pyiqa/x.pth")
    torch.save({"a": torch.ones(2)}, tmp_path / "mirror/pyiqa/x+.pth")
    with library_patches.from_mirror(tmp_path / "mirror"):
        assert Path(load_file_from_url("http://127.0.0.1:9/y/x.pth")).parent == cache / "pyiqa"
        assert torch.hub.load_state_dict_from_url("http://127.0.0.1:9/y/x.pth")["a"] == 1
        assert len(torch.load(load_file_from_url("http://127.0.0.1:9/y/x%2B.pth"))["a"]) == 2


def test_models_of_hugging_face_come_from_the_mirror(tmp_path, monkeypatch):
    """CLIP for training, and the backbone of a metric; one that is nowhere is named with its place."""
    import open_clip
    import timm
    from open_clip import pretrained
    from timm.models import _builder

    def offline(*args, **kwargs):
        raise FileNotFoundError("no network")

    monkeypatch.setattr(pretrained, "download_pretrained_from_hf", offline)
    monkeypatch.setattr(_builder, "load_state_dict_from_hf", offline)
    (tmp_path / "timm").mkdir()
    makers = {
        "resnet50_clip.openai": lambda p: open_clip.create_model("RN50-quickgelu", pretrained=p),
        "resnet18.a1_in1k": lambda p: timm.create_model("resnet18", pretrained=bool(p)),
    }
    for name, make in makers.items():
        said = rf"{name} could not be fetched; .* {tmp_path}/timm/{name}.safetensors$"
        with pytest.raises(NotRun, match=said), weights_or_not_run(tmp_path):
            make("openai")
        made = make(None).state_dict()
        save_file(made, tmp_path / f"timm/{name}.safetensors")
        with weights_or_not_run(tmp_path):
            read = make("openai").state_dict()
        assert all(torch.equal(made[k], v) for k, v in read.items())


@pytest.mark.parametrize("mirror", [None, "mirror"])
def test_weights_that_cannot_be_had_are_named(cache, tmp_path, mirror):
    from pyiqa.utils.download_util import load_file_from_url

    mirror = mirror and tmp_path / mirror
    place = mirror / "pyiqa/x.pth" if mirror else "DIR/pyiqa/x.pth and give mirror=DIR"
    with pytest.raises(NotRun) as e, weights_or_not_run(mirror):
        load_file_from_url("http://127.0.0.1:9/y/x.pth")
    assert str(e.value).startswith(f"x.pth could not be fetched from http://127.0.0.1:9/y/x.pth; put it at {place} (")
    assert not list(cache.rglob("*.pth"))


def test_jobs_make_the_same_metric_one_after_the_other(cache, monkeypatch):
    import pyiqa

    seen = []

    def make(name, device):
        seen.append("starts")
        time.sleep(0.2)
        seen.append("ends")

    monkeypatch.setattr(pyiqa, "create_metric", make)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: create(card("piqe")).load("cpu"), range(2)))
    assert seen == ["starts", "ends"] * 2


def test_a_method_of_gpus_alone_is_not_run_without(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotRun, match="it runs on a GPU alone"):
        create(card("maclip")).load("cpu")


def test_a_card_that_says_why_it_is_not_run():
    with pytest.raises(NotRun, match="announced, not released"):
        create(card("sfd-iqa")).load("cpu")


# leakage


def test_leakage_is_computed(tmp_path):
    dataset = read_card(DatasetCard, ROOT / "datasets/koniq10k.yaml")
    assert card("musiq").has_seen(dataset) and card("gmc-qalign").has_seen(dataset)
    assert not card("musiq-spaq").has_seen(dataset) and not card("qualiclip-pyiqa").has_seen(dataset)
    assert card("noisy-oracle").has_seen(dataset)
