"""Of a set without images, all methods that would have to see them are refused in one job."""

from __future__ import annotations

import sys

import pandas as pd

from qualiclip.bench import provenance
from qualiclip.bench.cards.base import METHODS, read_cards
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import has_images, read_index, read_metrics, read_scores, refusal
from qualiclip.bench.paths import Paths
from qualiclip.bench.score import refused

REASON = "the images of small are not here, only its labels"


def test_a_set_without_images_is_not_run(small, at_root, monkeypatch):
    """No checkpoint is needed, nor anything else that the methods would be run with."""
    pd.read_csv(small / "index.csv")[["image", "mos"]].to_csv(small / "labels.csv", index=False)
    cards = read_cards(MethodCard, METHODS)
    names = {n: n for n in ("qualiclip", "niqe", "probe-untrained", "ablation-full")} | {"again-seed1": "ablation-full"}
    arguments = ["refused", small / "small.yaml", "--index", small / "labels.csv", "--root", small / "results"]
    monkeypatch.setattr(
        sys,
        "argv",
        [*map(str, arguments), "--methods", *names, "--cards", *(str(cards[n].path) for n in names.values())],
    )
    refused.main()
    index, paths = read_index(small / "labels.csv"), Paths(small / "results", small)
    assert not has_images(index)
    for name, of_card in names.items():
        table = read_scores(paths.scores(name, "small"), index)
        assert refusal(table) == REASON and table["score"].isna().all() and len(table) == 11
        metrics = read_metrics(paths.metrics(name, "small"))
        assert metrics["reason"].tolist() == [REASON] and metrics["value"].isna().all()
        facts = provenance.read(paths.scores(name, "small"))
        assert not facts["complete"] and (facts["method"], facts["dataset"], facts["mirrored"]) == (
            of_card,
            "small",
            [],
        )
