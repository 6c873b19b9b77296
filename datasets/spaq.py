"""Labels of SPAQ: the authors' spreadsheet, or a CSV table of the same names and MOS in the same order."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

SPREADSHEET, TABLE = "MOS and Image attribute scores.xlsx", "meta_info_SPAQDataset.csv"


def read(files: list[Path]) -> pd.DataFrame:
    """Columns image and mos, one row per image. Raises ValueError where neither file is there."""
    by_name = {f.name: f for f in files}
    if SPREADSHEET in by_name:
        table = pd.read_excel(by_name[SPREADSHEET], dtype={"Image name": str})
    elif TABLE in by_name:
        table = pd.read_csv(by_name[TABLE], dtype={"Image name": str})
    else:
        raise ValueError(f"spaq: neither {SPREADSHEET} nor {TABLE} is there")
    table.columns = [c.lower() for c in table.columns]
    return table.rename(columns={"image name": "image"})[["image", "mos"]]
