"""Partial results: what is finished survives a kill, to the last bit; what has failed is tried again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qualiclip.bench.score.partial import Partial, Row
from tests.support.small_set import Mean, score


def test_finished_rows_are_taken_up_but_failures_are_tried_again(small, tmp_path):
    score(small, partial=Partial(tmp_path / "p", seconds=0))
    assert len(list((tmp_path / "p").glob("*.csv"))) > 2
    assert Partial(tmp_path / "p").done() == set(range(11))
    Partial(tmp_path / "p", seconds=0).add([Row(3, None, "bad")])
    method = Mean()
    out = score(small, method, partial=Partial(tmp_path / "p"))
    assert method.sizes == [] and out.equals(score(small))


def test_a_row_that_has_failed_and_never_succeeded_is_not_done(tmp_path):
    Partial(tmp_path / "p", seconds=0).add([Row(2, 0.5, ""), Row(3, None, "bad")])
    assert Partial(tmp_path / "p").done() == {2}


def test_scores_survive_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).random(50) / 3
    partial = Partial(tmp_path / "p", seconds=0)
    partial.add([Row(i, float(v), "") for i, v in enumerate(values)])
    index = pd.DataFrame({"image": [str(i) for i in range(50)]})
    assert Partial(tmp_path / "p").table(index)["score"].tolist() == values.tolist()
    partial.clear()
    assert not (tmp_path / "p").exists()


def test_what_a_kill_in_the_middle_of_writing_leaves_is_not_read(tmp_path):
    partial = Partial(tmp_path / "p", seconds=0)
    partial.add([Row(0, 0.5, "")])
    (tmp_path / "p/.000001-77.abc123.csv").write_text("row,sco")
    assert Partial(tmp_path / "p").done() == {0}


def test_without_a_folder_rows_are_kept_in_memory(tmp_path):
    partial = Partial(None, seconds=0)
    partial.add([Row(1, 0.5, "")])
    table = partial.table(pd.DataFrame({"image": ["a", "b"]}))
    assert table["score"].tolist()[1] == 0.5 and table["error"].tolist() == ["not reached", ""]
