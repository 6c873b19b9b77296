"""The config of a scale (workflow/config/<scale>.yaml): which cards it selects, how large it is, what it trains."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import Field

from qualiclip.bench.cards.base import SCALES, CardError, Strict, parse, read_yaml
from qualiclip.bench.cards.release import read_release
from qualiclip.config import TrainConfig

NOT_IN_OUTPUTS = {"data", "results", "release", "mirror", "device", "shard", "gpus_per_training", "trust"}
NOT_IN_OUTPUTS |= {"allow_missing", "labels_only"}  # of these, what is finished tells


class ScaleConfig(Strict):
    """A scale. The rules are the same for all scales; only what is selected and how large it is differs."""

    renamed: ClassVar = {
        "pristine": "training_set",
        "fit": "fit_set",
        "photos": "figure_set",
        "gmad": "gmad_set",
        "photo_count": "figure_photos",
    }

    scale: str = Field(
        "mini", pattern="^[A-Za-z0-9][A-Za-z0-9_.+-]*$", description="the name of a file in workflow/config"
    )
    banner: str | None = Field(None, description="printed on every table, figure and page of this scale")
    datasets: list[str] | None = Field(None, description="null: every card that names the scale")
    methods: list[str] | None = Field(None, description="null: every card that names the scale")
    training_set: str = Field(description="pristine dataset that training reads")
    figure_set: str = Field(description="dataset of the undistorted photos behind the figures")
    figure_photos: int = Field(gt=0, description="how many of them score_vs_intensity degrades")
    fit_set: str | None = Field(None, description="pristine dataset that baselines are fitted to; null: training_set")
    gmad_set: str = Field(description="dataset in which gMAD looks for pairs")
    gmad_levels: int = Field(2, ge=1, description="defender levels")
    bootstrap: int = Field(0, ge=0, description="resamples behind additional confidence limits; 0: closed form only")
    efficiency_size: tuple[int, int] = Field((1024, 768), description="width and height of the timed image, px")
    gpus_per_training: int = Field(1, ge=1, description="GPUs that a training run shares, by torchrun")
    train: dict[str, Any] = Field(description="TrainConfig of every variant")
    variants: dict[str, dict[str, Any]] = Field(
        description="what each variant changes in it; with --config also a list, which selects some of the scale's"
    )
    ablation_seeds: int = Field(1, ge=1, description="trainings of each row of an ablation, which differ in the seed")
    data: Path = Field(Path("datasets/raw"), description="folder of the raw datasets")
    results: Path = Field(Path("results"), description="folder of the results")
    release: Path | None = Field(
        None, description="a release of scores: tables, figures and the page are made from it, without images"
    )
    mirror: Path | None = Field(None, description="folder of local files used in place of the network")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where models run; auto: a GPU if there is one")
    allow_missing: bool = Field(False, description="index a set although some of its images are missing")
    shard: int | None = Field(None, gt=0, description="images that one job scores at most; null: one job per set")
    labels_only: list[str] = Field([], description="sets without images here: only precomputed scores can be shown")
    trust: list[str] = Field([], description="methods whose weights may run code of their authors (docs/security.md)")
    allow_errors: bool = Field(False, description="correlate without the images that a method failed on")

    @property
    def of_outputs(self) -> dict[str, Any]:
        """All that changes outputs, as JSON holds it: not where files lie, nor what a job may use."""
        return self.model_dump(mode="json", exclude=NOT_IN_OUTPUTS)

    def variant(self, name: str) -> TrainConfig:
        """The training config of one variant."""
        return TrainConfig(**{**self.train, **self.variants[name]})


def read_config(path: Path, overrides: dict[str, Any] | None = None) -> ScaleConfig:
    """Read a scale's config, with overrides on top; `variants` may be a list of some of its own. Raises CardError."""
    return _config(path, read_yaml(path), dict(overrides or {}))


def _config(path: Path, content: dict[str, Any], overrides: dict[str, Any]) -> ScaleConfig:
    """The config of the file `path`, or of a release, with overrides on top. Raises CardError."""
    if isinstance(overrides.get("variants"), list):
        overrides["variants"] = _selected(content.get("variants", {}), overrides["variants"])
    # what is wrong with the overrides is not blamed on the file
    try:
        config = parse(ScaleConfig, path, {**content, **overrides})
    except CardError:
        parse(ScaleConfig, path, content)
        config = parse(ScaleConfig, "--config", {**content, **overrides})
    _check_paths(config)
    origin = path if not {"train", "variants"} & set(overrides) else "--config"
    for name, changes in config.variants.items():
        parse(TrainConfig, f"{origin}: train, variants.{name}", {**config.train, **changes})
    return config


def _check_paths(config: ScaleConfig) -> None:
    """Raises CardError for a mirror that is not there, and for braces, in which Snakemake looks for wildcards."""
    if config.mirror and not config.mirror.is_dir():
        raise CardError(f"mirror={config.mirror}: no such folder; correct it, or leave it out to use the network")
    for key in ("data", "results"):
        if set("{}") & set(str(getattr(config, key))):
            raise CardError(f"{key}={getattr(config, key)}: a path with braces cannot be used; choose another folder")


def _selected(variants: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The named variants, in the scale's own order. Raises CardError for a name that it does not have."""
    for name in names:
        if name not in variants:
            raise CardError(f"variants: this scale trains no {name!r}; variants: {', '.join(variants)}")
    return {name: changes for name, changes in variants.items() if name in names}


def load_config(overrides: dict[str, Any]) -> ScaleConfig:
    """The config of the scale that `overrides` names (default: mini), or of a release, with them on top.

    Raises CardError.
    """
    if archive := overrides.get("release"):
        content = read_release(Path(archive)).config
        if overrides.get("scale", content["scale"]) != content["scale"]:
            raise CardError(f"{archive}: a release of scale {content['scale']}; leave scale={overrides['scale']} out")
        of_outputs = {k: v for k, v in content.items() if k not in NOT_IN_OUTPUTS}  # no place of this machine
        return _config(Path(archive), of_outputs, dict(overrides))
    path = SCALES / f"{overrides.get('scale', 'mini')}.yaml"
    if not SCALES.is_dir():
        raise CardError(f"there is no folder {SCALES} in {Path.cwd()}; run the command in the folder of the repository")
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SCALES.glob("*.yaml")))
        raise CardError(f"scale={path.stem}: there is no {path}; scales: {known}")
    return read_config(path, overrides)


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--config KEY=VALUE ...`, as Snakemake has it."""
    parser.add_argument(
        "--config", nargs="*", default=[], metavar="KEY=VALUE", help="as Snakemake's --config, e.g. scale=mini"
    )


def config_of(args: argparse.Namespace) -> ScaleConfig:
    """The config that `--config` asks for; values are read as YAML. Raises CardError."""
    pairs = (item.partition("=") for item in args.config)
    return load_config({key: yaml.safe_load(value) for key, _, value in pairs})
