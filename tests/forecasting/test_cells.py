"""Numbers in the given notation, and in no other."""

import math
import re
from decimal import Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charloom import SeriesError
from charloom.forecasting.csv_series import is_missing, parse_number, read_numbers
from charloom.settings import TableSettings

_NUMBERS = st.decimals(-(10**12), 10**12, places=3) | st.decimals(-(10**9), 10**9, places=0)
_SIGNS = [(".", None), (",", None), (".", ","), (",", "."), (".", "'"), (".", " "), (",", " "), (",", "'")]


def _read(cells: list[str], delimiter: str = ",", **options: str) -> list[float]:
    settings = TableSettings(**options)  # type: ignore[arg-type]
    return list(read_numbers(cells, list(range(2, 2 + len(cells))), "v", settings, delimiter=delimiter))


def written(number: Decimal, decimal: str, thousands: str | None) -> str:
    """Returns the number as text, with thousands grouped or not."""
    text = f"{number:,f}" if thousands else f"{number:f}"
    return text.replace(",", "\0").replace(".", decimal).replace("\0", thousands or "")


@given(st.lists(_NUMBERS, min_size=1, max_size=5), st.sampled_from(_SIGNS))
def test_numbers_in_the_given_notation(numbers: list[Decimal], signs: tuple[str, str | None]) -> None:
    decimal, thousands = signs
    cells = [written(number, decimal, thousands) for number in numbers]
    options = {"decimal": decimal} | ({"thousands": thousands} if thousands else {})
    assert _read(cells, ";", **options) == [float(number) for number in numbers]


@given(st.lists(_NUMBERS, min_size=1, max_size=5), st.sampled_from(_SIGNS), st.sampled_from(_SIGNS))
def test_numbers_in_another_notation(
    numbers: list[Decimal], signs: tuple[str, str | None], given_signs: tuple[str, str | None]
) -> None:
    """Only the given signs are removed from a cell or replaced in it."""
    decimal, thousands = given_signs
    for number in numbers:
        cell = written(number, *signs)
        found = parse_number(cell, decimal, thousands)
        assert found is None or found == float(cell.replace(thousands or "\0", "").replace(decimal, "."))


@given(st.lists(st.integers(-999_999, 999_999), min_size=1, max_size=6), st.sampled_from([",", ";", "\t"]))
def test_points_between_thousands_are_never_decimals(numbers: list[int], delimiter: str) -> None:
    """Except a column of nothing else between commas, which could as well be of three decimals."""
    cells = [
        written(Decimal(number), ".", None) if abs(number) < 1000 else f"{number:,}".replace(",", ".")
        for number in numbers
    ]
    if delimiter == "," and all(abs(number) >= 1000 for number in numbers):
        return
    if any(abs(number) >= 1000 for number in numbers):
        with pytest.raises(SeriesError, match=r"may be .*; pass decimal='\.', or decimal=',' and thousands='\.'"):
            _read(cells, delimiter)
    else:
        assert _read(cells, delimiter) == numbers
    assert _read(cells, delimiter, decimal=",", thousands=".") == numbers


@given(
    st.integers(0, 25),
    st.integers(0, 10**25),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=5),
    st.integers(0, 9),
)
@example(0, 12345678901234567890, [0, 1], 0)
@example(6, 10**18, [0, 1, 2], 0)
@example(0, 4 * 10**15, [0, 1, 2], 0)
@example(19, 0, [10**18 // 3, 2 * 10**18 // 3], 0)
def test_floats_hold_the_differences_of_a_column_of_many_digits(
    places: int, base: int, steps: list[int], zeros: int
) -> None:
    numbers = [Decimal(base + step * 10**zeros).scaleb(-places, Context(99)) for step in steps]
    try:
        found = _read([f"{number:f}" for number in numbers], decimal=".")
    except SeriesError as error:
        assert "more digits than a float can represent; subtract a constant" in str(error)  # noqa: PT017
        assert any(len(number.normalize().as_tuple().digits) > 15 for number in numbers)
        return
    for value, number in zip(found, numbers, strict=True):
        if places == 0:
            assert int(value) == number or Decimal(repr(float(value))) == number
        else:
            loss, change = abs(Fraction(value) - Fraction(number)), Fraction(max(numbers)) - Fraction(min(numbers))
            assert Decimal(repr(float(value))) == number or loss * 10**6 <= change or change == 0


@pytest.mark.parametrize(
    ("cells", "refused"),
    [
        (["12345678901234567890", "12345678901234567891"], True),
        (["9007199254740993", "1"], True),
        (["7", "1,700,000,000,123,456,789"], True),
        (["1000000000000.000001", "1000000000000.000002"], True),
        (["4000000000000001", "4000000000000004"], False),
        (["3.3333333333333333333", "0.6666666666666666667"], False),
        (["3.3333333333333333333", "3.3333333333333333333"], False),
        (["0.10000000000000000555", "0.2"], False),
        (["100000000000000000000000", "1e23"], False),
    ],
)
def test_digits_beyond_those_of_floats(cells: list[str], refused: bool) -> None:
    if refused:
        with pytest.raises(
            SeriesError, match=r"line [23]: .* in column 'v' has more digits than a float can represent"
        ):
            _read(cells, thousands=",")
    else:
        assert _read(cells) == [float(cell) for cell in cells]


def test_three_decimals_in_every_row_are_decimals() -> None:
    assert _read(["1.250", "20.125", "NA"])[:2] == [1.25, 20.125]
    assert _read(["0.250", "20.125"], ";") == [0.25, 20.125], "no thousands start with 0"
    assert _read(["1.25", "20.125"], ";") == [1.25, 20.125], "no group of thousands has two digits"
    assert _read(["1.250", "20.125"], ";", decimal=".") == [1.25, 20.125]


@given(st.text(max_size=6) | st.from_regex(r"[+-]?[\d.,eE_xinfaNT' ]{1,8}", fullmatch=True))
@example("1_000")
@example("\u0663")
@example("\uff11")
@example("infinity")
@example("nan")
@example("0x10")
@example("True")
@example("1e5 ")
def test_a_number_without_separators_is_pythons_in_digits(cell: str) -> None:
    found = parse_number(cell, None, None)
    if found is None:
        assert not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", cell)
    else:
        assert found == float(cell)
        assert set(cell) <= set("0123456789+-.eE")
        assert not math.isnan(found)


@pytest.mark.parametrize(
    "cell", ["1,234", "12,34,567", "1,234,567.8", "-12,345", "999,999", "5", "1234567", "1e3", ".5", "+1."]
)
def test_thousands_in_threes_and_in_lakhs(cell: str) -> None:
    assert _read([cell, "7.25"], thousands=",") == [float(cell.replace(",", "")), 7.25]


@pytest.mark.parametrize(
    "cell", ["1,23", "12,3456", ",123", "0,123", "1,234,56", "1,,234", "1234,567", "1.5,123", "1 234"]
)
def test_separators_elsewhere_are_refused(cell: str) -> None:
    with pytest.raises(SeriesError, match=r"line 2: .* in column 'v' is not a number like -1,234.5"):
        _read([cell], thousands=",")


def test_signs_that_look_alike() -> None:
    assert _read(["1 234", "1\u00a0234", "1\u202f234", "1\u2009234\u2009567"], thousands=" ") == [1234] * 3 + [1234567]
    assert _read(["1'234.5", "1\u2019234.5"], thousands="'") == [1234.5] * 2
    assert _read(["1 234\u00a0567"], thousands=" ") == [1234567]
    with pytest.raises(SeriesError, match="is not a number"):
        _read(["1 234'567"], thousands=" ")


@pytest.mark.parametrize(
    ("cells", "delimiter", "message"),
    [
        (["1,5"], ",", "line 2: '1,5' in column 'v' is not a number like -1234.5 or 1e6; pass"),
        (["NA", "1.002,5"], ";", "line 3: '1.002,5' in column 'v' is not a number like -1234.5"),
        (
            ["1,234"],
            ",",
            "pass decimal or thousands if it has other separators, or delimiter if it contains several columns",
        ),
        (["7", "$5"], ",", "line 3: '$5' in column 'v' is not a number like -1234.5 or 1e6; pass"),
        (["7", "\u22125"], ",", "line 3: '\u22125' (it contains the character MINUS SIGN) in column 'v'"),
        (["7", "\u0663"], ",", "(it contains the character ARABIC-INDIC DIGIT THREE)"),
        (["7", "inf"], ",", "line 3: 'inf' in column 'v' is not a number like -1234.5"),
        (["7", "1e999"], ",", "line 3: '1e999' in column 'v' is too large for a float"),
        (["0e-400", "-0.0010E-400"], ",", "line 3: '-0.0010E-400' in column 'v' is too small for a float"),
        (["998", "1.000"], ";", "line 3: '1.000' in column 'v' may be 1 or 1000; pass decimal='.', or decimal=','"),
        (["7", "-"], ",", "line 3: '-' in column 'v' is not a number like -1234.5"),
        (["load", "7"], ",", "line 2: 'load' in column 'v' is not a number like -1234.5"),
        (["load", "7"], ",", "; if this line is the header, pass skip_rows=1"),
    ],
)
def test_cells_that_are_not_numbers_and_the_options_to_give(cells: list[str], delimiter: str, message: str) -> None:
    with pytest.raises(SeriesError, match=re.escape(message)):
        _read(cells, delimiter)


def test_missing() -> None:
    for cell in ("", "NA", "n/a", "#N/A", "NaN", "NULL", "None", "."):
        assert is_missing(cell), cell
    for cell in ("-", "?", "0", "#DIV/0!", "NaT", "x"):
        assert not is_missing(cell), cell
