"""The benchmark's pieces: cards, files, correlations, gMAD, tables, dependencies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from qualiclip.bench import correlate, gmad
from qualiclip.bench.cards import CardError, DatasetCard, MethodCard, ScaleConfig, read_card, read_config
from qualiclip.bench.code import sources
from qualiclip.bench.files import atomic, atomic_folder
from qualiclip.bench.tables import Table

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


# correlations


def test_correlations_agree_with_scipy():
    rng = np.random.default_rng(0)
    mos, score = rng.random(200), rng.random(200)
    values = correlate.measures(score, mos)
    assert values["srcc"] == pytest.approx(spearmanr(score, mos).statistic, abs=1e-12)
    assert values["plcc"] == pytest.approx(pearsonr(score, mos).statistic, abs=1e-12)


def test_the_logistic_fit_recovers_a_logistic():
    x = np.linspace(-3, 5, 300)
    mos = correlate.logistic(x, 90, 10, 1, 0.7)
    values = correlate.measures(x, mos)
    assert values["plcc_logistic"] == pytest.approx(1, abs=1e-6) and values["rmse"] == pytest.approx(0, abs=1e-3)


def test_a_wrong_direction_has_a_negative_sign_everywhere():
    x = np.linspace(0, 1, 50)
    values = correlate.measures(x, np.exp(-3 * x))
    assert all(values[m] < -0.9 for m in ("srcc", "krcc", "plcc", "plcc_logistic"))


@pytest.mark.parametrize("score", [np.ones(20), np.arange(5.0)])
def test_undefined_correlations_are_empty(score):
    values = correlate.measures(score, np.arange(float(len(score))))
    assert all(np.isnan(v) for v in values.values())


def test_srcc_within_groups_by_hand():
    group = np.repeat(["a", "b", "c"], 3)
    score = np.array([1, 2, 3, 3, 2, 1, 5, 5, 5.0])  # +1, -1, undefined
    assert correlate.group_srcc(score, np.tile([1.0, 2, 3], 3), group) == pytest.approx(0)


def test_failed_rows_are_refused_unless_allowed():
    table = pd.DataFrame({"image": ["a", "b"], "score": [1.0, np.nan], "error": ["", "too dark"]})
    rows = pd.DataFrame({"image": ["a", "b"]})
    with pytest.raises(ValueError, match=r"1 of 2 images have no score \(b: too dark\).*allow_errors=true"):
        correlate.check(table, rows, Path("s.csv"), allow_errors=False)
    correlate.check(table, rows, Path("s.csv"), allow_errors=True)
    with pytest.raises(ValueError, match="not one row per image"):
        correlate.check(table, rows.iloc[::-1].reset_index(drop=True), Path("s.csv"), allow_errors=True)


# gMAD


def test_gmad_pairs_by_hand():
    defender = np.array([0, 0.01, 0.02, 5, 5.01, 5.02, 9, 9, 9, 9])
    attacker = np.array([3, 1, 2, 7, 7, 7, 0, 8, 4, 2.0])
    found = gmad.pairs(defender, attacker, n_levels=2, width=0.3)
    assert found[["better", "worse"]].to_numpy().tolist() == [[0, 1], [7, 9]]
    assert found["gap"].tolist() == pytest.approx([2 / attacker.std(), 6 / attacker.std()])


def test_gmad_plays_both_roles():
    rng = np.random.default_rng(0)
    found = gmad.competition({"a": rng.random(50), "b": rng.random(50)}, 2)
    assert found[["defender", "attacker", "level"]].to_numpy().tolist() == [
        ["a", "b", 0], ["a", "b", 1], ["b", "a", 0], ["b", "a", 1]
    ]  # fmt: skip


# tables


def test_the_best_is_bold_and_text_is_escaped():
    values = pd.DataFrame({"Method": ["a_b", "c"], "x SRCC": [0.12345, 0.5]})
    table = Table("t", "50% of it", values, ["n"], {"x SRCC": 0.5})
    assert "**0.500**" in table.markdown() and "0.123" in table.markdown()
    assert r"\textbf{0.500}" in table.latex() and r"a\_b" in table.latex() and r"50\% of it" in table.latex()


# what depends on what


def test_the_code_behind_an_output_is_found():
    assert "qualiclip/bench/correlate.py" in sources("qualiclip.bench.correlate")
    assert "qualiclip/train.py" not in sources("qualiclip.bench.correlate")
    assert {"qualiclip/degrade/spatial.py", "qualiclip/losses.py"} <= set(sources("qualiclip.train"))


@pytest.mark.parametrize("module", ["cards", "workspace", "fetch", "index", "correlate", "tables", "figures", "report"])
def test_bookkeeping_never_imports_torch(module, at_root):
    code = f"import sys, qualiclip.bench.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=at_root).returncode == 0
