"""Fixtures shared by all tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401 - threads of its library are limited below, and those of NumPy's
import torch
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from tests.support.commands import ROOT

MIRROR = "QUALICLIP_MIRROR"  # environment variable: a folder of real files
RUNS = ("finished", "finished_small")  # fixtures that take minutes

# threads of several test processes wait for each other: with them, tests of tables take thrice as long
torch.set_num_threads(1)
THREADS = threadpool_limits(1, user_api="blas")

# `pytest -k damaged --hypothesis-profile=thorough` draws other examples each time, and many
shared = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.register_profile("quick", shared, max_examples=50, derandomize=True)
settings.register_profile("thorough", shared, max_examples=12_000)
settings.load_profile("quick")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In `make test`, one worker process makes each finished run, and what takes minutes begins first."""

    def run_of(item: pytest.Item) -> str | None:
        return next((name for name in RUNS if name in getattr(item, "fixturenames", ())), None)

    for item in items:
        item.add_marker(pytest.mark.xdist_group(run_of(item) or item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: (not run_of(item), not item.get_closest_marker("dag")))


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Real files that stand in for the network; tests that need them skip where they are absent."""
    folder = os.environ.get(MIRROR)
    if not folder:
        pytest.skip(f"{MIRROR} is not set: it names a folder of real files to test with")
    if not Path(folder).is_dir():
        pytest.skip(f"{MIRROR}={folder}: there is no such folder of real files to test with")
    return Path(folder).resolve()


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository root as working directory, as jobs have it."""
    monkeypatch.chdir(ROOT)
    return ROOT


@pytest.fixture(scope="session")
def photos() -> torch.Tensor:
    """Natural photos of installed packages, (12, 3, 224, 224) in [0, 1]."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    whole = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.stereo_motorcycle()[0]]
    whole += [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
    crops = []
    for pixels in whole:
        for left in (0, pixels.shape[1] - 224):
            top = (pixels.shape[0] - 224) // 2
            crops.append(torch.from_numpy(pixels[top : top + 224, left : left + 224].copy()))
    return torch.stack(crops[:12]).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of scale mini, as training writes it."""
    from safetensors.torch import save_file

    from qualiclip.config import TRAIN_RECORD, WEIGHTS, TrainConfig
    from qualiclip.model import QualiCLIP

    folder = tmp_path_factory.mktemp("checkpoint")
    model = QualiCLIP.create("rn-mini", pretrained=None)
    save_file(model.state_dict(), folder / WEIGHTS)
    train = TrainConfig(encoder="rn-mini", pretrained=None, epochs=None, steps=0)
    (folder / TRAIN_RECORD).write_text(json.dumps({"model": model.config, "train": train.model_dump()}))
    return folder
