"""Configs of scales."""

from __future__ import annotations

import argparse

import pytest

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.scale import ScaleConfig, add_config_argument, config_of, load_config, read_config


def test_a_variant_with_a_misspelt_key_is_refused(at_root):
    with pytest.raises(CardError, match=r"variants\.a: unknown key 'lambda_psitive'; did you mean 'lambda_positive'"):
        read_config(at_root / "workflow/config/mini.yaml", {"variants": {"a": {"lambda_psitive": 1}}})


def test_a_variant_with_a_former_key_names_the_present_one(at_root):
    with pytest.raises(CardError, match=r"--config: train, variants\.a: unknown key 'pairs'.*called 'crop_pairs'"):
        read_config(at_root / "workflow/config/mini.yaml", {"variants": {"a": {"pairs": 1}}})


def test_an_override_with_a_former_key_names_the_present_one(at_root):
    with pytest.raises(CardError, match=r"unknown key 'photo_count'; it is now called 'figure_photos'"):
        load_config({"photo_count": 1})


def test_defaults_of_a_config_are_the_papers(at_root):
    config = read_config(at_root / "workflow/config/paper.yaml")
    assert isinstance(config, ScaleConfig)
    train = config.variant("qualiclip")
    assert (train.margin_ranking, train.margin_consistency, train.lr, train.levels) == (6.75e-2, 2.5e-3, 1e-9, 5)


def test_variants_may_be_a_list_that_selects_some_of_the_scale(at_root):
    config = load_config({"variants": ["untrained", "qualiclip"]})
    assert config.variants == {"qualiclip": {}, "untrained": {"steps": 0, "norm_batches": 0}}


def test_a_selected_variant_that_the_scale_does_not_train_is_refused(at_root):
    with pytest.raises(CardError, match=r"variants: this scale trains no .ablation-rn101.; variants: qualiclip, "):
        load_config({"variants": ["ablation-rn101"]})


def test_an_unknown_scale_names_the_scales(at_root):
    with pytest.raises(CardError, match=r"scale=huge: there is no workflow/config/huge\.yaml; scales: mini, paper, "):
        load_config({"scale": "huge"})


def test_the_argument_of_jobs_is_that_of_snakemake(at_root):
    parser = argparse.ArgumentParser()
    add_config_argument(parser)
    pairs = ["--config", "scale=scratch", "datasets=[clive, agiqa3k]", "allow_errors=false", "shard=8"]
    config = config_of(parser.parse_args(pairs))
    assert (config.scale, config.datasets, config.allow_errors, config.shard) == (
        "scratch", ["clive", "agiqa3k"], False, 8
    )  # fmt: skip
    assert config_of(parser.parse_args([])) == load_config({})


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"datasets": "clive"}, r"^--config: datasets: Input should be a valid list, for example \[clive\]$"),
        ({"shard": "10k"}, "^--config: shard: "),
        ({"mirror": "/nowhere"}, "^mirror=/nowhere: no such folder; correct it, or leave it out"),
        ({"results": "a/{b}"}, "^results=a/{b}: a path with braces cannot be used"),
        ({"variants": {"a": {"lr": "fast"}}}, r"^--config: train, variants\.a: lr: "),
    ],
)
def test_what_is_wrong_on_the_command_line_is_not_blamed_on_a_file(at_root, overrides, problem):
    with pytest.raises(CardError, match=problem):
        load_config(overrides)


def test_another_folder_is_not_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CardError, match=r"run the command in the folder of the repository"):
        load_config({})
