"""From bytes to columns of cells: round trips through the csv module; invalid tables are refused by line."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import SeriesError, SettingsError
from charloom.forecasting import csv_table
from charloom.forecasting.csv_table import Table, join_names, quote_cell, read_table
from charloom.settings import TableSettings

_CELLS = st.text(st.sampled_from("ab,;\t\"\n 'ä"), max_size=5).map(lambda cell: f"x{cell}x")  # no spaces at the ends
_TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(_CELLS, min_size=width, max_size=width), min_size=2, max_size=6)
)


@settings(max_examples=40)
@given(_TABLES, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_output_of_the_csv_module_is_read_cell_by_cell(
    rows: list[list[str]], delimiter: str, end: str, header: bool
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    lines = []
    for row in rows:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_table, "_read_bytes", lambda _: text.getvalue().encode())
        table = read_table("x.csv", TableSettings(delimiter=delimiter, header=header))
    body = rows[header:]
    assert table.names == (rows[0] if header else [str(i + 1) for i in range(len(rows[0]))])
    assert [list(row) for row in zip(*table.columns, strict=True)] == body
    assert table.lines == lines[header:]
    assert table.header_line == (lines[0] if header else 0)


def test_a_column_is_found_by_its_header_or_its_number() -> None:
    table = Table(["d", "2", "v", "v"], [[]] * 4, [], 1, ",")
    assert table.find("d", "column") == table.find(1, "column") == table.find("1", "column") == 0
    assert table.find("2", "column") == 1, "a header has precedence over a number"
    assert table.find(3, "column") == 2
    with pytest.raises(SettingsError, match="time is 'v': 2 columns have this header; pass the column's number"):
        table.find("v", "time")
    with pytest.raises(
        SettingsError, match=r"column is 5: the table has no such column; pass one of 'd', '2'.* from 1 to 4"
    ):
        table.find(5, "column")


def test_long_cells_and_lists_are_shortened_in_messages() -> None:
    assert quote_cell("x" * 40) == repr("x" * 40)
    assert quote_cell("x" * 41) == repr("x" * 40 + "...")
    assert join_names(["a", "b"]) == "'a', 'b'"
    assert join_names(["a"] * 21) == ", ".join(["'a'"] * 20) + ", ..."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"d,v\n2001,1\n2002,\xff\n", "line 3 is not valid UTF-8 \\(byte 0xff\\)"),
        (b"d,v\n2001\0,1\n", "not a text file \\(NUL character at position 8\\)"),
        (b" \n", "empty; there is nothing to forecast"),
        (b"d,v\r\r\n2001,1\r\r\n", "two carriage returns"),
        (b'd,v\n2001,"1\n', "line 2 is not valid CSV .*check the quotes"),
        (b"d,v\n2001,1\n2002\n", "line 3 has 1 column, but line 1 has 2; delete the row"),
        (b"d,v\n2001,1,5\n", "line 2 has 3 columns, but line 1 has 2; pass delimiter .* pass skip_rows=1"),
        (b"d,v\n\n2001,1\n", "line 2 is empty; delete it or, if the header follows, pass skip_rows=2"),
        (b"d,v\n", "the header \\('d', 'v'\\) has no rows"),
        (b"sep=;\nd;v\n2001;1\n", "line 1 declares the delimiter for Excel"),
    ],
)
def test_an_invalid_table_is_refused_by_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(SeriesError, match=message):
        read_table(str(tmp_path / "x.csv"), TableSettings())
