"""The tables of a finished run, compiled by pdflatex in the classes that papers use."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.dag

CLASSES = {"article": "", "twocolumn": "twocolumn", "IEEEtran": "journal"}
PAPER = r"""\documentclass[%s]{%s}
\usepackage{booktabs,array}
\newcommand{\tables}{%s}
\begin{document}
\input{\tables/index}
\end{document}
"""
ALLOWED = 5.0  # pt beyond a column


@pytest.mark.parametrize("name", CLASSES)
def test_all_tables_fit_the_page(finished: Path, tmp_path: Path, name: str) -> None:
    style = name if name == "IEEEtran" else "article"
    found = shutil.which("kpsewhich") and subprocess.run(
        ["kpsewhich", f"{style}.cls"], capture_output=True, check=False
    )
    if not shutil.which("pdflatex") or not found.stdout:
        pytest.skip(f"no pdflatex with the class {style} here: the tables were not compiled")
    folder = finished / "results/mini/tables"
    (tmp_path / "paper.tex").write_text(PAPER % (CLASSES[name], style, folder))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    overfull = [float(x) for x in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", done.stdout)]
    assert all(x <= ALLOWED for x in overfull), overfull
    assert "Float too large" not in done.stdout and "Undefined" not in done.stdout
    included = re.findall(r"\\input\{\\tables/(\w+)\}", (folder / "index.tex").read_text())
    assert set(included) == {f.stem for f in folder.glob("*.md")}
