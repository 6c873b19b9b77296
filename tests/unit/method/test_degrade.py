"""The degradations: one interface, strict order of severity, and the characteristic property of each type."""

from __future__ import annotations

import pytest
import torch
from kornia.color import hsv_to_rgb, rgb_to_hsv, rgb_to_lab, rgb_to_ycbcr
from scipy.interpolate import CubicSpline

from qualiclip.degrade import FUNCTIONS, GROUPS, N_LEVELS, TYPES, Draw, degrade, severity

LEVELS = torch.arange(1.0, N_LEVELS + 1)


def seeded(n: int, seed: int = 0) -> Draw:
    return Draw.sample(n, torch.Generator().manual_seed(seed))


def ladder(photo: torch.Tensor, type_name: str, seed: int = 0) -> torch.Tensor:
    """One photo (3, H, W) at levels 1 to 5."""
    return degrade(photo.expand(N_LEVELS, -1, -1, -1), type_name, LEVELS, seeded(1, seed).repeat(N_LEVELS))


def high_frequencies(x: torch.Tensor) -> torch.Tensor:
    return (x - torch.nn.functional.avg_pool2d(x, 3, 1, 1))[..., 2:-2, 2:-2].square().mean((-3, -2, -1))


def test_24_types_in_7_groups():
    assert len(TYPES) == 24 and set(FUNCTIONS) == set(TYPES)
    assert {t.group for t in TYPES.values()} == set(GROUPS)


@pytest.mark.parametrize("type_name", TYPES)
def test_interface(type_name, photos):
    x = photos[:2, :, :65, :70].contiguous()
    before = x.clone()
    levels, draw = torch.tensor([0.0, 3.0]), seeded(2)
    y = degrade(x, type_name, levels, draw)
    assert y.shape == x.shape and y.dtype == torch.float32
    assert y.min() >= 0 and y.max() <= 1
    assert torch.equal(x, before), "the input was written to"
    assert torch.equal(y[0], x[0]), "level 0 changes nothing"
    assert not torch.equal(y[1], x[1])
    assert torch.equal(y, degrade(x, type_name, levels, draw)), "same draw, same pixels"


@pytest.mark.parametrize("type_name", TYPES)
def test_one_image_does_not_depend_on_its_batch(type_name, photos):
    draw = seeded(3)
    together = degrade(photos[:3], type_name, torch.tensor([1.0, 4.0, 2.5]), draw)
    alone = degrade(photos[1:2], type_name, torch.tensor([4.0]), draw[torch.tensor([1])])
    assert torch.allclose(together[1:2], alone, atol=2e-5)


@pytest.mark.parametrize("type_name", TYPES)
def test_severity_grows_strictly(type_name, photos):
    change = torch.stack([(ladder(p, type_name, i) - p).abs().mean((1, 2, 3)) for i, p in enumerate(photos)]).mean(0)
    assert change[0] > 1e-4, "level 1 changes nothing"
    assert (change[1:] > change[:-1]).all(), change.tolist()


def test_the_draw_is_replayed_on_both_crops_and_all_levels(photos):
    flat = torch.full((2, 3, 64, 64), 0.5)
    noise = degrade(flat, "white_noise", torch.tensor([1.0, 4.0]), seeded(1).repeat(2)) - 0.5
    assert torch.allclose(noise[1], noise[0] * (0.005 / 0.001) ** 0.5, atol=1e-6)


def test_levels_in_between_interpolate_the_parameter():
    assert severity("jpeg", torch.tensor([0.0, 0.5, 5.0])).tolist() == [100, 71.5, 4]


@pytest.mark.parametrize("type_name", ["gaussian_blur", "lens_blur", "motion_blur", "jpeg2000"])
def test_blur_lowers_high_frequencies(type_name, photos):
    energy = high_frequencies(torch.cat([photos[:1], ladder(photos[0], type_name)]))
    assert (energy[1:] < energy[:-1]).all()


@pytest.mark.parametrize("type_name", ["gaussian_blur", "lens_blur", "motion_blur", "jitter"])
def test_blur_keeps_a_constant_image(type_name):
    x = torch.full((1, 3, 64, 80), 0.37)
    assert torch.allclose(degrade(x, type_name, torch.tensor([5.0]), seeded(1)), x, atol=1e-5)


def test_gaussian_blur_is_that_of_scipy(photos):
    from scipy.ndimage import gaussian_filter

    x = photos[:1]
    y = degrade(x, "gaussian_blur", torch.tensor([4.0]), seeded(1))[0, 1].numpy()
    assert abs(y - gaussian_filter(x[0, 1].numpy(), 2.0, mode="nearest", truncate=2)).max() < 1e-4


@pytest.mark.parametrize(
    ("type_name", "variances"), [("white_noise", (0.001, 0.01)), ("white_noise_ycbcr", (0.0001, 0.003))]
)
def test_noise_has_the_stated_variance(type_name, variances):
    x = torch.full((2, 3, 256, 256), 0.5)
    y = degrade(x, type_name, torch.tensor([1.0, 5.0]), seeded(1).repeat(2))
    noise = (y if type_name == "white_noise" else rgb_to_ycbcr(y)) - (
        x if type_name == "white_noise" else rgb_to_ycbcr(x)
    )
    assert noise.var((1, 2, 3)).numpy() == pytest.approx(variances, rel=0.03)


def test_impulse_noise_hits_the_stated_share():
    y = degrade(torch.full((1, 3, 256, 256), 0.5), "impulse_noise", torch.tensor([5.0]), seeded(1))
    assert float((y == 0).float().mean()) == pytest.approx(0.015, rel=0.1)
    assert float((y == 1).float().mean()) == pytest.approx(0.015, rel=0.1)


def test_multiplicative_noise_grows_with_the_pixel():
    x = torch.tensor([0.0, 0.2, 0.4]).view(3, 1, 1, 1).expand(3, 3, 128, 128)
    deviation = (degrade(x, "multiplicative_noise", torch.full((3,), 3.0), seeded(1).repeat(3)) - x).std((1, 2, 3))
    assert deviation.numpy() == pytest.approx([0, 0.02, 0.04], rel=0.05)


def test_hsv_saturation_is_that_of_a_conversion(photos):
    y = degrade(photos[:1], "color_saturation_hsv", torch.tensor([1.0]), seeded(1))
    hsv = rgb_to_hsv(photos[:1])
    hsv[:, 1] *= 0.4
    assert torch.allclose(y, hsv_to_rgb(hsv), atol=1e-5)


def test_lab_saturation_moves_chroma_and_leaves_luma():
    x = torch.rand(1, 3, 64, 64) * 0.1 + torch.tensor([0.5, 0.45, 0.4]).view(3, 1, 1)
    before, after = rgb_to_lab(x), rgb_to_lab(degrade(x, "color_saturation_lab", torch.tensor([2.0]), seeded(1)))
    assert torch.allclose(after[:, 0], before[:, 0], atol=0.1)
    assert torch.allclose(after[:, 1:], 2 * before[:, 1:], atol=0.2)


def test_color_shift_moves_green_alone(photos):
    y = ladder(photos[0], "color_shift")
    assert torch.equal(y[:, 0], photos[0, 0].expand(5, -1, -1)) and torch.equal(y[:, 2], photos[0, 2].expand(5, -1, -1))
    assert not torch.equal(y[:, 1], photos[0, 1].expand(5, -1, -1))


def test_brightness_moves_the_mean(photos):
    mean = photos[0].mean()
    assert (ladder(photos[0], "brighten").mean((1, 2, 3)) > mean).all()
    assert (ladder(photos[0], "darken").mean((1, 2, 3)) < mean).all()


def test_linear_contrast_is_the_spline_through_its_points():
    x = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).contiguous()
    draw = seeded(1)
    a = 0.3 * float(draw.sign())
    spline = CubicSpline([0, 0.3, 0.5, 0.7, 1], [0, 0.3 - a / 4, 0.5, 0.7 + a / 4, 1])
    y = degrade(x, "linear_contrast", torch.tensor([3.0]), draw)
    assert y[0, 0, 0].numpy() == pytest.approx(spline(x[0, 0, 0].numpy()).clip(0, 1), abs=1e-5)


def test_nonlinear_contrast_has_the_stated_range():
    y = degrade(torch.linspace(0, 1, 64).expand(1, 3, 64, 64), "nonlinear_contrast", torch.tensor([4.0]), seeded(1))
    assert (float(y.min()), float(y.max())) == pytest.approx((0.4, 0.6))


def test_sharpening_raises_high_frequencies(photos):
    energy = high_frequencies(torch.cat([photos[:1], ladder(photos[0], "high_sharpen")[:3]]))
    assert (energy[1:] > energy[:-1]).all()


def test_quantization_leaves_the_stated_number_of_values(photos):
    assert [len(y.unique()) for y in ladder(photos[0], "quantization")] == [20, 16, 13, 10, 7]


def test_pixelate_repeats_pixels(photos):
    y = degrade(photos[:1], "pixelate", torch.tensor([5.0]), seeded(1))
    same = (y[..., 1:] == y[..., :-1]).all(1).float().mean()
    assert same > 0.5


def test_color_blocks_are_uniform_and_counted():
    y = degrade(torch.zeros(1, 3, 224, 224), "color_block", torch.tensor([1.0]), seeded(1))
    colored = (y.sum(1) > 0).sum()
    assert 32 * 32 <= colored <= 2 * 32 * 32
    assert len(y.flatten(2).unique(dim=2)[0, 0]) <= 3


def test_patches_copy_pixels_of_the_image(photos):
    gray = torch.arange(224 * 224).view(1, 1, 224, 224).expand(1, 3, -1, -1) / (224 * 224)
    y = degrade(gray.contiguous(), "non_eccentricity_patch", torch.tensor([5.0]), seeded(1))
    assert torch.isin(y, gray).all()


def test_jpeg_is_a_real_codec(photos):
    import io

    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    pixels = (photos[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=24)
    expected = np.asarray(Image.open(file), np.float32) / 255
    y = degrade(photos[:1], "jpeg", torch.tensor([3.0]), seeded(1))[0].permute(1, 2, 0).numpy()
    assert abs(y - expected).mean() < 0.01


def test_jpeg2000_takes_small_images():
    degrade(torch.rand(1, 3, 64, 64), "jpeg2000", torch.tensor([3.0]), seeded(1))


@pytest.mark.parametrize(
    ("shape", "levels", "message"),
    [
        ((1, 3, 63, 64), [1.0], "64 px"),
        ((1, 1, 64, 64), [1.0], "3, H, W"),
        ((1, 3, 64, 64), [5.1], "levels"),
        ((2, 3, 64, 64), [1.0], "2 levels"),
    ],
)
def test_wrong_input_is_named(shape, levels, message):
    with pytest.raises(ValueError, match=message):
        degrade(torch.rand(shape), "jpeg", torch.tensor(levels), seeded(shape[0]))
