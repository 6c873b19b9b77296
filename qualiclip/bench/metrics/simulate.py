"""How often limits cover, how often tests err, and whether a better fit exists: the numbers of docs/protocol.md.

`python -m qualiclip.bench.metrics.simulate limits tests splits --draws 2000` draws sets with a known answer, of the
sizes that this suite has, and counts. Each line is one case. Limits should cover in 95%, and a test of two equally
good methods should call 5% of them different. `fits --draws 500` sets 40 random starts against the fitted curve.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit
from scipy.special import expit
from scipy.stats import norm, spearmanr

from qualiclip.bench.cards.dataset import Splits
from qualiclip.bench.data.splits import attach
from qualiclip.bench.metrics.fit import fit, logistic
from qualiclip.bench.metrics.limits import closed_form, clustered
from qualiclip.bench.metrics.significance import ALPHA, compare, resampled

SHARED = 0.3  # share of the variance of labels and scores that belongs to the reference
TRUE_R = 0.6  # Pearson's correlation of scores and labels, which are normal
CASES = {  # name -> references, images of each
    "CLIVE: 1162 images": (1162, 1),
    "CVIU: 30 references, 54 images of each": (30, 54),
    "KADID-10k: 81 references, 125 images of each": (81, 125),
    "AGIQA-3K: 300 prompts, 10 images of each": (300, 10),
    "TID2013: 25 references, 120 images of each": (25, 120),
    "20 references, 20 images of each": (20, 20),
    "10 references, 20 images of each": (10, 20),
    "mini: 5 references, 20 images of each": (5, 20),
}


def normal(rng: np.random.Generator, groups: int, each: int) -> np.ndarray:
    """(n,) standard normal numbers, of which those of one group share a part. Rows of one group are neighbours."""
    if each == 1:
        return rng.standard_normal(groups)
    shared: np.ndarray = np.repeat(rng.standard_normal(groups), each)
    return np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * rng.standard_normal(groups * each)


def scores_like(labels: np.ndarray, noise: np.ndarray, r: float) -> np.ndarray:
    """Scores of correlation r with the labels. noise: (n,) standard normal."""
    return r * labels + np.sqrt(1 - r**2) * noise


def coverage(rng: np.random.Generator, groups: int, each: int, draws: int) -> Iterator[tuple[str, float]]:
    """Share of the draws whose limits hold the true SRCC, 6/pi arcsin(r/2), and the true PLCC."""
    clusters: np.ndarray = np.repeat(np.arange(groups), each)
    n = groups * each
    truth = {"srcc": 6 / np.pi * np.arcsin(TRUE_R / 2), "plcc": TRUE_R}
    held = {(m, kind): 0 for m in truth for kind in ("plain", "clustered")}
    for _ in range(draws):
        labels = normal(rng, groups, each)
        scores = scores_like(labels, normal(rng, groups, each), TRUE_R)
        values = {"srcc": spearmanr(scores, labels).statistic, "plcc": np.corrcoef(scores, labels)[0, 1]}
        for metric, true in truth.items():
            plain = closed_form(metric, values[metric], n)
            shared = clustered(scores, labels, clusters, metric == "srcc") if each > 1 else (0, 0)
            for kind, (low, high) in (("plain", plain), ("clustered", shared)):
                held[metric, kind] += low <= true <= high
    for (metric, kind), count in held.items():
        if each > 1 or kind == "plain":
            yield f"{metric}, {kind} limits", count / draws


def rejections(rng: np.random.Generator, groups: int, each: int, draws: int) -> Iterator[tuple[str, float]]:
    """Share of the draws in which two methods are called different: equally good ones, and one that is better."""
    clusters: np.ndarray = np.repeat(np.arange(groups), each)
    for better in (0.0, 0.02, 0.05):
        called = dict.fromkeys(("plain", "clustered"), 0)
        for _ in range(draws):
            labels, common = normal(rng, groups, each), normal(rng, groups, each)
            noises = [np.sqrt(0.5) * common + np.sqrt(0.5) * normal(rng, groups, each) for _ in range(2)]
            pair = np.stack([scores_like(labels, e, TRUE_R + d) for e, d in zip(noises, (0, better), strict=True)])
            called["plain"] += compare(pair, labels, ranks=True).p(0, 1) < ALPHA
            called["clustered"] += each > 1 and compare(pair, labels, True, clusters).p(0, 1) < ALPHA
        for kind, count in called.items():
            if each > 1 or kind == "plain":
                yield f"true difference {better:.2f}, {kind} test", count / draws


def probe_scores(x: np.ndarray, labels: np.ndarray, train: np.ndarray) -> np.ndarray:
    """(n,) scores of a ridge regression on the train part. x: (n, D) features."""
    mean = labels[train].mean()
    slope = np.linalg.solve(x[train].T @ x[train] + 10 * np.eye(x.shape[1]), x[train].T @ (labels[train] - mean))
    return x @ slope + mean


def over_parts(rng: np.random.Generator, groups: int, each: int, draws: int) -> Iterator[tuple[str, float]]:
    """Share of the draws in which two methods with a model per split are called different.

    Each method is a probe on 32 features of its own, which hold the quality of an image and noise. `twice the median`
    is the test that this suite had before: each part by itself, and twice the median of the p values (Rueger 1978).
    """
    n, size = groups * each, 32
    units = pd.DataFrame({"image": np.arange(n).astype(str), "group": np.repeat(np.arange(groups), each).astype(str)})
    splits = attach(units, Splits(by="group")).filter(like="split_")
    train, test = ((splits == part).to_numpy().T for part in ("train", "test"))
    ratio = test.sum() / train.sum()
    for worse in (1.0, 1.1, 1.25):
        called, apart = dict.fromkeys(("corrected resampled t", "twice the median"), 0), 0.0
        for _ in range(draws):
            quality = normal(rng, groups, each)
            labels = quality + 0.5 * rng.standard_normal(n)
            parts: list[list[np.ndarray]] = []
            for noise in (1.0, worse):
                common = normal(rng, groups, each)[:, None]
                x = quality[:, None] * 0.6 + noise * (common + 2 * rng.standard_normal((n, size)))
                parts.append([probe_scores(x, labels, rows) for rows in train])
            r = np.array([[spearmanr(s[t], labels[t]).statistic for s, t in zip(m, test, strict=True)] for m in parts])
            apart += (r[0] - r[1]).mean() / draws
            called["corrected resampled t"] += resampled(r[0] - r[1], ratio)[0] < ALPHA
            p = [compare(np.stack([a[t], b[t]]), labels[t], True).p(0, 1) for a, b, t in zip(*parts, test, strict=True)]
            called["twice the median"] += 2 * np.median(p) < ALPHA
        for kind, count in called.items():
            yield f"mean difference of SRCC {apart:.3f}, {kind}", count / draws


def made_up(rng: np.random.Generator, n: int, r: float, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels (n,) of correlation r; by `kind` as they are, skewed, rounded or bounded."""
    score = rng.standard_normal(n)
    mos = scores_like(score, rng.standard_normal(n), r)
    forms = [(score, mos), (np.exp(score), mos), (score.round(1), (2 * mos).round()), (score**3, 100 * expit(2 * mos))]
    return forms[kind % len(forms)]


def best_of_random_starts(rng: np.random.Generator, score: np.ndarray, mos: np.ndarray, starts: int) -> float:
    """The lowest RMSE of rising logistics that SciPy's curve_fit reaches from random starts."""
    x, best = (score - score.mean()) / score.std(), np.inf
    for _ in range(starts):
        ends = np.sort(rng.uniform(mos.min(), mos.max(), 2))[::-1]
        shape = rng.choice(x) + rng.normal(0, 0.3), np.exp(rng.uniform(np.log(0.02), np.log(5)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                p, _ = curve_fit(logistic, x, mos, p0=[*ends, *shape], maxfev=2000)
            except RuntimeError:  # it did not converge
                continue
        if p[0] > p[1]:
            best = min(best, float(np.sqrt(np.square(logistic(x, *p) - mos).mean())))
    return best


def fits(rng: np.random.Generator, draws: int) -> Iterator[tuple[str, float]]:
    """Shares of random sets (n 60 to 2000, r -0.3 to 0.9) whose fit is beaten, has the wrong sign, or is raw."""
    counts = dict.fromkeys(("beaten by more than 0.1% by 40 random starts", "of the other sign than SRCC", "raw"), 0)
    for k in range(draws):
        n = int(np.exp(rng.uniform(np.log(60), np.log(2000))))
        score, mos = made_up(rng, n, rng.uniform(-0.3, 0.9), k)
        curve, best = fit(score, mos), best_of_random_starts(rng, score, mos, 40)
        found = (curve and np.sqrt(np.square(curve(score) - mos).mean()) > 1.001 * best,
                 curve and spearmanr(score, mos).statistic < 0, curve is None)  # fmt: skip
        counts = {name: count + bool(f) for (name, count), f in zip(counts.items(), found, strict=True)}
    for name, count in counts.items():
        yield name, count / draws


SIMULATIONS = {"limits": coverage, "tests": rejections, "splits": over_parts}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Simulate the coverage of limits, and the size and power of tests.")
    parser.add_argument("what", nargs="+", choices=[*SIMULATIONS, "fits"], help="what to simulate")
    parser.add_argument("--draws", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--cases", default="", help="only the cases whose name contains this")
    args = parser.parse_args(argv)
    for what in args.what:
        rng = np.random.default_rng(2403)
        if what == "fits":
            shares = [("random sets", fits(rng, args.draws))]
        else:
            cases = {name: size for name, size in CASES.items() if args.cases.lower() in name.lower()}
            shares = [(name, SIMULATIONS[what](rng, *size, args.draws)) for name, size in cases.items()]
        for case, values in shares:
            for name, share in values:
                error = norm.ppf(0.975) * np.sqrt(share * (1 - share) / args.draws)
                print(f"{what}: {case}: {name}: {share:.1%} +- {error:.1%}", flush=True)


if __name__ == "__main__":
    main()
