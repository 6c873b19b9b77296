"""A workspace of one dataset and some methods, with an index, score files and metrics files of made-up scores."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.formats import refused_scores, unscored, write_csv
from qualiclip.bench.metrics.correlate import metrics_of
from qualiclip.bench.workspace import Workspace
from tests.support.cards import method_card
from tests.support.commands import ROOT

VARIANTS = {"encoder": {}, "short": {"epochs": None, "steps": 5}} | {f"seed{i}": {"seed": i} for i in range(4)}
ENCODER = method_card("encoder", variant="encoder", family="ablation")  # of methods with a model per split
EVERYTHING = {"rows": {"family": ["opinion-unaware", "supervised", "control"]}, "columns": {"names": ["myset"]}}

Scored = tuple[MethodCard, np.ndarray | str]  # a method and its scores, or why it was not run


def workspace_of(root: Path, methods: list[MethodCard], dataset: DatasetCard) -> Workspace:
    """A workspace of these cards alone, on the paper's default training."""
    with chdir(ROOT):
        workspace = Workspace(load_config({"scale": "paper", "results": root, "data": root, "variants": VARIANTS}))
    workspace.all_methods = {m.name: m for m in [*methods, ENCODER]}
    workspace.all_datasets = {dataset.name: dataset}
    sets = dict.fromkeys(("training_set", "fit_set", "figure_set", "gmad_set"), dataset.name)
    workspace.config = workspace.config.model_copy(update=sets)
    return workspace


def with_results(root: Path, scored: list[Scored], mos: np.ndarray, dataset: DatasetCard) -> Workspace:
    """A workspace whose methods have been scored and correlated, on ten random splits."""
    workspace = workspace_of(root, [m for m, _ in scored], dataset)
    index = pd.DataFrame({"image": [f"{i}.png" for i in range(len(mos))], "mos": mos})
    for k in range(10):
        inside = np.random.default_rng(k).permutation(len(mos)) < len(mos) // 5
        index[f"split_{k:02d}"] = np.where(inside, "test", "train")
    write_csv(index, workspace.paths.index(dataset.name))
    for method, scores in scored:
        write_scores(workspace, method, index, scores)
        correlate(workspace, method, dataset)
    return workspace


def write_scores(workspace: Workspace, method: MethodCard, index: pd.DataFrame, scores: np.ndarray | str) -> None:
    """Write the score file of a method."""
    if isinstance(scores, str):
        table = refused_scores(index, scores)
    elif method.features_of:
        parts = index.filter(like="split_")
        inside = {c: np.where(parts[c] == "test", scores, np.nan) for c in parts}
        table = unscored(index, np.full(len(index), "")).assign(**inside)
    else:
        table = pd.DataFrame({"image": index["image"], "score": scores, "error": ""})
    write_csv(table, workspace.paths.scores(method.name, next(iter(workspace.all_datasets))))


def correlate(workspace: Workspace, method: MethodCard, dataset: DatasetCard) -> None:
    """Write the metrics file of a score file."""
    paths = workspace.paths
    scores, index = paths.scores(method.name, dataset.name), paths.index(dataset.name)
    write_csv(metrics_of(scores, index, method, dataset), paths.metrics(method.name, dataset.name))


def noisy(mos: np.ndarray, noise: float, seed: int = 1) -> np.ndarray:
    """Labels with Gaussian noise: the scores of a method of its own quality."""
    return mos + np.random.default_rng(seed).normal(0, noise, len(mos))
