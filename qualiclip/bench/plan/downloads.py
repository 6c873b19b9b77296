"""What a run would download, what a person has to bring, and what will not be run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from qualiclip.bench.cards.dataset import DatasetCard, Download
from qualiclip.bench.cards.method import MethodCard, PrecomputedScores
from qualiclip.bench.data.fetch import alternatives
from qualiclip.bench.methods import weights
from qualiclip.bench.plan.jobs import Job
from qualiclip.bench.workspace import Workspace
from qualiclip.pretrained import AUTHORS_RELEASE

HUGGING_FACE = "https://huggingface.co"
GOOGLE_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id={id}"


@dataclass(frozen=True)
class File:
    """One file that a run needs and does not have: of a dataset, a method or the training."""

    owner: str  # the card that needs it
    kind: str  # "data", "weights" or "scores"
    name: str
    address: str | None = None  # None: it must be brought by hand
    megabytes: float | None = None
    by_hand: str = ""  # how a person gets it
    wait: str | None = None


def address(item: Download) -> str | None:
    """The http(s) address behind a file of a card; None for one that must be brought."""
    if item.gdrive:
        return GOOGLE_DRIVE.format(id=item.gdrive)
    if item.huggingface:
        owner, repository, path = item.huggingface.split("/", 2)
        return f"{HUGGING_FACE}/datasets/{owner}/{repository}/resolve/main/{path}"
    return item.url


@cache
def _of_libraries() -> dict[str, str]:
    """File name -> address of the weights that pyiqa's metrics start from, and of the authors' own release."""
    from pyiqa.archs import clip_model
    from torchvision.models import get_model_weights, list_models

    backbones = [w.url for model in list_models(include=["resnet*", "vgg*"]) for w in get_model_weights(model)]
    urls = [AUTHORS_RELEASE, *clip_model._MODELS.values(), *backbones]
    return {url.rpartition("/")[2]: url for url in urls}


def weight_address(file: str) -> str | None:
    """The address of `<library>/<file>` of a method's `weights`; None where no library has one for it."""
    library, _, name = file.partition("/")
    if library == "timm":
        model = name.removesuffix(".safetensors")
        inside = "open_clip_model" if "_clip." in model else "model"
        return f"{HUGGING_FACE}/timm/{model}/resolve/main/{inside}.safetensors"
    source = weights.SOURCES.get(library)
    return _of_libraries().get(name) or (source.format(file=name) if source else None)


def _of_dataset(card: DatasetCard, workspace: Workspace) -> list[list[File]]:
    """The files of a set that is not here: each as the list of its alternatives; none for what the mirror has."""
    labels_only = card.name in workspace.config.labels_only
    groups = []
    for items in alternatives(card.wanted_files(labels_only)):
        if not any(i.in_mirror(card.name, workspace.config.mirror) for i in items):
            files = [
                File(card.name, "data", i.filename, address(i), i.megabytes, i.manual or "", i.wait) for i in items
            ]
            groups.append(files)
    return groups


def _of_method(card: MethodCard, datasets: Iterable[str], workspace: Workspace) -> list[File]:
    """Weights of a method, and published scores of the datasets, that the mirror does not have."""
    wanted = {f for d in datasets for f in card.wanted_files(d)} | {*card.wanted_files(None)}
    mirror, files = workspace.config.mirror, []
    for f in sorted(wanted):
        if mirror and (mirror / f).is_file():
            continue
        if isinstance(card.scores, PrecomputedScores):
            url = f"{card.scores.url}/{f.removeprefix(card.scores.store + '/')}"
            files.append(File(card.name, "scores", f, url))
        else:
            files.append(File(card.name, "weights", f, weight_address(f), by_hand="see the method's file"))
    return files


def _of_training(variants: Iterable[str], workspace: Workspace) -> list[File]:
    """The weights that trainings start from."""
    import open_clip

    files = {}
    for variant in variants:
        c = workspace.config.variant(variant)
        if c.pretrained:
            hub = open_clip.get_pretrained_cfg(c.encoder.removesuffix("-quickgelu"), c.pretrained)["hf_hub"]
            name = f"timm/{hub.strip('/').rpartition('/')[2]}.safetensors"
            if not (workspace.config.mirror and (workspace.config.mirror / name).is_file()):
                files[name] = File("training", "weights", name, weight_address(name))
    return list(files.values())


def needed(jobs: Sequence[Job], workspace: Workspace) -> list[list[File]]:
    """All files that the jobs would fetch and the mirror lacks, each as the list of its alternatives, named once."""
    groups = [g for j in jobs if j.rule == "fetch" for g in _of_dataset(workspace.all_datasets[j.dataset], workspace)]
    # files of methods
    sets: dict[str, set[str]] = {}
    for j in jobs:
        if j.method and j.dataset and (j.rule.startswith("score") or j.rule in ("fit", "efficiency")):
            sets.setdefault(j.method, set()).add(j.dataset)
    files = [f for m, d in sorted(sets.items()) for f in _of_method(workspace.all_methods[m], d, workspace)]
    files += _of_training((j.variant for j in jobs if j.rule == "train"), workspace)
    once = {f.name: f for f in reversed(files)}  # the first method that needs it
    return [*sorted(groups, key=lambda g: g[0].owner), *([once[n]] for n in sorted(once))]


def chosen(group: Sequence[File]) -> File:
    """The alternative that would be fetched: the first that has an address, else the first."""
    return next((f for f in group if f.address), group[0])


def away(groups: Sequence[Sequence[File]], workspace: Workspace) -> set[str]:
    """Sets that are not here until somebody brings a file, and those that are made of them."""
    by_hand = {g[0].owner for g in groups if g[0].kind == "data" and not chosen(g).address}
    made = {d.name for d in workspace.all_datasets.values() if d.make and by_hand.intersection(d.make.needs)}
    return by_hand | made


def not_run(jobs: Sequence[Job], workspace: Workspace, gpu: bool) -> dict[str, list[str]]:
    """Reason -> titles of the methods of the jobs that will be "not run"."""
    reasons: dict[str, list[str]] = {}
    scored = {j.method for j in jobs if j.rule.startswith("score") and j.method}
    for m in (workspace.all_methods[name] for name in sorted(scored)):
        if m.not_run:
            reasons.setdefault(m.not_run, []).append(m.title)
        elif m.runs_code and m.name not in workspace.config.trust:
            why = f"it runs code of {m.runs_code}; if you trust it, give trust=[{m.name}]"
            reasons.setdefault(why, []).append(m.title)
        elif m.input.device == "cuda" and not gpu:
            reasons.setdefault("it needs a GPU, and there is none here", []).append(m.title)
    return reasons


def without_scores(jobs: Sequence[Job], workspace: Workspace) -> dict[str, tuple[int, int]]:
    """Title of each method of published scores -> sets that it has scores of, sets that the tables show it on."""
    out: dict[str, tuple[int, int]] = {}
    for j in jobs:
        card = workspace.all_methods.get(j.method or "")
        if j.rule == "score_precomputed" and card and isinstance(card.scores, PrecomputedScores):
            have, shown = out.get(card.title, (0, 0))
            out[card.title] = (have + (j.dataset in card.scores.files), shown + 1)
    return out
