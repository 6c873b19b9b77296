"""Where libraries download weights, the suite's fetcher stands in: mirror first, checks, messages that help.

pyiqa and torch.hub fetch what their caches lack with one function of torch.hub's, CLIP's loader in pyiqa with
one of its own. While `from_mirror` lasts, both are `weights.place`. Fetched once, a file lies in the library's
cache as always.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlparse

from qualiclip.bench import download, weights

PATIENCE = download.DELAYS[:2]  # what cannot be had makes a row that says so: no cause to wait for a minute


@contextmanager
def from_mirror(mirror: Path | None) -> Iterator[None]:
    """While it lasts, files come from mirror/pyiqa/<file> where they lie there. FetchError: it cannot be had."""
    import torch.hub
    from pyiqa.archs import clip_model
    from pyiqa.utils import download_util

    def from_hub(url: str, dst: str, *args, **kwargs) -> None:
        weights.place(Path(dst).name, Path(dst).parent, mirror, url=url)

    def from_clip(url: str, root: str) -> str:
        parts = Path(unquote(urlparse(url).path)).parts  # .../<sha256>/<file>
        return str(weights.place(parts[-1], Path(root), mirror, url=url, sha256=parts[-2]))

    with (
        patch.object(torch.hub, "download_url_to_file", from_hub),
        patch.object(download_util, "download_url_to_file", from_hub),
        patch.object(clip_model, "_download", from_clip),
        patch.object(download, "DELAYS", PATIENCE),
    ):
        yield
