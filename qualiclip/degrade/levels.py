"""The 24 degradation types, their groups and the parameter of each of the five levels.

`published` holds the values of the generator that the QualiCLIP authors released with ARNIQA
(miccunifi/ARNIQA, after KADID-10k, Lin et al., QoMEX 2019). That QualiCLIP trains with the same
values is inferred, not confirmed. `values` are those that this suite uses: the published ones
where severity grows strictly with the level, as a ranking loss requires; otherwise values of this suite, with the
reason in `why`. The table `degradations` prints both, and the measured change of photos.
"""

from __future__ import annotations

from dataclasses import dataclass

N_LEVELS = 5

GROUPS = ("blur", "color", "compression", "noise", "brightness", "spatial", "sharpness_contrast")


@dataclass(frozen=True)
class DegradationType:
    """A degradation type: what its parameter is, the values of levels 1 to 5, and that of level 0 (`neutral`).

    values: left out where they are the published ones. why: the reason for other values.
    """

    name: str
    group: str
    parameter: str
    neutral: float
    published: tuple[float, ...]
    values: tuple[float, ...] = ()
    why: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", self.values or self.published)


_NO_CHANGE = "published level 1 changes nothing"
_NOT_MONOTONE = "published values are not ordered by severity; here the sign is drawn once per pair"

_ALL = (
    DegradationType("gaussian_blur", "blur", "sigma (px)", 0, (0.1, 0.5, 1, 2, 5), (0.4, 0.7, 1.2, 2, 5), _NO_CHANGE),
    DegradationType("lens_blur", "blur", "disk radius (px)", 0, (1, 2, 4, 6, 8)),
    DegradationType("motion_blur", "blur", "length (px)", 1, (1, 2, 4, 6, 10), (2, 3, 5, 7, 10), _NO_CHANGE),
    DegradationType("color_diffusion", "color", "amount", 0, (1, 3, 6, 8, 12)),
    DegradationType("color_shift", "color", "green shift (px)", 0, (1, 3, 6, 8, 12)),
    DegradationType("color_saturation_hsv", "color", "HSV saturation factor", 1, (0.4, 0.2, 0.1, 0, -0.4)),
    DegradationType(
        "color_saturation_lab", "color", "Lab a/b factor", 1, (1, 2, 3, 6, 9), (1.5, 2, 3, 6, 9), _NO_CHANGE
    ),
    DegradationType("jpeg2000", "compression", "compression ratio", 1, (16, 32, 45, 120, 170)),
    DegradationType("jpeg", "compression", "quality", 100, (43, 36, 24, 7, 4)),
    DegradationType("white_noise", "noise", "variance in RGB", 0, (0.001, 0.002, 0.003, 0.005, 0.01)),
    DegradationType("white_noise_ycbcr", "noise", "variance in YCbCr", 0, (0.0001, 0.0005, 0.001, 0.002, 0.003)),
    DegradationType("impulse_noise", "noise", "density", 0, (0.001, 0.005, 0.01, 0.02, 0.03)),
    DegradationType("multiplicative_noise", "noise", "variance", 0, (0.001, 0.005, 0.01, 0.02, 0.05)),
    DegradationType("brighten", "brightness", "curve amount", 0, (0.1, 0.2, 0.4, 0.7, 1.1)),
    DegradationType("darken", "brightness", "curve amount", 0, (0.05, 0.1, 0.2, 0.4, 0.8)),
    DegradationType(
        "mean_shift",
        "brightness",
        "added to every channel, either sign",
        0,
        (0, 0.08, -0.08, 0.15, -0.15),
        (0.03, 0.06, 0.09, 0.12, 0.15),
        _NOT_MONOTONE,
    ),
    DegradationType("jitter", "spatial", "displacement sigma (px), 5 times", 0, (0.05, 0.1, 0.2, 0.5, 1)),
    DegradationType("non_eccentricity_patch", "spatial", "displaced 16x16 patches", 0, (20, 40, 60, 80, 100)),
    DegradationType("pixelate", "spatial", "strength", 0, (0.01, 0.05, 0.1, 0.2, 0.5)),
    DegradationType("quantization", "spatial", "number of levels", 256, (20, 16, 13, 10, 7)),
    DegradationType("color_block", "spatial", "number of 32x32 blocks", 0, (2, 4, 6, 8, 10)),
    DegradationType("high_sharpen", "sharpness_contrast", "unsharp amount on Lab L", 0, (1, 2, 3, 6, 12)),
    DegradationType(
        "linear_contrast",
        "sharpness_contrast",
        "curve amount, either sign about the identity at -0.2",
        0,
        (0, 0.15, -0.4, 0.3, -0.6),
        (0.1, 0.2, 0.3, 0.4, 0.5),
        _NOT_MONOTONE,
    ),
    DegradationType("nonlinear_contrast", "sharpness_contrast", "output half-range", 0.5, (0.4, 0.3, 0.2, 0.1, 0.05)),
)

TYPES: dict[str, DegradationType] = {t.name: t for t in _ALL}
