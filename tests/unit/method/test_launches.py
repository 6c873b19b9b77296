"""The degradations of a training step launch few operations, and never wait for the device."""

from __future__ import annotations

import pytest

from qualiclip.config import TrainConfig
from qualiclip.timing.launches import count


@pytest.mark.parametrize("generator", ["arniqa", "kadid"])
@pytest.mark.parametrize("step", range(3))
def test_launches_and_waits_of_the_papers_batch(step, generator):
    counted = count(TrainConfig(crop=64, generator=generator), step, least=1000)
    assert 50 < counted.launches.total() <= 400
    assert counted.waits.total() == 0
