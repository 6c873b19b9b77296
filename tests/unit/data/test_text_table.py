"""Tables of users: what does not fit is refused with its line, and what fits comes out as it was written."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualiclip.bench.data import text_table
from qualiclip.bench.data.text_table import TableError, numbers, read


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\nx,1\ny,3,137\n", r"^f: line 3 has 3 fields, the header has 2: 'y,3,137'; put .* quotation marks"),
        (b"a,b\nx,1\n\ny\n", "^f: line 4 has 1 fields, the header has 2: 'y'"),
        (b"", "the file is empty"),
        (b"a,b\n", "it has a header and no rows"),
        (b"a,a\n1,2\n", "two columns are named a"),
        ("a,b\nä,1\n".encode("latin-1"), r"its text is not utf-8 .* name its encoding"),
    ],
)
def test_what_cannot_be_right_is_refused(content, message):
    with pytest.raises(TableError, match=message):
        read(content, "f")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_encodings(encoding):
    content = ("\ufeff" * (encoding == "utf-16-le") + "a,b\nZoë.png,1\n").encode(encoding)
    assert read(content, "f", encoding="cp1252" if encoding == "cp1252" else "utf-8").iloc[0].tolist() == [
        "Zoë.png",
        "1",
    ]


def test_separators_and_names_of_columns():
    assert read(b"a;b\nx;1,5\n", "f", ";")["b"].tolist() == ["1,5"]
    assert read(b"x 1  2\n y\t3 4\n", "f", r"\s+", columns=["a", "b", "c"]).to_numpy().tolist() == [
        ["x", "1", "2"],
        ["y", "3", "4"],
    ]
    assert read(b"x,1,\ny,2,\n", "f", columns=["a", "b"])["b"].tolist() == ["1", "2"]  # a separator after the last
    assert text_table.hint(read(b"a;b\nx;1\n", "f")) == "; its columns seem to be separated by ';'"


def test_numbers():
    column = pd.Series(["1.5", " 2e1 ", "3,5", "12%", "", None, "inf", "nan"])
    assert numbers(column)[:2].tolist() == [1.5, 20] and np.isnan(numbers(column)[2:]).all()
    assert numbers(pd.Series(["3,5", "4"]), ",").tolist() == [3.5, 4]
    assert numbers(pd.Series([1, 2.5])).tolist() == [1, 2.5]


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), max_size=8)


@given(st.lists(st.tuples(FIELDS.filter(str.strip), FIELDS), min_size=1, max_size=6), st.sampled_from([",", ";", "\t"]))
def test_what_csv_writes_is_read_as_it_was(rows, separator):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("name", "value"), *rows])
    table = read(out.getvalue().encode(), "f", separator)
    assert [tuple(r) for r in table.fillna("").to_numpy()] == rows


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_keep_their_last_bit(values):
    assert numbers(pd.Series([repr(v) for v in values])).tolist() == values


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(content):
    try:
        table = read(content, "f")
    except TableError as e:
        assert str(e).startswith("f: ")
    else:
        assert len(table) >= 1
