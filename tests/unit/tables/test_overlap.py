"""How many images behind a value the weights were trained on."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.data import fetch, index
from qualiclip.bench.data.splits import in_list
from qualiclip.bench.tables.correlations import build
from qualiclip.bench.tables.overlap import overlap
from qualiclip.bench.tables.results import Result
from tests.support.cards import baseline, dataset, dataset_card, method_card, table_card
from tests.support.results import EVERYTHING, noisy, with_results

RELEASED = {
    "qualiclip+": "koniq10k",
    "qualiclip+-clive": "clive",
    "qualiclip+-spaq": "spaq",
    "qualiclip+-flive": "flive",
}


def test_a_shuffled_list_is_that_of_the_public_scripts():
    """IQA-PyTorch's scripts: seed the module's generator, shuffle the row numbers, cut at round(0.8 n)."""
    labels = pd.DataFrame({"image": range(1162)})
    images = dataset("clive").training_lists["pyiqa"]
    state = random.getstate()
    random.seed(123)
    rows = list(range(1162))
    random.shuffle(rows)
    random.setstate(state)
    assert set(np.flatnonzero(in_list(labels, "pyiqa", images))) == set(rows[:930])


def test_the_count_stands_beside_the_value_and_in_the_note(tmp_path, mos):
    lists = {"theirs": {"column": "set", "values": ["training"]}}
    cards = dataset_card(200, training_lists=lists)
    known = method_card("known", trained_on=["myset"], trained_on_list={"myset": "theirs"})
    own = method_card("own", trained_on=["myset"], trained_on_list={"myset": "split_00"})
    scored = [(m, noisy(mos, 0.3, i)) for i, m in enumerate((known, own, method_card("lost", trained_on=["myset"])))]
    workspace = with_results(tmp_path, scored, mos, cards)
    file = workspace.paths.index("myset")
    table = pd.read_csv(file).assign(trained_theirs=np.arange(200) < 50)
    table.to_csv(file, index=False)
    seen = [int((table[f"split_{k:02d}"] == "test")[:50].sum()) for k in range(10)]
    for statistic, text, words in (
        ("whole", "50/200", "50 of 200 images"),
        ("median", f"{np.median(seen):.0f}/40", f"40 images, {min(seen)} to {max(seen)} in the 10 test parts"),
    ):
        shown = build(table_card(**EVERYTHING | {"metrics": ["srcc"], "statistic": statistic}), workspace)
        cells = {m: shown.text(i, "My set SRCC") for i, m in enumerate(shown.values["Method"])}
        assert cells["KNOWN"].endswith(f"† ({text})") and cells["LOST"].endswith("†")
        assert any(words in note and "LOST on My set." in note for note in shown.notes)
    result = Result(own, cards, pd.DataFrame(), workspace.paths)
    assert overlap(result, table, "median").seen[0] == 0 and overlap(result, table, "official") is None


def test_a_list_that_no_card_has_is_refused(at_root, tmp_path):
    from qualiclip.bench.cards.scale import load_config
    from qualiclip.bench.workspace import Workspace

    workspace = Workspace(load_config({"results": str(tmp_path)}))
    wrong = {"trained_on": ["clive"], "trained_on_list": {"clive": "official"}}
    workspace.all_methods["a"] = method_card("a", **wrong)
    with pytest.raises(CardError, match=r"clive.yaml has no list 'official'"):
        workspace._check_cards()
    with pytest.raises(ValueError, match="spaq is not in trained_on"):
        method_card("a", trained_on=["clive"], trained_on_list={"spaq": "pyiqa"})
    with pytest.raises(ValueError, match="give either column and values, or seed and share"):
        dataset_card(training_lists={"a": {}})


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("method", "statistic", "words"),
    [
        ("qualiclip+", "median", "1408 of 2015 images, 1394 to 1446 in the 10 test parts"),
        ("qualiclip+-clive", "median", "188 of 232 images, 180 to 200 in the 10 test parts"),
        ("qualiclip+-spaq", "median", "1771 of 2225 images, 1748 to 1826 in the 10 test parts"),
        ("qualiclip+-flive", "official", "0 of 1827 images"),
    ],
)
def test_what_the_released_weights_have_seen_of_the_published_test_parts(method, statistic, words, mirror, tmp_path):
    """Real labels and split files. The shuffled lists hold 80% of the rows, KonIQ-10k's official train part 70%."""
    card, m = dataset(RELEASED[method]), baseline(method)
    raw = tmp_path / card.name
    alone = card.wanted_files(labels_only=True)
    fetch.fetch(
        card.model_copy(update={"files": [f for f in alone if labels_at_hand(card.name, f)]}),
        tmp_path,
        mirror,
        labels_only=True,
    )
    found = overlap(Result(m, card, pd.DataFrame(), None), index.labelled(card, raw), statistic)
    assert found.words == words


def labels_at_hand(name: str, file) -> bool:
    """Whether a file is needed for labels and splits: CLIVE's are in its archive."""
    return file.filename == "ChallengeDB_release.zip" if file.extract and name == "clive" else not file.extract
