"""What a training at a tiny learning rate changes: `python -m qualiclip.timing.small_steps`.

It starts from the checkpoint of a mini run, and takes some steps at the paper's settings, apart from encoder and crop.
Printed are, as tables:

- the movement of the weights against the same steps in float64 throughout: direction (cosine) and length (share of L1),
  with and without float64 master weights;
- how far the weights alone, and the batch-norm statistics alone, change scores, in train and in frozen mode, with and
  without the final estimate of the statistics;
- how much SRCC changes over the last steps, with and without the final estimate.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn

from qualiclip import batch_norm, updates
from qualiclip.bench.cards.base import DATASETS, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.formats import oriented, read_index
from qualiclip.config import TrainConfig
from qualiclip.crops import CropPairs, degraded_batches
from qualiclip.images import SUFFIXES
from qualiclip.inference import folded
from qualiclip.model import QualiCLIP
from qualiclip.score import score
from qualiclip.train import Run, loss_terms


class Float64(QualiCLIP):
    """A model that stays in float64, where others leave the encoder in float32."""

    def encode(self, images: Tensor) -> Tensor:
        return F.normalize(self.encoder((images.double() - self.mean) / self.std), dim=-1)


def begun(config: TrainConfig, start: QualiCLIP) -> Run:
    """A run whose first step starts from a trained model."""
    run = Run(config, "cpu")
    run.model.load_state_dict(start.state_dict())
    run.optimizer = updates.AdamW(list(run.model.encoder.parameters()), config.lr, config.weight_decay)
    return run


def in_float64(config: TrainConfig, start: QualiCLIP) -> Run:
    """The same, with weights, activations and gradients in float64."""
    run = begun(config, start)
    run.model.double()
    run.model.__class__ = Float64
    run.losses = lambda images: loss_terms(run.model, images.double(), config)
    run.optimizer = updates.AdamW(list(run.model.encoder.parameters()), config.lr, config.weight_decay)
    return run


def in_plain_float32(config: TrainConfig, start: QualiCLIP) -> Run:
    """The same, without master weights."""
    with patch.object(updates, "ENOUGH", 0.0):
        return begun(config, start)


def together(runs: dict[str, Run], crops: CropPairs, steps: int) -> Iterator[int]:
    """Let several runs take the same steps. Yields the number of steps done."""
    for images, unreadable in degraded_batches(crops, range(steps), "cpu"):
        for run in runs.values():
            run.train_mode(steps)
            run.update(iter([(images, unreadable)]), steps)
        yield next(iter(runs.values())).step


def movement(weights: list[Tensor], start: QualiCLIP) -> Tensor:
    """How far weights moved from those of the start, as one float64 vector."""
    pairs = zip(weights, start.encoder.parameters(), strict=True)
    return torch.cat([(p.detach().double() - p0.detach().double()).flatten() for p, p0 in pairs])


class Sets:
    """Labelled sets of images, on which models are compared."""

    def __init__(self, names: list[str], results: Path, raw: Path):
        cards = {name: read_card(DatasetCard, DATASETS / f"{name}.yaml") for name in names}
        indexes = {name: read_index(results / "index" / f"{name}.csv") for name in names}
        self.files = {name: [raw / name / f for f in index["image"]] for name, index in indexes.items()}
        self.labels = {name: oriented(indexes[name]["mos"], cards[name].labels) for name in names}

    def scores(self, model: QualiCLIP, exact: bool = False) -> dict[str, np.ndarray]:
        """Scores of all sets; higher is better. exact: in float64, since the rounding of float32 is about 1e-5."""
        if exact:
            model = copy.deepcopy(model).double()
            model.__class__ = Float64
        else:
            model = folded(model)
        return {n: np.array([r.score for r in score(model, f, progress=False)]) for n, f in self.files.items()}

    def srcc(self, scores: dict[str, np.ndarray]) -> dict[str, float]:
        return {name: float(spearmanr(scores[name], self.labels[name]).statistic) for name in self.files}


def combined(weights: QualiCLIP, statistics: QualiCLIP) -> QualiCLIP:
    """A model with the weights of one, and the batch-norm statistics of another."""
    model = copy.deepcopy(weights)
    theirs = batch_norm.layers(statistics.encoder)
    for name, layer in batch_norm.layers(model.encoder).items():
        layer.running_mean.copy_(theirs[name].running_mean)
        layer.running_var.copy_(theirs[name].running_var)
    return model


class SideBySide(nn.Module):
    """Encoders that see the batches of one sequence, each those of its own window."""

    def __init__(self, encoders: dict[int, nn.Module], length: int):
        """encoders: by the number of the first batch they see. length: number of batches."""
        super().__init__()
        self.encoders, self.first, self.length = nn.ModuleList(encoders.values()), list(encoders), length
        self.seen = min(self.first)

    def forward(self, x: Tensor) -> None:
        for first, encoder in zip(self.first, self.encoders, strict=True):
            if first <= self.seen < first + self.length:
                encoder(x)
        self.seen += 1


def estimated(models: dict[int, QualiCLIP], crops: CropPairs, length: int) -> dict[int, QualiCLIP]:
    """Copies of models, by step, with the statistics that a training which ends at this step estimates."""
    models = {k: copy.deepcopy(m) for k, m in models.items()}
    any_model = next(iter(models.values()))
    encoders = SideBySide({k: m.encoder for k, m in models.items()}, length)
    batches = degraded_batches(crops, range(min(models), max(models) + length), "cpu")
    batch_norm.estimate(encoders, ((x.flatten(0, 2) - any_model.mean) / any_model.std for x, _ in batches))
    return models


def print_table(title: str, header: list[str], rows: dict[str, list[float]], digits: str) -> None:
    print(f"\n{title}\n\n| | {' | '.join(header)} |\n|---|{'---|' * len(header)}")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(format(v, digits) for v in values)} |", flush=True)


def compare_movement(config: TrainConfig, start: QualiCLIP, crops: CropPairs) -> dict[int, QualiCLIP]:
    """Print how far the weights followed a float64 run. Returns the models of the last steps, by step."""
    runs = {
        "float64": in_float64(config, start),
        "as it is": begun(config, start),
        "float32 alone": in_plain_float32(config, start),
    }
    # of the last 50 steps every tenth is kept
    kept = {}
    for step in together(runs, crops, config.steps):
        if step >= config.steps - 50 and (config.steps - step) % 10 == 0:
            kept[step] = copy.deepcopy(runs["as it is"].model).eval()
    truth = movement(list(runs["float64"].model.encoder.parameters()), start)
    rows = {}
    for name, weights in (
        ("float64 master weights", runs["as it is"].optimizer.master),
        ("the same, rounded to the model's float32", list(runs["as it is"].model.encoder.parameters())),
        ("without master weights", list(runs["float32 alone"].model.encoder.parameters())),
    ):
        moved = movement(weights, start)
        cosine = float(F.cosine_similarity(moved, truth, dim=0))
        rows[name] = [cosine, float(moved.abs().sum() / truth.abs().sum()), float((moved != 0).double().mean())]
    title = f"Movement after {config.steps} steps, against float64 throughout"
    print_table(title, ["cosine", "L1 share", "weights that moved"], rows, ".4f")
    return kept


def compare_scores(start: QualiCLIP, models: dict[str, QualiCLIP], sets: Sets) -> None:
    """Print the mean change of the scores, and SRCC, for combinations of weights and statistics."""
    before = sets.scores(start, exact=True)
    rows = {"the start": [0.0] * len(before) + list(sets.srcc(before).values())}
    for name, model in models.items():
        after = sets.scores(model, exact=True)
        changes = [float(np.abs(after[s] - before[s]).mean()) for s in before]
        rows[name] = changes + list(sets.srcc(after).values())
    header = [f"mean change of a score, {s}" for s in before] + [f"SRCC, {s}" for s in before]
    print_table("Scores (0 to 1)", header, rows, ".3g")


def compare_last_steps(models: dict[str, dict[int, QualiCLIP]], sets: Sets) -> None:
    """Print SRCC at the last steps, and how far apart the highest and the lowest are."""
    rows = {}
    for name, by_step in models.items():
        values = [sets.srcc(sets.scores(model)) for model in by_step.values()]
        for s in sets.files:
            srcc = [v[s] for v in values]
            rows[f"{name}, {s}"] = [*srcc, max(srcc) - min(srcc)]
    steps = next(iter(models.values()))
    print_table("SRCC over the last steps", [*(f"step {k}" for k in steps), "range"], rows, ".3f")


def main() -> None:
    parser = argparse.ArgumentParser(description="What a training at a tiny learning rate changes.")
    parser.add_argument("--results", type=Path, default=Path("results/mini"), help="default: %(default)s")
    parser.add_argument("--raw", type=Path, default=Path("datasets/raw"), help="default: %(default)s")
    parser.add_argument("--sets", nargs="+", default=["mini_authentic", "mini_ladder"], help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=120, help="default: %(default)s")
    parser.add_argument("--crop", type=int, default=96, help="px (default: %(default)s)")
    parser.add_argument("--norm-batches", type=int, default=TrainConfig().norm_batches, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # a mini run's model and photos, the paper's settings
    start = QualiCLIP.from_checkpoint(args.results / "checkpoints/qualiclip")
    photos = sorted(str(p) for p in (args.raw / "mini_pristine").iterdir() if p.suffix in SUFFIXES)
    size = {"crop": args.crop, "epochs": None, "steps": args.steps, "norm_batches": args.norm_batches}
    config = TrainConfig(encoder="rn-mini", pretrained=None, **size)
    frozen = config.model_copy(update={"batch_norm": "frozen"})
    crops, sets = CropPairs(photos, config), Sets(args.sets, args.results, args.raw)
    print(f"lr {config.lr:g}, {config.crop_pairs} pairs of {config.crop} px, {config.norm_batches} norm_batches")
    # movement in train mode, and a run in frozen mode
    kept = compare_movement(config, start, crops)
    last = kept[config.steps]
    fixed = begun(frozen, start)
    for _ in together({"frozen": fixed}, crops, config.steps):
        pass
    # the final estimate, as a run would make it that ended at each of these steps, or before the first
    anew = estimated({0: start, **kept}, crops, config.norm_batches)
    compare_last_steps({"as the last batches left it": kept, "final estimate": {k: anew[k] for k in kept}}, sets)
    models = {
        "train: weights and statistics, no final estimate": last,
        "train: weights and statistics, final estimate": anew[config.steps],
        "train: weights alone": combined(last, start),
        "train: statistics alone, no final estimate": combined(start, last),
        "train: statistics alone, final estimate (`bn-only`)": anew[0],
        "frozen: weights alone": fixed.model.eval(),
    }
    compare_scores(start, models, sets)


if __name__ == "__main__":
    main()
