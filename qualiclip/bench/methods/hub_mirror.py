"""Weights that open_clip and timm fetch from Hugging Face, read from the mirror where they lie there.

OpenAI's CLIP for training and the backbones of metrics: mirror/timm/<model>.safetensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from qualiclip.bench.data.download import FetchError


def mirrored(fetch: Callable, read: Callable, mirror: Path | None) -> Callable:
    """`fetch(model, ...)` of a Hugging Face model; or `read(file)` of its file in the mirror, where there is one."""

    def get(model: str, *args, **kwargs):
        name = f"{model.strip('/').rpartition('/')[2]}.safetensors"
        file = (mirror or Path("DIR")) / "timm" / name
        if mirror and file.is_file():
            return read(file)
        try:
            return fetch(model, *args, **kwargs)
        except OSError as e:
            place = f"put its model.safetensors at {file}" + ("" if mirror else " and give mirror=DIR")
            raise FetchError(f"https://huggingface.co/{model} could not be fetched; {place}") from e

    return get


@contextmanager
def clip_from_mirror(mirror: Path | None) -> Iterator[None]:
    """Inside the block, open_clip reads its weights from the mirror where they lie there. Raises FetchError."""
    from open_clip import pretrained

    from_hub = mirrored(pretrained.download_pretrained_from_hf, str, mirror)
    with patch.object(pretrained, "download_pretrained_from_hf", from_hub):
        yield
