"""The path grammar: names of cards give files, "{wildcards}" give the patterns of the rules."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from qualiclip.bench.paths import Paths, sidecar

PATHS = Paths(Path("results/mini"), Path("datasets/raw"))
GRAMMAR = {
    "manifest": "datasets/raw/{dataset}/manifest.json",
    "index": "results/mini/index/{dataset}.csv",
    "checkpoint": "results/mini/checkpoints/{variant}",
    "weights": "results/mini/checkpoints/{variant}/weights.safetensors",
    "train_record": "results/mini/checkpoints/{variant}/train.json",
    "fitted": "results/mini/fitted/{method}",
    "scores": "results/mini/scores/{method}/{dataset}.csv",
    "score_shard": "results/mini/scores/{method}/{dataset}.shards/{k}-of-{n}.csv",
    "features": "results/mini/features/{method}/{dataset}.npz",
    "learned": "results/mini/learned/{method}/{dataset}.safetensors",
    "metrics": "results/mini/metrics/{method}/{dataset}.csv",
    "table": "results/mini/tables/{table}.md",
    "figure": "results/mini/figures/{figure}.png",
    "figure_column": "results/mini/figures/{figure}_column.pdf",
    "intensity": "results/mini/intensity/{method}.csv",
    "sizes": "results/mini/sizes/{method}.csv",
    "degradations": "results/mini/degradations/{dataset}.npz",
    "explain": "results/mini/explain/{method}.npz",
    "efficiency": "results/mini/efficiency/{method}.json",
    "site": "results/site/{run}",
    "log": "results/mini/logs/{job}.log",
}
NAMES = {"dataset": "clive", "method": "qualiclip+", "variant": "ablation-full", "table": "t", "figure": "f"}
NAMES |= {"k": 2, "n": 3, "job": "score/piqe/clive", "run": "mini-1"}


def test_the_grammar_is_complete():
    methods = {name for name, _ in inspect.getmembers(Paths, inspect.isfunction) if not name.startswith("_")}
    assert methods == set(GRAMMAR)
    properties = {name: str(getattr(PATHS, name)) for name, p in vars(Paths).items() if isinstance(p, property)}
    files = {"report": "results/mini/report.html", "released_weights": "results/mini/released_weights.json"}
    files |= {"latex_index": "results/mini/tables/index.tex", "results": "results/mini/results.csv"}
    files |= {"plan": "results/mini/plan.txt", "all_scores": "results/mini/scores"}
    files |= {"release": "results/mini/release.zip", "release_manifest": "results/mini/release.json"}
    assert properties == files


@pytest.mark.parametrize("name", GRAMMAR)
def test_wildcards_give_the_pattern_and_names_the_file(name):
    method, pattern = getattr(PATHS, name), GRAMMAR[name]
    keys = list(inspect.signature(method).parameters)
    assert str(method(*(f"{{{k}}}" for k in keys))) == pattern
    assert str(method(*(NAMES[k] for k in keys))) == pattern.format(**NAMES)


def test_provenance_lies_beside_an_output():
    assert sidecar(PATHS.scores("a", "b")) == Path("results/mini/scores/a/b.csv.provenance.json")
    assert str(sidecar(PATHS.table("{table}"))) == "results/mini/tables/{table}.md.provenance.json"
