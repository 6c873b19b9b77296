"""Labels of LIVE release 2: dmos.mat and refnames_all.mat, whose order is that of five folders of numbered images."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scipy.io import loadmat

FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}  # folder -> number of images


def read(files: list[Path]) -> pd.DataFrame:
    """Columns image, mos (DMOS) and ref, one row per distorted image; the references (orgs = 1) are left out."""
    by_name = {f.name: f for f in files}
    scores, references = loadmat(by_name["dmos.mat"]), loadmat(by_name["refnames_all.mat"])
    table = pd.DataFrame(
        {
            "image": [f"{folder}/img{i}.bmp" for folder, n in FOLDERS.items() for i in range(1, n + 1)],
            "mos": scores["dmos"].ravel(),
            "ref": [str(name.item()) for name in references["refnames_all"].ravel()],
        }
    )
    return table[scores["orgs"].ravel() == 0]
