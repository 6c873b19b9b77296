"""Labels of CSIQ: the authors' spreadsheet, or the text file of names and DMOS that is in wide use."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

# dst_type in the spreadsheet -> degradation type in file names, whose case does not matter
TYPES = {
    "noise": "awgn",
    "blur": "blur",
    "contrast": "contrast",
    "fnoise": "fnoise",
    "jpeg": "jpeg",
    "jpeg 2000": "jpeg2000",
}
HEADER_ROW = 3  # of the sheet all_by_image, counted from 0


def _spreadsheet(path: Path) -> pd.DataFrame:
    """The authors' spreadsheet; names of images are put together from its columns."""
    table = pd.read_excel(path, sheet_name="all_by_image", header=HEADER_ROW)
    table = table.dropna(subset=["image", "dst_type", "dst_lev", "dmos"])
    ref = table["image"].map(lambda n: str(int(n)) if isinstance(n, int | float) else str(n))  # one is 1600
    degradation = table["dst_type"].map(TYPES)
    level = table["dst_lev"].astype(float).astype(int).astype(str)
    return pd.DataFrame({"image": ref + "." + degradation + "." + level + ".png", "mos": table["dmos"], "ref": ref})


def _list(path: Path) -> pd.DataFrame:
    """The text file: a name and a DMOS per line."""
    table = pd.read_csv(path, sep=r"\s+", names=["image", "mos"], dtype={"image": str}, encoding="utf-8-sig")
    table["image"] = table["image"].str.removesuffix(".png") + ".png"
    table["ref"] = table["image"].str.split("/").str[-1].str.split(".").str[0]
    return table


def read(files: list[Path]) -> pd.DataFrame:
    """Columns image, mos (DMOS) and ref, one row per distorted image."""
    sheets = [f for f in files if f.suffix == ".xlsx"]
    return _spreadsheet(sheets[0]) if sheets else _list(files[0])
