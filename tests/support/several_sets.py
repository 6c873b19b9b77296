"""A workspace of several sets and methods on made-up labels, scored and correlated."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd

from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.formats import refused_scores, write_csv
from qualiclip.bench.metrics.correlate import metrics_of
from qualiclip.bench.workspace import Workspace
from tests.support.cards import dataset_card, method_card, table_card
from tests.support.commands import ROOT

ALL = {"family": ["opinion-unaware", "supervised", "full-reference", "control"]}


def several_sets(
    root: Path, noise: dict[str, float | str], n_sets: int, n: int = 60, types: list[str] | None = None, **facts: dict
) -> Workspace:
    """Sets "set0" .. of n images, labelled from 0 to 1, under one table of all methods.

    noise: method -> the standard deviation of what its scores add to the labels; a text is why it was not run.
    types: of the images, in turn. facts: by method, keys of its card.
    """
    with chdir(ROOT):
        config = load_config({"scale": "paper", "results": str(root), "data": str(root), "variants": {"qualiclip": {}}})
        workspace = Workspace(config)
    methods = [method_card(m, **facts.get(m, {})) for m in noise]
    labels = {"type": "type"} if types else {}
    sets = [dataset_card(n, labels=labels, name=f"set{k}", title=f"Set {k}") for k in range(n_sets)]
    workspace.all_methods = {m.name: m for m in methods}
    workspace.all_datasets = {d.name: d for d in sets}
    columns = {"names": [d.name for d in sets]}
    workspace.all_tables = {"t": table_card(rows=ALL, columns=columns, metrics=["srcc"], scales=["paper"])}
    workspace.all_figures = {}
    names = dict.fromkeys(("training_set", "fit_set", "figure_set", "gmad_set"), "set0")
    workspace.config = workspace.config.model_copy(update=names)
    # labels, scores, correlations
    for k, d in enumerate(sets):
        rng = np.random.default_rng(k)
        index = pd.DataFrame({"image": [f"{i}.png" for i in range(n)], "mos": rng.permutation(n) / n})
        if types:
            index["type"] = [types[i % len(types)] for i in range(n)]
        write_csv(index, workspace.paths.index(d.name))
        for m in methods:
            scores, how = workspace.paths.scores(m.name, d.name), noise[m.name]
            if isinstance(how, str):
                write_csv(refused_scores(index, how), scores)
            else:
                values = index["mos"] + rng.normal(0, how, n)
                write_csv(pd.DataFrame({"image": index["image"], "score": values, "error": ""}), scores)
            table = metrics_of(scores, workspace.paths.index(d.name), m, d)
            write_csv(table, workspace.paths.metrics(m.name, d.name))
    return workspace
