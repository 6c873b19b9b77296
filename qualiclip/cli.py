"""The command `qualiclip`: score images, draw an image under every degradation, or look into a checkpoint."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

FORMATS = ("table", "csv", "json")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Plain(csv.unix_dialect):
    """CSV with Unix ends of lines, and quotes only where they are needed."""

    quoting = csv.QUOTE_MINIMAL


def _score(args: argparse.Namespace) -> int:
    """Print one row per file. Returns 0, 1 where a file has no score, or 2 where nothing can be scored."""
    import torch

    from qualiclip.inference import fast
    from qualiclip.model import CheckpointError, QualiCLIP
    from qualiclip.score import find_images, score
    from qualiclip.tensors import pick_device

    # files and model
    device = pick_device(args.device)
    try:
        files = find_images(args.paths)
        model = fast(QualiCLIP.from_checkpoint(args.weights), getattr(torch, args.precision), device)
    except (FileNotFoundError, CheckpointError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    # scores, printed in the format asked for
    rows = score(model, files, device, progress=sys.stderr.isatty())
    records: list[dict[str, Any]] = [{"image": str(r.image), "score": r.score, "error": r.error} for r in rows]
    _print(records, args.format)
    return int(any(r.error for r in rows))


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
        writer = csv.DictWriter(sys.stdout, ["image", "score", "error"], dialect=csv.unix_dialect if broken else Plain)
        writer.writeheader()
        writer.writerows(records)
    else:
        names = [CONTROL.sub(lambda m: repr(m[0])[1:-1], r["image"]) for r in records]  # one line per file
        width = max(map(len, names))
        for name, r in zip(names, records, strict=True):
            print(f"{name:{width}}  {r['error'] or format(r['score'], '.4f')}")


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


def parser() -> argparse.ArgumentParser:
    """The command line of all subcommands."""
    main = argparse.ArgumentParser(prog="qualiclip", description="Opinion-unaware image quality, and its degradations.")
    # qualiclip score
    commands = main.add_subparsers(required=True, metavar="COMMAND")
    score = commands.add_parser(
        "score",
        help="score image files",
        description="Score images: the probability of good quality in [0, 1], higher is better. "
        "A file that cannot be scored has a row with the reason, and the exit status is then 1.",
        epilog="example: qualiclip score photos/ more/*.jpg --weights qualiclip.pth --format csv",
    )
    score.add_argument("paths", nargs="+", metavar="PATH", help="image files, folders, or globs in quotes")
    score.add_argument(
        "--weights",
        type=Path,
        default=Path("results/mini/checkpoints/qualiclip"),
        help="checkpoint folder of this suite, or the authors' qualiclip.pth (default: %(default)s, made by `make`)",
    )
    score.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: a GPU if any")
    score.add_argument("--precision", default="float32", choices=["float32", "bfloat16"], help="default: %(default)s")
    score.add_argument("--format", default="table", choices=FORMATS, help="default: %(default)s")
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
