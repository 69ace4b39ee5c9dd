import itertools
import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charloom import CleanUp, SettingsError, split_chars, split_lines

# White space of every kind, two similar characters that are not, and letters whose case mapping is not one to one.
_ODD = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2028\u2029\u202f\u205f\u3000\u200b\ufeffaAİΣßẞ'"
_TEXTS = st.text(st.sampled_from(_ODD) | st.characters(), max_size=12)
_BYTES = st.lists(st.sampled_from(b" \t\n\r\v\f\x1c\x85\xa0aAzZ\xc3\x89"), max_size=12).map(bytes)
_CLEAN_UPS = st.builds(CleanUp, st.booleans(), st.booleans())


def test_by_default_nothing_is_done() -> None:
    assert CleanUp()(" As it\r\n\tSTANDS ") == " As it\r\n\tSTANDS "
    assert CleanUp()(b" As it\r\n\tSTANDS ") == b" As it\r\n\tSTANDS "


@pytest.mark.parametrize(
    ("clean_up", "clean"),
    [
        (CleanUp(lowercase=True), " a\n\nb\t é"),
        (CleanUp(collapse_whitespace=True), " A B É"),
        (CleanUp(lowercase=True, collapse_whitespace=True), " a b é"),
    ],
)
def test_each_flag_alone(clean_up: CleanUp, clean: str) -> None:
    assert clean_up(" A\n\nB\t É") == clean


def test_bytes_stay_bytes_and_only_ascii_is_lower_cased() -> None:
    both = CleanUp(lowercase=True, collapse_whitespace=True)
    assert both("A\r\n É".encode()) == b"a " + "É".encode()
    # In bytes 0x85 and 0xa0 are parts of characters, not white space.
    assert both(b"\x85 \xa0") == b"\x85 \xa0"


@given(text=_TEXTS)
def test_every_run_of_white_space_becomes_one_space(text: str) -> None:
    runs = itertools.groupby(text, str.isspace)
    assert CleanUp(collapse_whitespace=True)(text) == "".join(" " if space else "".join(run) for space, run in runs)


def test_white_space_is_that_of_regular_expressions() -> None:
    """Every character and every byte, each between two that are not white space."""
    text = "".join(f"x{chr(code)}x" for code in range(sys.maxunicode + 1))
    assert CleanUp(collapse_whitespace=True)(text) == re.sub(r"\s+", " ", text)
    data = b"".join(b"x%cx" % value for value in range(256))
    assert CleanUp(collapse_whitespace=True)(data) == re.sub(rb"\s+", b" ", data)


@given(text=_TEXTS, clean_up=_CLEAN_UPS)
@example(text="ΑΣ ΣΑΣ İ", clean_up=CleanUp(True, True))
def test_clean_up_is_idempotent(text: str, clean_up: CleanUp) -> None:
    clean = clean_up(text)
    assert clean_up(clean) == clean


@given(text=_TEXTS, clean_up=_CLEAN_UPS, length=st.integers(0, 12))
def test_the_start_of_a_clean_text_is_clean(text: str, clean_up: CleanUp, length: int) -> None:
    """The part that ``max_chars`` keeps is encoded, which cleans again."""
    start = clean_up(text)[:length]
    assert clean_up(start) == start


@given(lines=st.lists(_TEXTS, max_size=8), clean_up=_CLEAN_UPS)
@example(lines=["a ", "", " \n", "\u3000b"], clean_up=CleanUp(collapse_whitespace=True))
@example(lines=[" ", " ", " "], clean_up=CleanUp(collapse_whitespace=True))
@example(lines=["ΟΔΟ", "Σ"], clean_up=CleanUp(lowercase=True))
@example(lines=["ΟΣ", "Δ"], clean_up=CleanUp(lowercase=True))
def test_lines_cleaned_one_by_one_join_to_the_cleaned_whole(lines: list[str], clean_up: CleanUp) -> None:
    each = list(clean_up.each(lines))
    assert "".join(each) == clean_up("".join(lines))
    assert len(each) == len(lines)


@given(lines=st.lists(_BYTES, max_size=8), clean_up=_CLEAN_UPS)
@example(lines=[b"a ", b"", b"\n", b" b"], clean_up=CleanUp(collapse_whitespace=True))
def test_lines_of_bytes_too(lines: list[bytes], clean_up: CleanUp) -> None:
    each = list(clean_up.each(lines))
    assert b"".join(each) == clean_up(b"".join(lines))
    assert len(each) == len(lines)


@given(text=_TEXTS, clean_up=_CLEAN_UPS)
@example(text="ΟΔΟΣ", clean_up=CleanUp(lowercase=True))
def test_the_parts_that_are_evaluated_join_to_the_cleaned_whole(text: str, clean_up: CleanUp) -> None:
    assert "".join(clean_up.each(split_lines(text))) == clean_up(text)
    assert "".join(clean_up.each(split_chars(text))) == clean_up(text)


def test_a_run_of_white_space_across_lines_is_kept_in_its_first_line() -> None:
    lines = ["one \n", "\n", "  two\n", "three"]
    assert list(CleanUp(collapse_whitespace=True).each(lines)) == ["one ", "", "two ", "three"]


def test_flags_are_true_or_false() -> None:
    for name in ("lowercase", "collapse_whitespace"):
        for wrong in ("no", 1, None, 0.0):
            with pytest.raises(SettingsError, match=f"{name} is {wrong!r}: it must be true or false"):
                CleanUp(**{name: wrong})  # type: ignore[arg-type]
