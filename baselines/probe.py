"""Ridge probe: how much of quality a linear map can read from an encoder's features."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from qualiclip.bench.methods.contract import Split

ALPHAS = np.logspace(-1, 5, 13)
LEAST = 10  # images of a validation part that is asked


def best(split: Split) -> Pipeline:
    """Ridge on standardised features, alpha with the highest SRCC of the validation part.

    Without a validation part alpha is that of the least leave-one-out error of the train part.
    """
    x: np.ndarray = split.train.features.astype(float)
    y = split.train.mos
    if len(split.val) < LEAST:
        return make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(x, y)
    models = [make_pipeline(StandardScaler(), Ridge(alpha)).fit(x, y) for alpha in ALPHAS]
    srcc = [spearmanr(m.predict(split.val.features.astype(float)), split.val.mos).statistic for m in models]
    return models[int(np.argmax(np.nan_to_num(srcc, nan=-1)))]


class RidgeProbe:
    """One linear model a split (after the protocol of ARNIQA, Agnolucci et al., WACV 2024)."""

    def fit(self, splits: list[Split], device: str) -> None:
        self.models = [best(split) for split in tqdm(splits, desc="ridge", unit="split")]

    def predict(self, split: int, features: np.ndarray) -> np.ndarray:
        return self.models[split].predict(features.astype(float))

    def learned(self) -> dict[str, np.ndarray]:
        scalers, ridges = zip(*((m[0], m[1]) for m in self.models), strict=True)
        return {
            "mean": np.stack([s.mean_ for s in scalers]),
            "scale": np.stack([s.scale_ for s in scalers]),
            "coefficients": np.stack([r.coef_ for r in ridges]),
            "intercept": np.array([r.intercept_ for r in ridges]),
            "alpha": np.array([getattr(r, "alpha_", None) or r.alpha for r in ridges]),
        }
