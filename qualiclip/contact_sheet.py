"""A contact sheet: one HTML file with small pictures of the scored images, sorted by score. It needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

import torch
from tqdm import tqdm

from qualiclip.images import UnreadableImage, open_rgb
from qualiclip.io import printable, write_text
from qualiclip.score import Row

SIDE = 240  # px, the longer side of a small picture

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Images by quality score</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 1.25rem 1rem; }}
figure {{ margin: 0; }}
figure div {{ height: 240px; display: flex; align-items: end; }}
img {{ max-width: 100%; max-height: 100%; }}
figcaption {{ overflow-wrap: anywhere; }}
b {{ font-size: 1.15em; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>Images by quality score</h1>
<p>{scored} images, scored with the weights {weights}. Scores lie in [0, 1]; higher is better.</p>
<main>
{figures}
</main>
{errors}</body>
</html>
"""
FIGURE = """<figure title="{path}"><div><img alt="" src="{src}"></div>
<figcaption><b>{score:.4f}</b><br>{name}</figcaption></figure>"""


def _text(name: Path | str) -> str:
    """A name as text of a page."""
    return escape(printable(name))


def _source(file: Path) -> str:
    """The small picture of an image as a data URI; empty for a file that can no longer be read."""
    try:
        image = open_rgb(file, quiet=True)  # scoring has said what is odd about it
    except UnreadableImage:
        return ""
    image.thumbnail((SIDE, SIDE))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"


def _sources(rows: list[Row], progress: bool) -> Iterator[str]:
    """The small pictures of rows, in their order, made in threads."""
    with ThreadPoolExecutor(min(8, torch.get_num_threads())) as pool:
        made = pool.map(_source, [r.image for r in rows])
        yield from tqdm(made, "contact sheet", len(rows), unit="image", disable=not progress)


def write_contact_sheet(file: Path, rows: list[Row], weights: str, progress: bool = False) -> None:
    """Write the images of `rows` to an HTML file, best first; those without a score are listed at the end.

    weights: by which they were scored, in words. Raises OSError where the file cannot be written.
    """
    scored = sorted((r for r in rows if not r.error), key=lambda r: -r.score)
    figures = [
        FIGURE.format(src=source, score=row.score, path=_text(row.image), name=_text(row.image.name))
        for row, source in zip(scored, _sources(scored, progress), strict=True)
    ]
    failed = [f"<li>{_text(r.image)}: {escape(r.error)}</li>" for r in rows if r.error]
    errors = ["<h2>Not scored</h2>", "<ul>", *failed, "</ul>", ""] if failed else []
    facts = {"scored": len(scored), "weights": escape(weights)}
    write_text(file, PAGE.format(figures="\n".join(figures), errors="\n".join(errors), **facts))
