"""Redirects the weight downloads of pyiqa, torch.hub, open_clip and timm to our fetcher: mirror first, checksums.

pyiqa and torch.hub download what their caches lack with one function of torch.hub, the CLIP loader in pyiqa with one
of its own. Inside `from_mirror` both are `weights.place`. A file that was fetched once stays in the library's cache.
Files in Python's pickle format can run any code when they are read. There, torch reads tensors from them and no more.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlparse

from qualiclip.bench.data import download
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.methods import weights
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.methods.hub_mirror import clip_from_mirror, mirrored
from qualiclip.io import atomic

PATIENCE = download.DELAYS[:2]  # a missing weight file gives a row that says so: no reason to wait for a minute


def tensors_only(load: Callable) -> Callable:
    """torch.load, which reads nothing but tensors and plain values, whatever its caller asks for. Raises NotRun."""

    def guarded(file, *args, **kwargs):
        try:
            return load(file, *args, **(kwargs | {"weights_only": True}))
        except (pickle.UnpicklingError, EOFError) as e:  # whose message advises to run code from the file
            name = getattr(file, "name", file)
            raise NotRun(f"{name}: damaged, or it holds more than tensors, and reading it would run its code") from e

    return guarded


@contextmanager
def from_mirror(mirror: Path | None, trusted: bool = False) -> Iterator[None]:
    """Inside the block, weight files come from mirror/pyiqa/<file> where they lie there. Raises FetchError.

    trusted: files may run code when they are read.
    """
    import torch
    import torch.hub
    from pyiqa.archs import afineclip_model, clip_model
    from pyiqa.utils import download_util
    from safetensors.torch import load_file
    from timm.models import _builder as timm_builder

    def from_torch_hub(url: str, dst: str, *args, **kwargs) -> None:
        target = Path(dst)  # named by the address, where a + is %2B; in the mirror it is a +
        placed = weights.place(unquote(target.name), target.parent, mirror, url=url)
        if placed != target:
            with atomic(target) as temporary:
                shutil.copyfile(placed, temporary)

    def from_clip(url: str, root: str) -> str:  # root: A-FINE has another, in HOME
        parts = Path(unquote(urlparse(url).path)).parts  # .../<sha256>/<file>
        return str(weights.place(parts[-1], Path(download_util.DEFAULT_CACHE_DIR), mirror, url=url, sha256=parts[-2]))

    from_timm = mirrored(timm_builder.load_state_dict_from_hf, load_file, mirror)
    with (
        clip_from_mirror(mirror),
        patch.object(timm_builder, "load_state_dict_from_hf", from_timm),
        patch.object(torch.hub, "download_url_to_file", from_torch_hub),
        patch.object(download_util, "download_url_to_file", from_torch_hub),
        patch.object(clip_model, "_download", from_clip),
        patch.object(afineclip_model, "_download", from_clip),
        patch.object(download, "DELAYS", PATIENCE),
        patch.object(torch, "load", torch.load if trusted else tensors_only(torch.load)),
    ):
        yield


@contextmanager
def weights_or_not_run(mirror: Path | None, trusted: bool = False) -> Iterator[None]:
    """Turn whatever a library raises while it gets its weights into NotRun. mirror, trusted: as in `from_mirror`."""
    try:
        with from_mirror(mirror, trusted):
            yield
    except NotRun:
        raise
    except FetchError as e:
        raise NotRun(str(e)) from e
    except (OSError, RuntimeError, ImportError, ValueError) as e:  # Hugging Face and transformers have their own
        first = next((line for line in str(e).splitlines() if line.strip()), "")
        raise NotRun(f"its weights could not be loaded: {type(e).__name__}: {first}") from e
