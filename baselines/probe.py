"""Ridge probe: how well a linear map of an encoder's features predicts quality."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from qualiclip.bench.methods.contract import Split

ALPHAS = np.logspace(-1, 5, 13)  # strengths of the regularisation that are tried
MIN_VAL = 10  # images of a validation part that is used


def best(split: Split) -> Pipeline:
    """Ridge regression on standardised features, with the alpha of the highest SRCC in the validation part.

    Where that part is too small, alpha is the one of the lowest leave-one-out error in the train part.
    """
    x: np.ndarray = split.train.features.astype(float)
    y = split.train.mos
    if len(split.val) < MIN_VAL:
        return make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(x, y)
    models = [make_pipeline(StandardScaler(), Ridge(alpha)).fit(x, y) for alpha in ALPHAS]
    srcc = [spearmanr(m.predict(split.val.features.astype(float)), split.val.mos).statistic for m in models]
    return models[int(np.argmax(np.nan_to_num(srcc, nan=-1)))]


class RidgeProbe:
    """One linear model per split (after the protocol of ARNIQA, Agnolucci et al., WACV 2024)."""

    def fit(self, splits: list[Split], device: str) -> None:
        """Fit one model per split, on the CPU."""
        self.models = [best(split) for split in tqdm(splits, desc="ridge", unit="split")]

    def predict(self, split: int, features: np.ndarray) -> np.ndarray:
        """Features (n, D) -> (n,) predicted labels, about in [0, 1], by the model of a split."""
        return self.models[split].predict(features.astype(float))

    def learned(self) -> dict[str, np.ndarray]:
        """mean and scale (S, D) of the standardisation, coefficients (S, D), intercept (S,) and alpha (S,)."""
        scalers, ridges = zip(*((m[0], m[1]) for m in self.models), strict=True)
        return {
            "mean": np.stack([s.mean_ for s in scalers]),
            "scale": np.stack([s.scale_ for s in scalers]),
            "coefficients": np.stack([r.coef_ for r in ridges]),
            "intercept": np.array([r.intercept_ for r in ridges]),
            "alpha": np.array([getattr(r, "alpha_", None) or r.alpha for r in ridges]),
        }
