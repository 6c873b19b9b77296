"""The plan of a run as plain values, which page.py prints and a JSON file holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from qualiclip.bench.plan import downloads
from qualiclip.bench.plan.addresses import Answer, compared
from qualiclip.bench.plan.costs import Cost, Speeds, training_kind
from qualiclip.bench.plan.downloads import File
from qualiclip.bench.plan.estimate import Estimate, images_of, steps_of
from qualiclip.bench.plan.jobs import Job
from qualiclip.bench.workspace import Workspace

SCORING = ("score", "score_shard", "score_per_split", "score_precomputed")  # the rules that write score files
PAGES = 50.0  # MB of figures, report and the like, at scale mini
CHECKPOINTS = 9  # copies of the weights while a variant is trained: model, average, optimizer, twice, and the result


def _sum(values: Sequence[float | None]) -> dict[str, Any]:
    """The sum of what is known, and how many are not."""
    return {"known": sum(v for v in values if v is not None), "unknown": sum(v is None for v in values)}


def _sizes(groups: Sequence[Sequence[File]], answers: Mapping[str, Answer]) -> list[float | None]:
    """Megabytes of each file that would be fetched: what its address says, else its card."""
    files = [downloads.chosen(g) for g in groups]
    said = [answers[f.address].megabytes if f.address in answers else None for f in files]
    return [a or f.megabytes for a, f in zip(said, files, strict=True)]


def sets(jobs: Sequence[Job], groups: Sequence[Sequence[File]], w: Workspace, answers: Mapping[str, Answer]) -> list:
    """One entry per set that the jobs read: where it comes from, its size, and its terms."""
    used = {j.dataset for j in jobs if j.dataset}
    fetched = {j.dataset for j in jobs if j.rule == "fetch"}
    away, out = downloads.away(groups, w), []
    for name in sorted(used):
        card, own = w.all_datasets[name], [g for g in groups if g[0].owner == name and g[0].kind == "data"]
        origin = "made here" if card.make else "your folder" if card.folder else "mirror" if not own else "download"
        images = images_of(card, w)
        out.append(
            {
                "set": card.title,
                "images": images.count,
                "megapixels": images.megapixels if images.known else None,
                "from": "is here" if name not in fetched else "by hand" if name in away else origin,
                "megabytes": _sum(_sizes(own, answers)),
                "unpacked_megabytes": card.unpacked_megabytes,
                "license": card.license,
                "noncommercial": card.noncommercial,
            }
        )
    return out


def trainings(jobs: Sequence[Job], w: Workspace, estimate: Estimate) -> list[dict[str, Any]]:
    """One entry per variant with the trainings that repeat it (`trainings`, all of the same `steps`), longest first."""
    repeated = {m.variant: w.all_methods[m.repeat_of].variant for m in w.all_methods.values() if m.repeat_of}
    by_variant: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.rule == "train":
            by_variant[repeated.get(job.variant, job.variant) or ""].append(job)
    n, out = images_of(w.training_set, w).count, []
    for variant, own in by_variant.items():
        config = w.config.variant(variant)
        seconds = _sum([estimate.seconds(j) for j in own])
        out.append(
            {
                "variant": variant,
                "trainings": len(own),
                "encoder": config.encoder,
                "steps": steps_of(config, n),
                "crops_per_step": config.images,
                "crop": config.crop,
                "seconds": None if seconds["unknown"] else seconds["known"],
            }
        )
    return sorted(out, key=lambda t: (-(t["seconds"] or 0), t["variant"]))


def scorings(jobs: Sequence[Job], w: Workspace, estimate: Estimate) -> list[dict[str, Any]]:
    """One entry per method that is scored here, the most expensive first. seconds: None where a part is not known."""
    by_method: dict[str, list[Job]] = defaultdict(list)
    for j in jobs:
        if j.rule in SCORING and w.all_methods[j.method or ""].sees_images:
            by_method[j.method or ""].append(j)
    out = []
    for name, own in by_method.items():
        sets = {j.dataset for j in own}
        images = sum(images_of(w.all_datasets[d or ""], w).count for d in sets)
        seconds = _sum([estimate.seconds(j) for j in own])
        known = None if seconds["unknown"] else seconds["known"]
        out.append({"method": w.all_methods[name].title, "sets": len(sets), "images": images, "seconds": known})
    return sorted(out, key=lambda s: (-(s["seconds"] or 0), s["method"]))


def licences(jobs: Sequence[Job], w: Workspace) -> dict[str, dict[str, list[str]]]:
    """What is forbidden ("noncommercial", "unknown") -> licence -> titles; where nothing is, a card is left out."""
    names = {j.dataset for j in jobs if j.dataset}, {j.method for j in jobs if j.method}
    cards = [w.all_datasets[n] for n in sorted(names[0])] + [w.all_methods[n] for n in sorted(names[1])]
    out: dict[str, dict[str, list[str]]] = {"noncommercial": {}, "unknown": {}}
    for card in cards:
        if card.noncommercial is not False:
            group = out["noncommercial" if card.noncommercial else "unknown"]
            group.setdefault(card.license, []).append(card.title)
    return out


def online(groups: Sequence[Sequence[File]], answers: Mapping[str, Answer]) -> dict[str, list[dict[str, Any]]]:
    """Addresses that do not give their file, and those that say something odd of it."""
    out: dict[str, list[dict[str, Any]]] = {"dead": [], "odd": []}
    for f in (f for g in groups for f in g if f.address in answers):
        answer = compared(answers[f.address or ""], f.megabytes)
        for kind in ("dead", "odd"):
            if why := getattr(answer, kind):
                out[kind].append({"owner": f.owner, "file": f.name, "address": f.address, "why": why})
    return out


def plan(
    jobs: Sequence[Job],
    groups: Sequence[Sequence[File]],
    w: Workspace,
    speeds: Speeds,
    record: Mapping[str, Cost],
    answers: Mapping[str, Answer] | None = None,
) -> dict[str, Any]:
    """Everything that a plan states. groups: as `downloads.needed` gives them. answers: of their addresses."""
    answers, estimate = answers or {}, Estimate(w, speeds, dict(record))
    shown = sets(jobs, groups, w, answers)
    gpu = speeds.device == "cuda"
    # seconds of the jobs, by rule
    rules: dict[str, dict[str, Any]] = {}
    for job in jobs:
        facts = rules.setdefault(job.rule, {"jobs": 0, "cores": 0.0, "gpu": 0.0, "unknown": 0})
        seconds = estimate.seconds(job)
        facts["jobs"] += 1
        facts["unknown"] += seconds is None
        facts["gpu" if gpu and job.gpu else "cores"] += seconds or 0.0
    # what is written
    lengths = {k: t.features for k, t in speeds.trainings.items()}
    features = 0.0
    for job in (j for j in jobs if j.rule == "features"):
        config = w.config.variant(w.all_methods[job.method or ""].variant or "")
        images = images_of(w.all_datasets[job.dataset or ""], w).count
        features += images * lengths.get(training_kind(config), 0) * 4 / 1e6
    sizes = [
        t.megabytes if (t := speeds.trainings.get(training_kind(w.config.variant(j.variant or "")))) else None
        for j in jobs
        if j.rule == "train"
    ]
    fetched = [s for s in shown if s["from"] in ("download", "by hand", "mirror", "made here")]
    scored = scorings(jobs, w, estimate)
    others = [g for g in groups if g[0].kind != "data"]
    away = {d: sum(j.dataset == d and j.rule in SCORING for j in jobs) for d in sorted(downloads.away(groups, w))}
    by_hand = [downloads.chosen(g) for g in groups if not downloads.chosen(g).address]
    return {
        "scale": w.config.scale,
        "machine": speeds.machine,
        "device": speeds.device,
        "methods": sum(not m.repeat_of for m in w.methods()),
        "score_files": sum(j.rule in ("score", "score_per_split", "score_precomputed", "merge_shards") for j in jobs),
        "images_scored": sum(s["images"] for s in scored),
        "jobs": len(jobs),
        "rules": rules,
        "sets": shown,
        "weights": {"files": len(others), "megabytes": _sum(_sizes(others, answers))},
        "by_hand": [{"owner": f.owner, "file": f.name, "how": f.by_hand, "wait": f.wait} for f in by_hand],
        "away": away,
        "licences": licences(jobs, w),
        "trainings": trainings(jobs, w, estimate),
        "scorings": scored,
        "assumed_size": [s["set"] for s in shown if s["megapixels"] is None],
        "not_run": downloads.not_run(jobs, w, gpu),
        "published": downloads.without_scores(jobs, w),
        "online": online(groups, answers) if answers else None,
        "download_megabytes": _sum(_sizes(groups, answers)),
        "unpacked_megabytes": _sum([s["unpacked_megabytes"] for s in fetched]),
        "results_megabytes": _sum([*sizes, features, PAGES if jobs else 0.0]),
        "training_megabytes": max((s * CHECKPOINTS for s in sizes if s), default=0.0),
        "memory_megabytes": max((j.memory for j in jobs), default=0),
        "core_seconds": sum(r["cores"] for r in rules.values()),
        "gpu_seconds": sum(r["gpu"] for r in rules.values()) if gpu else None,
        "gpu_jobs": sum(j.gpu for j in jobs),
        "unknown_jobs": dict(Counter(j.rule for j in jobs if estimate.seconds(j) is None)),
    }
