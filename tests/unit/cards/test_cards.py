"""The benchmark's pieces: cards, files, correlations, gMAD, tables, dependencies."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import ScaleConfig, read_config
from qualiclip.bench.sources import sources
from qualiclip.io import atomic, atomic_folder

METHOD = """
title: x
family: control
higher_better: false
citation: c
license: l
pyiqa: piqe
"""

DATASET = """
title: small
family: authentic
files: [{filename: small.zip, manual: by hand, extract: true}]
labels: {format: csv, file: labels.csv, range: [0, 5]}
images: {root: pics, count: 3}
citation: c
license: l
"""


# cards


def test_a_misspelt_key_names_the_file_the_key_and_the_allowed_keys(tmp_path):
    (tmp_path / "x.yaml").write_text(METHOD + "higer_better: true\n")
    with pytest.raises(CardError, match=r"x\.yaml: unknown key 'higer_better'; allowed keys: .*higher_better"):
        read_card(MethodCard, tmp_path / "x.yaml")


def test_a_nested_misspelt_key_names_the_keys_of_its_place(tmp_path):
    (tmp_path / "x.yaml").write_text(DATASET.replace("range:", "rnage: 1, range:"))
    with pytest.raises(CardError, match=r"unknown key 'labels\.rnage'; allowed keys: .*range"):
        read_card(DatasetCard, tmp_path / "x.yaml")


def test_two_sources_are_refused(tmp_path):
    (tmp_path / "x.yaml").write_text(METHOD + "variant: y\n")
    with pytest.raises(CardError, match="exactly one source"):
        read_card(MethodCard, tmp_path / "x.yaml")


def test_a_variant_with_a_misspelt_key_is_refused(tmp_path, at_root):
    with pytest.raises(CardError, match="lambda_psitive"):
        read_config(at_root / "workflow/config/mini.yaml", {"variants": {"a": {"lambda_psitive": 1}}})


def test_editing_a_citation_changes_no_score_digest(tmp_path):
    (tmp_path / "x.yaml").write_text(METHOD)
    before = read_card(MethodCard, tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(METHOD.replace("citation: c", "citation: d"))
    assert read_card(MethodCard, tmp_path / "x.yaml").score_digest() == before.score_digest()
    (tmp_path / "x.yaml").write_text(METHOD.replace("piqe", "niqe"))
    assert read_card(MethodCard, tmp_path / "x.yaml").score_digest() != before.score_digest()


def test_defaults_of_a_config_are_the_papers(at_root):
    c = read_config(at_root / "workflow/config/paper.yaml")
    assert isinstance(c, ScaleConfig)
    train = c.variant("qualiclip")
    assert (train.margin_ranking, train.margin_consistency, train.lr, train.levels) == (6.75e-2, 2.5e-3, 1e-9, 5)


# files


def test_atomic_leaves_nothing_half_written(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic(tmp_path / "a") as t:
        t.write_text("new")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_atomic_folder_replaces_whole(tmp_path):
    with atomic_folder(tmp_path / "d") as t:
        (t / "one").touch()
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "d") as t:
        (t / "two").touch()
        raise RuntimeError
    assert [p.name for p in tmp_path.rglob("*")] == ["d", "one"]


# what depends on what


def test_the_code_behind_an_output_is_found():
    assert "qualiclip/bench/correlate.py" in sources("qualiclip.bench.metrics.correlate")
    assert "qualiclip/train.py" not in sources("qualiclip.bench.metrics.correlate")
    assert {"qualiclip/degrade/spatial.py", "qualiclip/losses.py"} <= set(sources("qualiclip.train"))


@pytest.mark.parametrize("module", ["cards", "workspace", "fetch", "index", "correlate", "tables", "figures", "report"])
def test_bookkeeping_never_imports_torch(module, at_root):
    code = f"import sys, qualiclip.bench.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=at_root).returncode == 0
