"""Copies of the project at a tiny size, and runs of Snakemake in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.support.commands import ROOT, run

COPIED = ("Snakefile", "pyproject.toml", "workflow", "profiles", "qualiclip", "baselines", "datasets")
TINY_CARDS = {  # what is smaller than in the real cards; all else is theirs
    "mini_pristine": {"make": {"arguments": {"leaves": 2, "side": 128, "seed": 0}}},
    "mini_heldout": {"make": {"arguments": {"photos": 2, "width": 128, "height": 96}}, "images": {"count": 2}},
    "mini_ladder": {"images": {"count": 240}},
    "mini_authentic": {"make": {"arguments": {"per_photo": 8, "seed": 100}}, "images": {"count": 16}},
    "mini_restoration": {"make": {"arguments": {"per_photo": 8, "seed": 200}}, "images": {"count": 16}},
}
TINY_CONFIG = {
    "train": {"steps": 3, "crop": 64, "crop_pairs": 2, "norm_batches": 1},
    "figure_photos": 1,
    "efficiency_size": [128, 96],
}
KEPT_CARDS = {  # cards of the small tree
    "baselines": ("laplacian", "piqe", "qualiclip"),
    "workflow/tables": ("zero_shot_authentic",),
    "workflow/figures": ("overview",),
}


def merged(base: dict, changes: dict) -> dict:
    """`base` with nested changes."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = merged(base.get(key, {}), value) if isinstance(value, dict) else value
    return out


def edit(path: Path, changes: dict) -> None:
    """Change keys of a YAML file."""
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), changes)))


def append(path: Path, text: str) -> None:
    """Add text at the end of a file."""
    path.write_text(path.read_text() + text)


def copy_tree(target: Path) -> Path:
    """The project without outputs, with smaller mini sets and three training steps."""
    target.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("raw", "__pycache__"))
        else:
            shutil.copy(source, target / name)
    # the mini sets
    photos = re.search(r"TRAIN_PHOTOS = \((.*?)\)", (target / "datasets/mini.py").read_text(), re.DOTALL)[1]
    pristine = {"images": {"count": photos.count('"') // 2 + 2}}
    for name, changes in merged(TINY_CARDS, {"mini_pristine": pristine}).items():
        edit(target / f"datasets/{name}.yaml", changes)
    # the config, with three variants
    config = target / "workflow/config/mini.yaml"
    edit(config, TINY_CONFIG)
    content = yaml.safe_load(config.read_text())
    kept = {name: content["variants"][name] for name in ("qualiclip", "untrained")}
    config.write_text(yaml.safe_dump({**content, "variants": {**kept, "ablation-full": {"steps": 2}}}))
    return target


def small_tree(target: Path) -> Path:
    """A tree of three methods, one labelled set, one table, one figure."""
    copy_tree(target)
    for folder, names in KEPT_CARDS.items():
        for card in (target / folder).rglob("*.yaml"):
            if card.stem not in names:
                card.unlink()
    edit(target / "workflow/config/mini.yaml", {"datasets": ["mini_authentic"], "train": {"checkpoint_every": 2}})
    return target


def snakemake(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a tree. environment: changes of it."""
    return run("snakemake", "--cores", "2", *arguments, cwd=tree, **environment)


def run_all(tree: Path, **environment: str) -> Path:
    """Make everything in a tree."""
    done = snakemake(tree, "all", **environment)
    assert done.returncode == 0, output_of(done)
    return tree


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """All that a run printed: Snakemake's words come on stderr, those of its jobs on stdout."""
    return done.stdout + done.stderr


def jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Rule -> number of jobs that a run did, or planned. Targets that do nothing themselves are left out."""
    rules = re.findall(r"^(?:local)?rule (\w+):", output_of(done), re.MULTILINE)
    return {rule: rules.count(rule) for rule in rules if rule != "all" and not rule.startswith(("table_", "figure_"))}


def nothing_to_do(tree: Path, *arguments: str) -> bool:
    """Whether a run would do nothing."""
    return "Nothing to be done" in output_of(snakemake(tree, "-n", *arguments))


def outputs(tree: Path, pattern: str) -> dict[str, bytes]:
    """Path below the tree -> content of each result that matches a pattern."""
    return {str(p.relative_to(tree)): p.read_bytes() for p in sorted((tree / "results").rglob(pattern))}
