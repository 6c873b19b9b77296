"""The command `qualiclip`: score images, draw an image under every degradation, or look into a checkpoint."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualiclip.io import printable
from qualiclip.pretrained import DEFAULT, RELEASED, names, shipped_reference

if TYPE_CHECKING:
    from qualiclip.percentiles import Reference
    from qualiclip.score import Row

FORMATS = ("table", "csv", "json")
EXAMPLES = """examples:
  qualiclip score photo.jpg
  qualiclip score photos/ --top 10                        the ten best
  qualiclip score photos/ --bottom 10 --html worst.html   the ten worst, to look at
  qualiclip score photo.jpg --explain                     better than how many photos
  qualiclip score photos/ more/*.jpg --format csv > scores.csv
  find . -name '*.jpg' -print0 | qualiclip score -

A score is the probability of good quality in [0, 1]; higher is better. It is meant to rank images: compare scores of
the same weights. A file that cannot be scored has a row with the reason, and the exit status is then 1; it is 2 where
nothing could be scored. Images under 64 px on a side are refused.
"""


class Plain(csv.unix_dialect):
    """CSV with Unix ends of lines, and quotes only where they are needed."""

    quoting = csv.QUOTE_MINIMAL


def _score(args: argparse.Namespace) -> int:
    """Print one row per file. Returns 0, 1 where a file has no score, or 2 where nothing can be scored."""
    import torch

    from qualiclip.inference import fast
    from qualiclip.model import QualiCLIP
    from qualiclip.percentiles import read_reference
    from qualiclip.score import find_images, score
    from qualiclip.tensors import pick_device

    # files and model; what is wrong with them is said before the first image is scored
    device, progress = pick_device(args.device), sys.stderr.isatty()
    try:
        if args.html and os.path.lexists(args.html):
            raise ValueError(f"{args.html} is there already; remove it, or name another file by --html")
        files = find_images([p for a in args.paths for p in (_listed() if a == "-" else [a])])
        load = QualiCLIP.from_pretrained if args.weights in names() else QualiCLIP.from_checkpoint
        model = fast(load(args.weights), getattr(torch, args.precision), device)
        reference = read_reference(args.reference or shipped_reference(args.weights)) if args.explain else None
    except (FileNotFoundError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    # scores, printed in the format asked for
    rows = score(model, files, device, progress)
    printed = _selected(rows, args.top, args.bottom)
    _print([_record(r, reference) for r in printed], args.format)
    if reference:
        n = f"{len(reference.scores)} images of {reference.title}"
        print(f"Percentiles: how many of {n} score lower, with 95% limits.", file=sys.stderr)
    if args.html:
        from qualiclip.contact_sheet import write_contact_sheet

        try:
            write_contact_sheet(args.html, printed, args.weights, progress)
        except OSError as e:
            print(f"error: {args.html}: {e.strerror}", file=sys.stderr)
            return 2
    return int(any(r.error for r in rows))


def _listed() -> list[str]:
    """The file names on standard input: separated by NUL where there is one (find -print0), else one per line.

    Raises ValueError for none.
    """
    content = sys.stdin.buffer.read()
    listed = [os.fsdecode(n) for n in content.split(b"\0" if b"\0" in content else b"\n") if n]
    if not listed:
        raise ValueError("no file names on standard input")
    return listed


def _selected(rows: list[Row], top: int | None, bottom: int | None) -> list[Row]:
    """The best rows, best first, or the worst, worst first, and then those without a score; by default all as given."""
    if not top and not bottom:
        return rows
    scored = sorted((r for r in rows if not r.error), key=lambda r: r.score, reverse=bool(top))
    return scored[: top or bottom] + [r for r in rows if r.error]


def _record(row: Row, reference: Reference | None) -> dict[str, Any]:
    """What is printed of one file; with a reference its percentile, too."""
    record = {"image": str(row.image), "score": row.score, "error": row.error}
    if reference:
        place = None if row.score is None else reference.percentile(row.score)
        names = ("percentile", "percentile_low", "percentile_high")
        values = (place.value, place.low, place.high) if place else (None,) * 3
        record |= {name: None if v is None else round(v, 1) for name, v in zip(names, values, strict=True)}
    return record


def _print(records: list[dict[str, Any]], form: str) -> None:
    """Print image, score and error of each file as a table, CSV or JSON. Bytes that are no text become \\x.."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if form == "json":
        json.dump(records, sys.stdout, indent=2)
        print()
    elif form == "csv":
        # csv.writer would leave a carriage return without quotes, and readers take it for the end of the line
        broken = any("\r" in r["image"] for r in records)
        writer = csv.DictWriter(sys.stdout, list(records[0]), dialect=csv.unix_dialect if broken else Plain)
        writer.writeheader()
        writer.writerows(records)
    else:
        images = [printable(r["image"]) for r in records]
        width = max(map(len, images))
        for name, r in zip(images, records, strict=True):
            print(f"{name:{width}}  {r['error'] or _words(r)}")


def _words(record: dict[str, Any]) -> str:
    """The score of a file, and its percentile where there is one."""
    if "percentile" not in record:
        return f"{record['score']:.4f}"
    limits = f"{record['percentile_low']:.0f} to {record['percentile_high']:.0f}%"
    return f"{record['score']:.4f}  better than {record['percentile']:.0f}% ({limits})"


def _degrade(args: argparse.Namespace) -> int:
    """Write a sheet of degraded versions of one image, and print its path. Returns 0, or 2 where that fails."""
    from PIL import Image

    from qualiclip.degrade import TYPES
    from qualiclip.degrade.sheet import sheet
    from qualiclip.images import UnreadableImage, open_rgb
    from qualiclip.io import atomic

    out = args.out or args.image.with_name(f"{args.image.stem}_degraded.png")
    problem = ""
    if Image.registered_extensions().get(out.suffix.lower()) not in Image.SAVE:
        problem = f"{out}: no image format is known by this suffix; .png, for example, is"
    elif os.path.lexists(out):
        problem = f"{out} is there already; remove it, or name another file by --out"
    # draw, and write
    try:
        if not problem:
            picture = sheet(open_rgb(args.image), args.types or list(TYPES), args.seed)
            with atomic(out) as temporary:
                picture.save(temporary)
    except UnreadableImage as e:
        problem = str(e)
    except (OSError, ValueError) as e:
        problem = f"{out}: {e.strerror}" if isinstance(e, OSError) and e.strerror else f"{args.image}: {e}"
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(out)
    return 0


def _inspect(args: argparse.Namespace) -> int:
    """Print what a checkpoint says of its training. Returns 0, or 2 for a file that cannot be read."""
    from qualiclip.inspection import inspect, lines
    from qualiclip.model import CheckpointError

    try:
        facts = inspect(args.checkpoint, args.against)
    except CheckpointError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(json.dumps(facts, indent=2) if args.format == "json" else "\n".join(lines(facts)))
    return 0


def _count(text: str) -> int:
    """A number of images. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("it must be a whole number from 1 on")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line of all subcommands."""
    main = argparse.ArgumentParser(prog="qualiclip", description="Opinion-unaware image quality, and its degradations.")
    # qualiclip score
    commands = main.add_subparsers(required=True, metavar="COMMAND")
    score = commands.add_parser(
        "score",
        help="score image files",
        description="Score the quality of images, without a reference and without having learned from human scores.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    score.add_argument(
        "paths", nargs="+", metavar="PATH", help="image files, folders, globs in quotes, or -: a list on standard input"
    )
    score.add_argument(
        "--weights",
        default=DEFAULT,
        metavar="NAME|PATH",
        help=f"{', '.join(names())}; or the path of a checkpoint folder or of a .pth file of the authors or of pyiqa "
        f"(default: %(default)s, which is in this package; {RELEASED} are the authors', fetched once)",
    )
    score.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: a GPU if any")
    score.add_argument("--precision", default="float32", choices=["float32", "bfloat16"], help="default: %(default)s")
    score.add_argument("--format", default="table", choices=FORMATS, help="default: %(default)s")
    some = score.add_mutually_exclusive_group()
    some.add_argument("--top", type=_count, metavar="N", help="the N best alone, best first")
    some.add_argument("--bottom", type=_count, metavar="N", help="the N worst alone, worst first")
    score.add_argument(
        "--html", type=Path, metavar="FILE", help="write a contact sheet, too: small pictures, best first"
    )
    score.add_argument(
        "--explain", action="store_true", help="say what share of a reference set scores lower, with 95%% limits"
    )
    score.add_argument(
        "--reference",
        type=Path,
        metavar="CSV",
        help="for --explain: scores of the same weights, as --format csv prints them (default: CLIVE, in this package)",
    )
    score.set_defaults(run=_score)
    # qualiclip degrade
    degrade = commands.add_parser(
        "degrade",
        help="draw the degradation levels of an image",
        description="Write a sheet of one image: one row per degradation type, one column per level.",
    )
    degrade.add_argument("image", type=Path, metavar="IMAGE")
    degrade.add_argument("--types", nargs="+", metavar="TYPE", help="default: all 24")
    degrade.add_argument("--seed", type=int, default=0, help="of noise, angles and positions (default: %(default)s)")
    degrade.add_argument("--out", type=Path, help="default: IMAGE_degraded.png beside the image")
    degrade.set_defaults(run=_degrade)
    # qualiclip inspect
    inspect = commands.add_parser(
        "inspect",
        help="look into a checkpoint",
        description="What a checkpoint says of its training: batch-norm mode, how far the weights moved, batches seen, "
        "and the wording of its prompts. No code of a file is run.",
        epilog="example: qualiclip inspect qualiclip.pth --against resnet50_clip.openai.safetensors",
    )
    inspect.add_argument("checkpoint", type=Path, help="a folder of this suite, a .safetensors or a .pth file")
    inspect.add_argument("--against", type=Path, help="the checkpoint that the training began with, or any other")
    inspect.add_argument("--format", default="text", choices=["text", "json"], help="default: %(default)s")
    inspect.set_defaults(run=_inspect)
    return main


def main(argv: list[str] | None = None) -> int:
    """Run the command with these arguments, by default those of the process. Returns the exit status."""
    args = parser().parse_args(argv)
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
