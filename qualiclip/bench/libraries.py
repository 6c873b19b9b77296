"""Where libraries download weights, the suite's fetcher stands in: mirror first, checks, messages that help.

pyiqa and torch.hub fetch what their caches lack with one function of torch.hub's, CLIP's loader in pyiqa with
one of its own. While `from_mirror` lasts, both are `weights.place`. Fetched once, a file lies in the library's
cache as always. What open_clip and timm fetch from Hugging Face, OpenAI's CLIP for training and the backbones of
metrics, is read from mirror/timm/<model>.safetensors where it lies there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlparse

from qualiclip.bench import download, weights
from qualiclip.bench.download import FetchError
from qualiclip.bench.files import atomic

PATIENCE = download.DELAYS[:2]  # what cannot be had makes a row that says so: no cause to wait for a minute


def _hub(fetch: Callable, read: Callable, mirror: Path | None) -> Callable:
    """`fetch(model, ...)` of a Hugging Face model, or what `read` makes of its file in the mirror."""

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
    """While it lasts, open_clip's weights come from the mirror where they lie there. FetchError: they cannot be had."""
    from open_clip import pretrained

    from_hub = _hub(pretrained.download_pretrained_from_hf, str, mirror)
    with patch.object(pretrained, "download_pretrained_from_hf", from_hub):
        yield


@contextmanager
def from_mirror(mirror: Path | None) -> Iterator[None]:
    """While it lasts, files come from mirror/pyiqa/<file> where they lie there. FetchError: it cannot be had."""
    import torch.hub
    from pyiqa.archs import clip_model
    from pyiqa.utils import download_util
    from safetensors.torch import load_file
    from timm.models import _builder as timm_builder

    def from_hub(url: str, dst: str, *args, **kwargs) -> None:
        target = Path(dst)  # named by the address, where a + is %2B; in the mirror it is a +
        placed = weights.place(unquote(target.name), target.parent, mirror, url=url)
        if placed != target:
            with atomic(target) as temporary:
                shutil.copyfile(placed, temporary)

    def from_clip(url: str, root: str) -> str:
        parts = Path(unquote(urlparse(url).path)).parts  # .../<sha256>/<file>
        return str(weights.place(parts[-1], Path(root), mirror, url=url, sha256=parts[-2]))

    from_timm = _hub(timm_builder.load_state_dict_from_hf, load_file, mirror)
    with (
        clip_from_mirror(mirror),
        patch.object(timm_builder, "load_state_dict_from_hf", from_timm),
        patch.object(torch.hub, "download_url_to_file", from_hub),
        patch.object(download_util, "download_url_to_file", from_hub),
        patch.object(clip_model, "_download", from_clip),
        patch.object(download, "DELAYS", PATIENCE),
    ):
        yield
