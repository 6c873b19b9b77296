"""Weights come from the mirror, or a message says where they go."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from qualiclip.bench.data.download import FetchError
from qualiclip.bench.methods import weights
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.methods.library_patches import from_mirror, weights_or_not_run


def test_weights_come_from_the_mirror(weight_cache, tmp_path):
    from pyiqa.utils.download_util import load_file_from_url

    (tmp_path / "mirror/pyiqa").mkdir(parents=True)
    torch.save({"a": torch.ones(1)}, tmp_path / "mirror/pyiqa/x.pth")
    torch.save({"a": torch.ones(2)}, tmp_path / "mirror/pyiqa/x+.pth")
    with from_mirror(tmp_path / "mirror"):
        assert Path(load_file_from_url("http://127.0.0.1:9/y/x.pth")).parent == weight_cache / "pyiqa"
        assert torch.hub.load_state_dict_from_url("http://127.0.0.1:9/y/x.pth")["a"] == 1
        assert len(torch.load(load_file_from_url("http://127.0.0.1:9/y/x%2B.pth"))["a"]) == 2


def test_models_of_hugging_face_come_from_the_mirror(tmp_path, monkeypatch):
    """CLIP for training, and the backbone of a metric; one that is nowhere is named with its place."""
    import open_clip
    import timm
    from open_clip import pretrained
    from timm.models import _builder

    def offline(*args, **kwargs):
        raise FileNotFoundError("no network")

    monkeypatch.setattr(pretrained, "download_pretrained_from_hf", offline)
    monkeypatch.setattr(_builder, "load_state_dict_from_hf", offline)
    (tmp_path / "timm").mkdir()
    makers = {
        "resnet50_clip.openai": lambda p: open_clip.create_model("RN50-quickgelu", pretrained=p),
        "resnet18.a1_in1k": lambda p: timm.create_model("resnet18", pretrained=bool(p)),
    }
    for name, make in makers.items():
        message = rf"{name} could not be fetched; .* {tmp_path}/timm/{name}.safetensors$"
        with pytest.raises(NotRun, match=message), weights_or_not_run(tmp_path):
            make("openai")
        state = make(None).state_dict()
        save_file(state, tmp_path / f"timm/{name}.safetensors")
        with weights_or_not_run(tmp_path):
            read = make("openai").state_dict()
        assert all(torch.equal(state[k], v) for k, v in read.items())


@pytest.mark.parametrize("mirror", [None, "mirror"])
def test_weights_that_cannot_be_had_are_named(weight_cache, tmp_path, mirror):
    from pyiqa.utils.download_util import load_file_from_url

    mirror = mirror and tmp_path / mirror
    place = mirror / "pyiqa/x.pth" if mirror else "DIR/pyiqa/x.pth and give mirror=DIR"
    with pytest.raises(NotRun) as e, weights_or_not_run(mirror):
        load_file_from_url("http://127.0.0.1:9/y/x.pth")
    assert str(e.value).startswith(f"x.pth could not be fetched from http://127.0.0.1:9/y/x.pth; put it at {place} (")
    assert not list(weight_cache.rglob("*.pth"))


def test_a_cache_that_cannot_be_written_is_named():
    with pytest.raises(FetchError, match=r"/dev/null/cache cannot be written .*set TORCH_HOME"):
        weights.place("x.pth", Path("/dev/null/cache"))
