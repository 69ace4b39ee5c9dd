"""The report: planted copies are found at their places, and only they count."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import charloom
from charloom.errors import CorpusError, InputError, SettingsError
from charloom.novelty import report as module
from charloom.novelty.report import check_novelty
from charloom.text.clean_up import CleanUp
from html_fragments import cells_of, show

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _noise(length: int, seed: int, letters: str = _LETTERS) -> str:
    """Returns text of 26 letters in which no substring of ten repeats."""
    return "".join(random.Random(seed).choices(letters, k=length))


def test_planted_copies() -> None:
    """A text with two stretches of a corpus and no other copies."""
    corpus = _noise(20_000, 1)
    text = "." * 50 + corpus[1234:1334] + "!" * 30 + corpus[7:47] + "?"
    found = check_novelty(text, corpus)
    first, second = found.stretches
    assert (first.text, first.sample, first.start, first.corpus_start) == (corpus[1234:1334], 0, 50, 1234)
    assert (second.text, second.start, second.corpus_start) == (corpus[7:47], 180, 7)
    assert found.longest == 100
    assert found.samples[0].num_copied == 140
    assert found.share == 140 / len(text)
    assert (found.baseline.num_chars, found.num_chunks) == (9 * len(text), 9)
    assert found.baseline.num_copied == 0
    assert found.baseline.longest < 10


def test_short_copies_do_not_count_but_the_longest_is_reported() -> None:
    corpus = _noise(3000, 2)
    found = check_novelty("-" + corpus[100:131] + "-" + corpus[500:520] + "-", corpus)
    assert (found.share, found.longest) == (0, 31)
    assert [stretch.text for stretch in found.stretches] == [corpus[100:131]]
    found = check_novelty("-" + corpus[100:131] + "-" + corpus[500:520] + "-", corpus, min_length=20)
    assert [stretch.text for stretch in found.stretches] == [corpus[100:131], corpus[500:520]]
    assert found.samples[0].num_copied == 51
    assert check_novelty("ABC", corpus).stretches == ()


def test_overlapping_copies_count_once_and_a_loop_is_reported_once() -> None:
    corpus = "abcdefgh-cdefghij"
    found = check_novelty("abcdefghij", corpus, min_length=4)
    assert found.samples[0].num_copied == 10
    assert [stretch.text for stretch in found.stretches] == ["abcdefgh"]
    looping = check_novelty("and the machine " * 5, "x and the machine.", min_length=4)
    assert [stretch.text for stretch in looping.stretches] == [" and the machine"]


def test_lines_and_parts_refer_to_the_original_files() -> None:
    """Clean-up collapses white space and lower-cases; places are those before it."""
    parts = [("one", "\n\nNothing here\n\n\nThe Time\n   Traveller smiled\n"), ("two", "At first\nhe said nothing\n")]
    clean_up = CleanUp(lowercase=True, collapse_whitespace=True)
    found = check_novelty(["he said nothing: at all", "the time traveller"], parts, clean_up=clean_up, min_length=8)
    longest, second = found.stretches
    assert (longest.text, longest.sample, longest.source, longest.line) == ("the time traveller", 1, "one", 6)
    assert (second.text, second.source, second.line) == ("he said nothing", "two", 2)
    cleaned = clean_up("".join(text for _, text in parts))
    assert cleaned[longest.corpus_start :].startswith("the time traveller")
    assert check_novelty("THE TIME  TRAVELLER", parts, clean_up=clean_up, min_length=8).longest == 18


@given(
    parts=st.lists(st.text("aB \n\r\u00e9\u0130", max_size=30), min_size=1, max_size=4),
    clean_up=st.builds(CleanUp, st.booleans(), st.booleans()),
    data=st.data(),
)
def test_places_for_any_text(parts: list[str], clean_up: CleanUp, data: st.DataObject) -> None:
    """A stretch from any place: the clean text from its reported line on contains it."""
    whole = clean_up("".join(parts))
    if not whole:
        return
    start = data.draw(st.integers(0, len(whole) - 1))
    text = whole[start : data.draw(st.integers(start + 1, len(whole)))]
    (found,) = check_novelty(text, [(str(n), part) for n, part in enumerate(parts)], clean_up=clean_up).stretches
    assert found.text == clean_up(text)
    assert found.corpus_start == whole.index(found.text)
    before = parts[: int(found.source)]
    lines = parts[int(found.source)].split("\n")
    to_here = clean_up("".join(before) + "".join(line + "\n" for line in lines[: found.line - 1]))
    to_next = clean_up("".join(before) + "".join(line + "\n" for line in lines[: found.line]))
    # A space that the clean-up made of several characters may count to any of their lines.
    assert len(to_here) - 1 <= found.corpus_start < len(to_next) + 1


def test_baseline_share_is_that_of_the_corpus_with_itself() -> None:
    """In a log of one repeated line all is baseline. A sample of the corpus is not matched with its own place."""
    log = "INFO block received from 10.0.0.1, all is well\n" * 200
    found = check_novelty("." * 100, log)
    assert (found.share, found.baseline.share, found.num_chunks) == (0, 1, 9)
    assert check_novelty("." * 100, "x" * 999).num_chunks == 0
    assert check_novelty("", log).num_chunks == 0


def test_bytes() -> None:
    corpus = bytes(range(256)) * 2
    found = check_novelty([b"\x00\x00" + corpus[100:300]], corpus)
    assert found.stretches[0].text == corpus[100:300]
    assert found.stretches[0].line == 2  # byte 10 is a line feed


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed: Any = b"x"
    with pytest.raises(CorpusError, match="empty"):
        check_novelty("x", "")
    with pytest.raises(CorpusError, match="empty"):
        check_novelty("x", [("a", ""), ("b", "")])
    with pytest.raises(InputError, match="the same type"):
        check_novelty(mixed, "x")
    with pytest.raises(SettingsError, match="min_length is 0"):
        check_novelty("x", "x", min_length=0)
    monkeypatch.setattr(module, "MAX_TEXTS", 5)
    with pytest.raises(InputError, match="at most 5"):
        check_novelty(["abc", "def"], "x")


def test_a_text_longer_than_the_corpus_and_an_empty_one() -> None:
    assert check_novelty("xx abc xx", "abc", min_length=3).share == 3 / 9
    assert check_novelty([], "abc") == module.NoveltyReport(32, (), (), 0, module.Copied(0, 0, 0))


def test_a_corpus_of_megabytes(text: str) -> None:
    """Uses the public name, too: five copies in 3 MB."""
    rest = _noise(3_000_000, 3)
    corpus = rest[:1_000_000] + text + rest[1_000_000:]
    found = charloom.check_novelty(["-" + text[100:400] + "-", rest[-100:]], corpus)
    assert [stretch.corpus_start for stretch in found.stretches[:2]] == [1_000_100, len(corpus) - 100]


@given(text=st.text(st.characters(), max_size=40), as_bytes=st.booleans())
def test_notebook_with_any_text(text: str, as_bytes: bool) -> None:
    both: Any = (text + "x").encode("utf-8", "surrogatepass") if as_bytes else text + "x"
    show(check_novelty(both, both, min_length=1))


def test_notebook() -> None:
    """It shows the shares, the baseline and the copied stretches with their sources."""
    corpus = _noise(20_000, 1)
    report = check_novelty("<&>" + corpus[100:300] + "!", [("<a>.txt", corpus)])
    rows = cells_of(show(report))
    assert rows[:3] == [
        ["characters", "204"],
        ["copied, in stretches of at least 32", "98.0%"],
        ["longest copied stretch", "200"],
    ]
    assert rows[3] == ["baseline: copied", "0.0%"]
    assert rows[5:] == [["characters", "copied", "from"], ["200", corpus[100:300], "<a>.txt:1"]]
    assert cells_of(show(check_novelty("", "x")))[0] == ["characters", "0"]
