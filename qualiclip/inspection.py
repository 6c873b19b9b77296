"""What a checkpoint says of its training: `qualiclip inspect A [--against B]`.

A file holds weights and batch-norm statistics, nothing else; but beside the file that the training began with, they
tell whether batch norms were in train mode, how far the weights went (so that lr x steps is bounded from below), how
many batches were seen, and which prompts the stored features belong to. No code of a file is run.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from qualiclip.config import WEIGHTS
from qualiclip.model import CheckpointError
from qualiclip.prompts import PROMPT_PAIRS

CONTAINERS = ("state_dict", "params", "model", "model_state_dict")  # keys under which files nest their tensors
PREFIXES = ("module.", "clip_model.", "visual.", "encoder.")  # stripped, so that image encoders have the same names
STATISTICS = ("running_mean", "running_var")
RECALLED = 8.75e-5  # lr 1e-9 times 87,500 steps: what the recalled settings allow a weight to move


def _wordings() -> dict[str, list[str]]:
    """Known lists of prompts, positive before negative."""
    ours = [prompt for pair in PROMPT_PAIRS for prompt in pair]
    joined = ours.index("Noisy image.")
    slip = [*ours[:joined], ours[joined] + ours[joined + 1], *ours[joined + 2 :]]
    return {
        "the seven pairs of the released code": ours,
        "thirteen prompts (the authors' hub code lacks a comma after 'Noisy image.')": slip,
        "one pair, as CLIP-IQA": ours[:2],
    }


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint: a folder of this suite, a .safetensors or a .pth file. Raises CheckpointError."""
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError) as e:
        reason = f"{type(e).__name__}: {e}".splitlines()[0]
        raise CheckpointError(
            f"{file}: cannot be read without running code from it ({reason}); of OpenAI's TorchScript archive take the "
            "safetensors file that open_clip uses (timm/resnet50_clip.openai)"
        ) from e
    for key in CONTAINERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    tensors = {str(k): v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise CheckpointError(f"{file}: it holds no named tensors")
    return tensors


def _canonical(name: str) -> str:
    """The name of a tensor of the image encoder without the prefixes of its library."""
    stripped = True
    while stripped:
        stripped = False
        for prefix in PREFIXES:
            if name.startswith(prefix):
                name, stripped = name.removeprefix(prefix), True
    return name


def image_encoder(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the image encoder, by the names of CLIP's ModifiedResNet."""
    names = {k: _canonical(k) for k in tensors}
    roots = ("conv", "bn", "layer", "attnpool")
    return {n: tensors[k] for k, n in names.items() if n.startswith(roots)}


def _differences(a: dict[str, Tensor], b: dict[str, Tensor], names: Iterable[str]) -> dict[str, Any]:
    """Largest, mean and relative change over some tensors, and the share of values that differ."""
    pairs = [(a[n].double(), b[n].double()) for n in names]
    changes = [x - y for x, y in pairs]
    count = sum(d.numel() for d in changes)
    if not count:
        return {"values": 0}
    length = math.sqrt(sum(float(y.square().sum()) for _, y in pairs))
    return {
        "values": count,
        "largest": max(float(d.abs().max()) for d in changes),
        "mean": sum(float(d.abs().sum()) for d in changes) / count,
        "relative": math.sqrt(sum(float(d.square().sum()) for d in changes)) / length if length else float("nan"),
        "share_moved": sum(int((d != 0).sum()) for d in changes) / count,
    }


def _tracked(encoder: dict[str, Tensor]) -> int | None:
    """The largest number of batches that a batch norm has counted."""
    counts = [int(t) for n, t in encoder.items() if n.endswith("num_batches_tracked")]
    return max(counts) if counts else None


def _prompt_features(tensors: dict[str, Tensor]) -> Tensor | None:
    """(N, D) stored prompt features, positive before negative, or None."""
    for name, t in tensors.items():
        if name.rpartition(".")[2] in ("prompts", "prompts_features") and t.ndim >= 2:
            return F.normalize(t.float().flatten(0, -2), dim=-1)
    return None


def _text_features(tensors: dict[str, Tensor], prompts: list[str]) -> Tensor | None:
    """(N, D) features of prompts by the text encoder among the tensors; None without one."""
    import open_clip
    from open_clip.model import CLIP

    text = {k.removeprefix("module.").removeprefix("clip_model."): v.float() for k, v in tensors.items()}
    if "token_embedding.weight" not in text or "text_projection" not in text:
        return None
    width = text["token_embedding.weight"].shape[1]
    layers = len({k.split(".")[2] for k in text if k.startswith("transformer.resblocks.")})
    length, vocabulary = len(text["positional_embedding"]), len(text["token_embedding.weight"])
    dimensions = {"context_length": length, "vocab_size": vocabulary, "width": width, "heads": width // 64}
    vision = {"image_size": 32, "layers": (1, 1, 1, 1), "width": 8, "patch_size": None}
    clip = CLIP(text["text_projection"].shape[1], vision, {**dimensions, "layers": layers}, quick_gelu=True)
    own = {k: v for k, v in text.items() if k in clip.state_dict() and not k.startswith("visual.")}
    clip.load_state_dict(own, strict=False)
    with torch.no_grad():
        tokens = open_clip.tokenize(prompts, context_length=length)
        return F.normalize(clip.eval().encode_text(tokens).float(), dim=-1)


def recognised_prompts(tensors: dict[str, Tensor], others: dict[str, Tensor]) -> dict[str, Any]:
    """Number of stored prompt features, and the known wording that gives them by the text encoder of either file."""
    features = _prompt_features(tensors)
    if features is None:
        return {"prompts": 0, "wording": "no prompt features are stored"}
    lists = {title: prompts for title, prompts in _wordings().items() if len(prompts) == len(features)}
    for title, prompts in lists.items():
        for source in (tensors, others):
            expected = _text_features(source, prompts)
            if expected is not None and expected.shape == features.shape:
                same = int((F.cosine_similarity(features, expected) > 0.999).sum())
                return {"prompts": len(features), "wording": f"{same} of {len(features)} as in {title}"}
    guess = f"; by their number {next(iter(lists))}" if lists else ""
    return {"prompts": len(features), "wording": f"no text encoder is stored to compare with{guess}"}


def inspect(path: Path, against: Path | None = None) -> dict[str, Any]:
    """What a checkpoint says of its training; `against` is the file that the training began with, or any other.

    Raises CheckpointError for a file that cannot be read, or for two without a common tensor.
    """
    tensors = read_tensors(path)
    others = read_tensors(against) if against else {}
    a, b = image_encoder(tensors), image_encoder(others)
    facts: dict[str, Any] = {
        "file": str(path),
        "tensors": len(tensors),
        "parameters": sum(t.numel() for t in tensors.values()),
        "types": sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values()}),
        "batches_tracked": _tracked(a),
        **recognised_prompts(tensors, others),
    }
    if against is None:
        return facts
    # tensors of the image encoder that both have in one shape
    common = [n for n in a if n in b and a[n].shape == b[n].shape]
    if not common:
        raise CheckpointError(f"{path} and {against} have no tensor of an image encoder in common")
    statistics = [n for n in common if n.endswith(STATISTICS)]
    weights = [n for n in common if a[n].is_floating_point() and n not in statistics and "positional" not in n]
    moved = _differences(a, b, weights)
    facts |= {
        "against": str(against),
        "common_tensors": len(common),
        "equal_tensors": sum(torch.equal(a[n], b[n]) for n in common),
        "different_tensors": [n for n in common if not torch.equal(a[n], b[n])],
        "only_here": sorted(set(a) - set(b)),
        "only_there": sorted(set(b) - set(a)),
        "weights": moved,
        "statistics": _differences(a, b, statistics),
        "batch_norm": _mode(_differences(a, b, statistics)),
        # AdamW moves a weight by about lr at most in a step
        "lr_times_steps_at_least": moved.get("largest", 0.0),
        "more_than_recalled_settings_allow": moved.get("largest", 0.0) > RECALLED,
    }
    return facts


def _mode(statistics: dict[str, Any]) -> str:
    """What the batch-norm statistics say of the mode of the training."""
    if not statistics["values"]:
        return "no batch-norm statistics"
    return "train mode: the statistics moved" if statistics["largest"] > 0 else "frozen: the statistics are the same"


def lines(facts: dict[str, Any]) -> list[str]:
    """The facts in sentences, one per line."""
    batches = "not stored" if facts["batches_tracked"] is None else facts["batches_tracked"]
    text = [
        f"{facts['file']}: {facts['tensors']} tensors, {facts['parameters']:,} values, {', '.join(facts['types'])}",
        f"prompts: {facts['prompts']}, {facts['wording']}",
        f"batches counted by batch norms: {batches}",
    ]
    if "against" not in facts:
        return text
    w, s = facts["weights"], facts["statistics"]
    text.append(
        f"beside {facts['against']}: {facts['equal_tensors']} of {facts['common_tensors']} common tensors are equal; "
        f"{len(facts['only_here'])} only here, {len(facts['only_there'])} only there"
    )
    if w["values"]:
        text.append(
            f"weights: {w['share_moved']:.1%} moved, by {w['mean']:.3g} on average and {w['largest']:.3g} at most, "
            f"relative distance {w['relative']:.3g}"
        )
        over = "more" if facts["more_than_recalled_settings_allow"] else "no more"
        text.append(
            f"so lr x steps is about {w['largest']:.3g} or more: {over} than the recalled settings allow ({RECALLED:g})"
        )
    if s["values"]:
        text.append(f"batch norm: {facts['batch_norm']}, by {s['relative']:.3g} (relative), {s['largest']:.3g} at most")
    return text
