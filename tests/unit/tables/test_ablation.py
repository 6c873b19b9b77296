"""Tables of ablations: one schedule, differences to the full model, seeds, and references that stand apart."""

from __future__ import annotations

import numpy as np
import pytest

from qualiclip.bench.captions import caption
from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.tables.ablation import build
from qualiclip.bench.tables.latex import latex
from qualiclip.bench.workspace import Workspace
from tests.support.cards import dataset_card, method_card, table_card
from tests.support.results import noisy, with_results

NAMES = ["main", "untrained", "full", "changed", "gone"]


def card(**keys):
    """An ablation of the method "full"."""
    base = {"kind": "ablation", "rows": {"names": NAMES}, "columns": {"names": ["myset"]}, "metrics": ["srcc"]}
    return table_card(**base | {"full_model": ["full", "main"], "caption": "Losses.", "statistic": "whole"} | keys)


def methods(mos, seeds: int = 1) -> list:
    """A longer training, the full model and one change of it, each with so many seeds, and a control."""
    scored = [(method_card("main", variant="encoder"), noisy(mos, 0.1)), (method_card("untrained"), noisy(mos, 2))]
    for i in range(seeds):
        for name, noise, more in (("full", 0.3, 0), ("changed", 0.5, 10)):
            keys = {"repeat_of": name, "family": "ablation"} if i else {"family": "ablation"}
            m = method_card(f"{name}{i or ''}", variant="short", title=name, **keys)
            scored.append((m, noisy(mos, noise, i + more)))
    return scored


def test_variants_of_one_schedule_are_compared_and_references_stand_apart(tmp_path, mos):
    table = build(card(), with_results(tmp_path, methods(mos), mos, dataset_card(200)))
    assert table.values["Method"].tolist() == ["MAIN", "UNTRAINED", "full", "changed"]
    assert table.values["Role"].tolist() == ["reference", "reference", "one schedule", "one schedule"]
    assert table.values["Training"].tolist() == ["10 epochs", "–", "5 steps", "5 steps"]
    values, change = table.values["My set SRCC"], table.values["My set SRCC change"].tolist()
    assert change[:3] == ["", "", ""] and change[3] == pytest.approx(values[3] - values[2]) and change[3] < 0
    assert table.caption == "Losses. Here: changed; 5 steps each." and not table.marks
    assert "One seed: how far a value moves" in " ".join(table.notes)


def test_seeds_are_one_row_with_their_spread(tmp_path, mos):
    workspace = with_results(tmp_path, methods(mos, seeds=3), mos, dataset_card(200))
    table = build(card(), workspace)
    assert table.values["Method"].tolist() == ["MAIN", "UNTRAINED", "full", "changed"]
    of_full = [np.corrcoef(*(v.argsort().argsort() for v in (noisy(mos, 0.3, i), mos)))[0, 1] for i in range(3)]
    assert table.values["My set SRCC"][2] == pytest.approx(np.mean(of_full))
    assert table.text(2, "My set SRCC").endswith(f" ± {np.std(of_full, ddof=1):.3f}") and "±" not in table.text(
        0, "My set SRCC"
    )
    assert r"\midrule" in latex(table, "x") and rf"$\pm$ {np.std(of_full, ddof=1):.3f} &" in latex(table, "x")
    tidy = table.results[table.results["metric"] == "srcc"].set_index("method")["value"]
    assert tidy[["full", "full1", "full2"]].tolist() == pytest.approx(of_full)
    assert "Means of 3 seeds" in " ".join(table.notes)


def test_without_variants_the_note_says_so(tmp_path, mos):
    workspace = with_results(tmp_path, methods(mos)[1:2], mos, dataset_card(200))
    assert build(card(empty_note="None here."), workspace).notes == ["None here."]
    workspace = with_results(tmp_path, methods(mos)[:2], mos, dataset_card(200))
    table = build(card(empty_note="None here."), workspace)
    assert table.caption == "Losses. None here." and table.values["Method"].tolist() == ["UNTRAINED", "MAIN"]


def test_the_config_repeats_the_rows_of_an_ablation_with_other_seeds(at_root, tmp_path):
    config = {"scale": "mini", "results": str(tmp_path)}
    one, three = (Workspace(load_config(config | {"ablation_seeds": n})) for n in (1, 3))
    new = {m.name for m in three.methods()} - {m.name for m in one.methods()}
    assert {"ablation-full-seed1", "ablation-full-seed2", "ablation-wide-seed2"} <= new
    assert not [n for n in new if not n.startswith("ablation-")], "the longer training is no row of the comparison"
    seeds = [three.config.variant(f"ablation-full{s}").seed for s in ("", "-seed1", "-seed2")]
    assert seeds == [0, 1, 2] and len(three.variants()) == len(one.variants()) + len(new)
    losses = three.all_tables["ablation_losses"]
    assert three.full_model(losses).name == "ablation-full" and three.compared(losses)[0].name == "ablation-full"
    assert "ablation-full-seed1" in {m.name for m, _ in three.table_pairs(losses)}
    assert "ablation-full-seed1" not in {m.name for m in three.table_methods(three.all_tables["zero_shot_authentic"])}
    paper = Workspace(load_config({"scale": "paper", "results": str(tmp_path)}))
    assert paper.full_model(losses).name == "qualiclip" and "qualiclip-seed2" in paper.variants()
    assert {"bn-only", "untrained"} <= set(paper.variants()) and "bn-only-seed1" not in paper.variants()


def test_a_repeat_of_nothing_is_refused(at_root, tmp_path):
    workspace = Workspace(load_config({"results": str(tmp_path)}))
    workspace.all_methods["x"] = method_card("x", repeat_of="nothing")
    with pytest.raises(CardError, match="no method card 'nothing'"):
        workspace._check_cards()
    with pytest.raises(ValueError, match="needs rows, columns and full_model"):
        card(full_model=[])


def test_a_caption_names_the_families_that_are_there():
    shown = table_card(caption="{families} on it.")
    both = [method_card("a"), method_card("b", family="control"), method_card("c", family="supervised")]
    assert caption(shown, both[:1]) == "Opinion-unaware methods on it."
    assert caption(shown, both) == "Opinion-unaware methods, supervised methods and controls on it."
    assert caption(shown, []) == "No methods on it."
