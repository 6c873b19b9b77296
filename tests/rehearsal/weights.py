"""Random weights under every name and in every layout that the methods of the paper's scale look for.

`python -m tests.rehearsal.weights MIRROR --config scale=paper`, with an empty TORCH_HOME. Layouts are those of the
released files: OpenAI's TorchScript archives, pyiqa's state dicts, MATLAB models, Hugging Face's safetensors. A metric
of pyiqa is built by the suite's own code from a mirror that holds what its card names and nothing else; only the file
that carries its name is written instead of read. So a card that forgets a file stops here.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlparse

import h5py
import numpy as np
import open_clip
import timm
import torch
import torch.nn.functional as F
import torchvision
from pyiqa import archs
from pyiqa.archs import afine_arch, afineclip_model, arch_util, clip_model, maniqa_arch, metaiqa_arch, niqe_arch
from pyiqa.default_model_configs import DEFAULT_CONFIGS
from pyiqa.utils import download_util
from safetensors.torch import save_file
from scipy.io import savemat
from torch import Tensor, nn

from qualiclip.bench.cards.base import METHODS, load_function
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.methods import weights
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.methods.load import create
from qualiclip.bench.workspace import Workspace
from qualiclip.io import sha256
from tests.support import tiny_models

State = dict[str, Tensor]
BACKBONES = ("efficientnet_b7", "resnet18", "resnet34", "resnet50", "vgg16")  # of torchvision
CLIPS = {  # OpenAI's file -> what its CLIP is built with
    "RN50.pt": (1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12),
    "ViT-B-32.pt": (512, 224, 12, 768, 32, 77, 49408, 512, 8, 12),
    "ViT-L-14.pt": (64, 224, 2, 64, 14, 77, 49408, 64, 1, 2),  # a small one: its sizes are read from the file
}
TINY = {  # model of Hugging Face -> what writes a tiny one
    "q-future/Q-ReAlign-Mini-0.8B": tiny_models.qwen3_5,
}
MANIQA = 64  # px of its crops, which are 224 else, seen by the largest backbone of all
FEWER = {
    "CFANet": {"test_img_size": 224},
    "MUSIQ": {"longer_side_lengths": [64, 96]},
    "TReS": {"test_sample": 1},
    "HyperNet": {"num_crop": 1},
    "MANIQA": {"test_sample": 1, "img_size": MANIQA, "window_size": 2},
}
FEATURES, EIGENVECTORS = 36, 430  # of NIQE; of IL-NIQE, after 468 features of patches of 84 px


def half(state: State) -> State:
    """Half precision, as OpenAI's files have it: they load into any, and are read in half the time."""
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items()}


class Holder(nn.Module):
    """Tensors under the names of a state dict, for an archive that is read for its state alone."""

    def __init__(self, state: State):
        super().__init__()
        inner: dict[str, State] = {}
        for name, value in state.items():
            head, _, tail = name.partition(".")
            if tail:
                inner.setdefault(head, {})[tail] = value
            else:
                self.register_buffer(head, value)
        for name, part in inner.items():
            self.add_module(name, Holder(part))

    def forward(self, x: Tensor) -> Tensor:
        return x


def clip(file: str) -> nn.Module:
    """OpenAI's CLIP with random weights; batch norm is not that of a fresh model, whose branches are closed."""
    model = clip_model.CLIP(*CLIPS[file]).float()
    for name, parameter in model.visual.named_parameters():
        if "bn" in name:
            nn.init.uniform_(parameter, 0.2, 0.8) if name.endswith("weight") else nn.init.normal_(parameter, std=0.1)
    return model.eval()


def released(file: str = "RN50.pt") -> State:
    """The layout of the authors' QualiCLIP: a CLIP, and unit features of the fourteen prompts."""
    features = F.normalize(torch.randn(1, 1024) + 0.5 * torch.randn(14, 1024), dim=-1)
    return {**{f"clip_model.{k}": v for k, v in half(clip(file).state_dict()).items()}, "prompts_features": features}


def spd(n: int) -> np.ndarray:
    """A random covariance matrix."""
    a = np.random.default_rng(0).standard_normal((n, n))
    return a @ a.T / n + np.eye(n)


def ilniqe_model() -> np.ndarray:
    """Mean, covariance, mean of the data and principal vectors, as a MATLAB cell."""
    rng, cell = np.random.default_rng(0), np.empty((1, 4), object)
    vectors = np.linalg.qr(rng.standard_normal((468, EIGENVECTORS)))[0]
    for i, part in enumerate((rng.standard_normal((1, EIGENVECTORS)), spd(EIGENVECTORS), np.zeros((468, 1)), vectors)):
        cell[0, i] = part
    return cell


def script(module: nn.Module, path: Path) -> None:
    torch.jit.script(module.eval()).save(path)


def grepq_low(path: Path) -> None:
    level = load_function("grepq.py:LowLevel", METHODS)()
    torch.save({"model": {"state_dict": level.state_dict()}}, path)


def grepq_patches(path: Path) -> None:
    with h5py.File(path, "w") as f:
        f["data"] = np.random.default_rng(0).random((40, 3, 96, 96), np.float32)


def resnet50_encoder(prefix: str = "") -> State:
    children = list(torchvision.models.resnet50().children())[:-1]
    return {prefix + k: v for k, v in half(nn.Sequential(*children).state_dict()).items()}


def niqe_model(path: Path) -> None:
    savemat(path, {"mu_prisparam": np.ones((1, FEATURES)), "cov_prisparam": spd(FEATURES)})


def nrqm_model(path: Path) -> None:
    """Three forests of two trees with one node and two leaves each, and the linear model on top, as a MATLAB struct."""
    rng = np.random.default_rng(0)
    leaf = np.array([[0], [0]])
    forest = {
        "left": np.tile(np.vstack([[[2]], leaf]), 2),
        "right": np.tile(np.vstack([[[3]], leaf]), 2),
        "other": 0,
        "another": 0,
        "threshold": rng.random((3, 2)),
        "value": 10 * rng.random((3, 2)),
        "feature": np.ones((3, 2), int),
    }
    forests = np.empty((1, 3), object)
    forests[0] = [forest] * 3
    savemat(path, {"model": {"linear": np.full((4, 1), 0.3), "rf": forests}})


def afine(path: Path) -> None:
    parts = {
        "finetuned_clip": afineclip_model.AFINECLIP(*CLIPS["ViT-B-32.pt"]),
        "natural": afine_arch.AFINEQhead(),
        "fidelity": afine_arch.AFINEDhead(),
        "fidelity_scale": afine_arch.AFINENLM_FR_Fit_with_limit(),
        "natural_scale": afine_arch.AFINENLM_NR_Fit(),
        "adapter": afine_arch.AFINELearnLambda(),
    }
    torch.save({name: half(part.state_dict()) for name, part in parts.items()}, path)


def metaiqa(path: Path) -> None:
    torch.save(half(metaiqa_arch.MetaIQA(pretrained=False).state_dict()), path)


BY_HAND: dict[str, Callable[[Path], None]] = {
    "ARNIQA.pth": lambda path: torch.save(resnet50_encoder("model."), path),
    "auth_ft_cd.pth": lambda path: torch.save(resnet50_encoder(), path),
    "brisque_svm_weights.pth": lambda path: torch.save((torch.randn(774), torch.rand(774, FEATURES)), path),
    "niqe_modelparameters.mat": niqe_model,
    "niqe_matlab_params.mat": niqe_model,
    "NRQM_model.mat": nrqm_model,
    "afine.pth": afine,
    "Metaiqa_livec.pth": metaiqa,
    "ILNIQE_templateModel.mat": lambda path: savemat(path, {"templateModel": ilniqe_model()}),
    "CLIP-IQA+_learned_prompts-603f3273.pth": lambda path: torch.save(0.02 * torch.randn(2, 16, 512), path),
    "QualiCLIP.pth": lambda path: torch.save(released(), path),
    "qualiclip.pth": lambda path: torch.save(released(), path),
    "low_level_model_weights.tar": grepq_low,
    "high_level_model_weights.pth": lambda path: torch.save(half(clip("RN50.pt").visual.state_dict()), path),
    "pristine_patches_096_0.75_0.80.hdf5": grepq_patches,
}
BY_HAND |= {f: lambda path: script(Holder(half(clip(path.name).state_dict())), path) for f in CLIPS}


def torchvision_files() -> dict[str, str]:
    """File -> model of the ImageNet weights that metrics start from."""
    weights = {name: torchvision.models.get_model_weights(name).IMAGENET1K_V1.url for name in BACKBONES}
    return {url.rpartition("/")[2]: name for name, url in weights.items()}


def maker(file: str) -> Callable[[Path], None] | None:
    """What writes a file of the mirror, None for one that is written while its metric is built."""
    store, _, name = file.partition("/")
    model = name.removesuffix(".safetensors")
    backbone = torchvision_files().get(name)
    if name in BY_HAND:
        return BY_HAND[name]
    if name.startswith("regressor_"):  # of ARNIQA, a TorchScript archive
        return lambda path: script(nn.Linear(4096, 1), path)
    if backbone:
        return lambda path: torch.save(half(torchvision.models.get_model(backbone).state_dict()), path)
    if store == "timm":
        return lambda path: save_file(half(timm.create_model(model).state_dict()), path)
    return None


def open_clips(workspace: Workspace) -> dict[str, str]:
    """File of the mirror -> open_clip model that a variant starts from."""
    out = {}
    for variant in workspace.variants():
        c = workspace.config.variant(variant)
        if c.pretrained:
            hub = open_clip.get_pretrained_cfg(c.encoder.removesuffix("-quickgelu"), c.pretrained)["hf_hub"]
            out[f"timm/{hub.strip('/').rpartition('/')[2]}.safetensors"] = c.encoder
    return out


def tiny_hub(workspace: Workspace) -> None:
    """Tiny models in the cache of Hugging Face, where a run would have the real ones."""
    named = [m.arguments["model"] for m in workspace.methods() if "model" in m.arguments]
    for model, write_model in (TINY | dict.fromkeys(named, tiny_models.qwen2_5_vl)).items():
        folder = tiny_models.in_cache(Path(os.environ["HF_HOME"]) / "hub", model)
        if not folder.exists():
            write_model(folder)
            print(f"  {model}", flush=True)


def open_clip_weights(encoder: str, path: Path) -> None:
    model = open_clip.create_model(encoder)
    for name, parameter in model.visual.named_parameters():
        if "bn" in name and name.endswith("weight"):
            nn.init.uniform_(parameter, 0.2, 0.8)
    save_file(half(model.state_dict()), path)


def write(file: str, mirror: Path, make: Callable[[Path], None]) -> None:
    path = mirror / file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(zlib.crc32(file.encode()))
        make(path)
        print(f"  {file}", flush=True)


def shrink() -> None:
    """Sizes that no card tells: the crops that metrics of pyiqa take of one image, in number and in pixels.

    Made files have the released names; the SHA-256 that ends some of them is not theirs.
    """
    weights.NAMED_HASH = re.compile("(?!)")
    for config in DEFAULT_CONFIGS.values():
        options = config["metric_opts"]
        options.update(FEWER.get(options["type"], {}))
    maniqa_arch.uniform_crop = partial(_crop, maniqa_arch.uniform_crop, MANIQA)
    timm.create_model = partial(_sized, timm.create_model)
    niqe_arch.ilniqe.__defaults__ = (False, 84, 84)  # it does not enlarge the image; sides of its blocks, px


def _crop(crop: Callable, side: int, x: Tensor, crop_size: int, crop_num: int) -> Tensor:
    return crop(x, crop_size=side, crop_num=crop_num)


def _sized(create_model: Callable, name: str, *args, **options) -> nn.Module:
    return create_model(name, *args, **({"img_size": MANIQA} if name.startswith("vit_") else {}), **options)


def pin_clip(mirror: Path) -> None:
    """OpenAI's addresses carry the SHA-256 of their files: let them carry those of the made ones, which are checked."""
    for models in (clip_model._MODELS, afineclip_model._MODELS):
        for name, url in models.items():
            file = mirror / "pyiqa" / url.rpartition("/")[2]
            if file.is_file():
                models[name] = f"https://rehearsal.invalid/{sha256(file)}/{file.name}"


@contextmanager
def alone(card: MethodCard, mirror: Path) -> Iterator[Path]:
    """A mirror of what the card names and nothing else, and empty caches."""
    with tempfile.TemporaryDirectory() as folder:
        only = Path(folder)
        for file in card.weights:
            if (mirror / file).exists():
                (only / file).parent.mkdir(exist_ok=True)
                (only / file).symlink_to((mirror / file).resolve())
        cached = torch.hub.get_dir()
        torch.hub.set_dir(only / "cache")
        with patch.object(download_util, "DEFAULT_CACHE_DIR", str(only / "cache/pyiqa")):
            yield only
        torch.hub.set_dir(cached)


def built(card: MethodCard, mirror: Path) -> None:
    """Build a metric, and write the files of its card that are not there from what it was built with."""
    torch.manual_seed(zlib.crc32(card.name.encode()))
    read = arch_util.load_pretrained_network

    def load(net: nn.Module, path: str, strict: bool = True, weight_keys: str | None = None) -> None:
        file = f"pyiqa/{Path(unquote(urlparse(path).path)).name}"
        if file not in card.weights:
            raise AssertionError(f"{card.path}: pyiqa asks for {file}, which `weights` does not name")
        state = half(net.state_dict())
        write(file, mirror, lambda target: torch.save({weight_keys: state} if weight_keys else state, target))
        read(net, str(mirror / file), strict, weight_keys)

    modules = [m for n, m in sys.modules.items() if n.startswith("pyiqa.") and hasattr(m, "load_pretrained_network")]
    with ExitStack() as stack, alone(card, mirror) as only:
        for module in modules:
            stack.enter_context(patch.object(module, "load_pretrained_network", load))
        try:
            create(card, mirror=only).load("cpu")
        except NotRun as e:
            print(f"  {card.name}: {e}", flush=True)


def make(mirror: Path, workspace: Workspace, small: bool = True) -> None:
    """All weights of a run. small: for the sizes of a rehearsal.

    Raises AssertionError for a card whose `weights` are not what pyiqa asks for.
    """
    if small:
        shrink()
    tiny_hub(workspace)
    for file, encoder in open_clips(workspace).items():
        write(file, mirror, lambda path, encoder=encoder: open_clip_weights(encoder, path))
    for card in workspace.methods():
        for file in card.weights:
            if write_file := maker(file):
                write(file, mirror, write_file)
    pin_clip(mirror)
    Path(download_util.DEFAULT_CACHE_DIR).mkdir(parents=True, exist_ok=True)  # LIQE keeps its prompts there
    archs._lazy_import_arch("all of them")  # so that every one that loads weights is patched
    for card in workspace.methods():
        if card.pyiqa and card.weights and any(not (mirror / f).exists() for f in card.weights):
            built(card, mirror)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mirror", type=Path)
    add_config_argument(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    make(args.mirror, Workspace(config_of(args)))


if __name__ == "__main__":
    main()
