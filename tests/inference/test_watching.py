"""Scores of lines one by one: those of an adaptive evaluation, in bounded memory, continued after a restart."""

import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import InputError, Surprisal, evaluate_lines, prepare_codec
from charloom.inference import watching
from charloom.inference.watching import LineScorer, RepeatFilter, ScoredLine
from charloom_codec.engines.native import choose_instruction_set
from examples import examples

pytestmark = pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engine would take minutes")

_LINE = b"the quick brown fox jumps over the lazy dog\n"
"""The line that ``char_model`` memorized."""


@settings(max_examples=examples(5))
@given(
    lines=st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\n", b" ") + b"\n"), max_size=8),
    data=st.data(),
)
def test_scores_are_those_of_an_adaptive_evaluation(lines: list[bytes], data: st.DataObject, log_model: Path) -> None:
    """Also if the lines come in several calls."""
    lines = [_LINE, *lines, _LINE]
    _, expected = evaluate_lines(log_model, b"".join(lines), adaptive=True)
    scorer = LineScorer(log_model)
    at = data.draw(st.integers(0, len(lines)))
    found = scorer.score(lines[:at]) + scorer.score(lines[at:])
    for scored, line, one in zip(found, lines, expected, strict=True):
        assert scored.data == line
        assert scored.surprisal.text == one.text
        assert (scored.surprisal.number, scored.surprisal.num_chars) == (one.number, one.num_chars)
        assert scored.surprisal.bits == pytest.approx(one.bits)
        assert scored.surprisal.bits_per_word == pytest.approx(one.bits_per_word, abs=1e-6)
        assert scored.surprisal.unexpected_bits == pytest.approx(one.unexpected_bits, rel=1e-4, abs=1e-4)
        assert scored.surprisal.rarity == pytest.approx(one.rarity, abs=1e-4)
        beyond = scored.excess_bits[scored.excess_bits > 2] - 2
        assert np.linalg.norm(beyond) == pytest.approx(one.unexpected_bits, rel=1e-4, abs=1e-4)
    assert scorer.num_lines == len(lines)
    assert scorer.recent == b"".join(lines)


def test_sessions_are_renewed_before_they_are_full(log_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, and a repeated message stays known."""
    monkeypatch.setattr(watching, "MAX_SEGMENT", 60_000)
    monkeypatch.setattr(watching, "MAX_RECENT", 20_000)
    monkeypatch.setattr(watching, "_MAX_BLOCK", 1_000)
    scorer = LineScorer(log_model)
    message = b"the lazy dog jumps over the quick brown fox\n"
    assert scorer.score([message])[0].surprisal.bits > 20
    sessions = set()
    for _ in range(50):
        found = scorer.score([message] * 100)
        sessions.add(id(scorer._session))
        assert scorer._num_read <= 60_000
        assert max(scored.surprisal.bits for scored in found[1:]) < 5
        assert 20_000 - len(message) < len(scorer.recent) <= 20_000 or scorer.num_lines < 1000
    assert len(sessions) >= 3


def test_continues_from_recent_lines(log_model: Path) -> None:
    message = b"the lazy dog jumps over the quick brown fox\n"
    first = LineScorer(log_model)
    (new,) = first.score([message])
    (second,) = first.score([message])
    (resumed,) = LineScorer(log_model, recent=message).score([message])
    (fresh,) = LineScorer(log_model).score([message])
    assert resumed.surprisal.bits == pytest.approx(second.surprisal.bits)
    assert fresh.surprisal.bits == pytest.approx(new.surprisal.bits)
    assert second.surprisal.bits < 0.5 * new.surprisal.bits


def test_unexpected_words(log_model: Path) -> None:
    line = _LINE.replace(b"brown", b"purple")
    scorer = LineScorer(log_model)
    (known,) = scorer.score([_LINE])
    (changed,) = scorer.score([line])
    assert known.find_unexpected() == []
    words = [line[start:end] for start, end in changed.find_unexpected()]
    assert b"purple" in words
    assert b"the" not in words
    spaced, cut = scorer.score([_LINE.replace(b"quick", b" quick", 1), _LINE[:-8] + b"\n"])
    doubled = _LINE.index(b"quick")
    assert (doubled, doubled + 1) in spaced.find_unexpected()
    assert (len(cut.data) - 1, len(cut.data)) in cut.find_unexpected()


def _make_access_log(num_lines: int) -> list[bytes]:
    source = random.Random(5)
    agents = ["Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (Macintosh; Intel Mac OS X)", "curl/8.4.0"]
    return [
        f"10.1.{source.randrange(4)}.{source.randrange(256)} - - [{number // 60 % 24:02}:{number % 60:02}:00 +0000] "
        f'"GET /items/{source.randrange(9999)} HTTP/1.1" {source.choice([200, 200, 200, 304])} '
        f'{source.randrange(90000)} "{source.choice(agents)}"\n'.encode()
        for number in range(num_lines)
    ]


def test_unusual_lines_of_an_access_log(char_model: Path, tmp_path: Path) -> None:
    """Small changes of six kinds are rare; among ordinary lines, few are as rare."""
    folder = tmp_path / "model"
    shutil.copytree(char_model, folder)
    lines = _make_access_log(3500)
    prepare_codec(folder, seen=b"".join(lines[:2000]), held_out=b"".join(lines[2000:2300]))
    lines = lines[2300:]
    changes = [(b"GET", b"PUT"), (b"+0000", b"+0330"), (b"/items/", b"/../etc/"), (b"10.1", b"10.9.1")]
    changes += [(b" - -", b"  - -")]
    unusual = {150 * number: lines[150 * number].replace(*change) for number, change in enumerate(changes, 1)}
    unusual[1000] = lines[1000][:40] + b"\n"
    for place, line in unusual.items():
        lines[place] = line
    rarities = [line.surprisal.rarity or 0.0 for line in LineScorer(folder).score(lines)]
    assert min(rarities[place] for place in unusual) > 2.5
    ordinary = [rarity for place, rarity in enumerate(rarities) if place not in unusual]
    assert sum(rarity > 3 for rarity in ordinary) <= 0.01 * len(ordinary)


def test_without_rarity(char_model: Path) -> None:
    """Nothing of the text of this model was held out."""
    scorer = LineScorer(char_model)
    assert not scorer.knows_rarity
    assert scorer.score([_LINE])[0].surprisal.rarity is None
    assert scorer.score([]) == []
    assert np.isfinite(scorer.score([b"\n"])[0].surprisal.bits)


@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(log_model: Path) -> None:
    with pytest.raises(InputError, match="folder is of type int"):
        LineScorer(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"lines\[1\] is of type str"):
        LineScorer(log_model).score([b"x\n", "y\n"])  # type: ignore[list-item]


def _scored(line: bytes, bits: Mapping[int, float]) -> ScoredLine:
    """Returns a line whose bytes take 1 bit more than expected, except for some by position."""
    excess_bits = np.ones(len(line), np.float32)
    excess_bits[list(bits)] = list(bits.values())
    return ScoredLine(Surprisal(1, line.decode(), len(line), 0.0), line, excess_bits)


def _report(repeats: RepeatFilter, line: bytes, score: float, bits: Mapping[int, float] | None = None) -> bool:
    messages = _scored(line, bits or {}).find_messages()
    is_new = repeats.is_new(messages, score)
    repeats.add(messages, score)
    return is_new


def test_repetitions_of_a_message() -> None:
    """Digits do not distinguish messages; a higher score is reported again."""
    repeats = RepeatFilter()
    assert _report(repeats, b"12:00 disk 1 failed\n", 5.0)
    assert not _report(repeats, b"12:01 disk 22 failed\n", 5.0)
    assert _report(repeats, b"12:02 disk 3 failed\n", 6.0)
    assert not _report(repeats, b"12:02 disk 3 failed\n", 5.5)
    assert _report(repeats, b"12:02 disk 3 replaced\n", 5.0)
    assert _report(repeats, b"12 13\n", 5.0)
    assert not _report(repeats, b"12 13\n", 5.0)
    assert not _report(RepeatFilter(repeats.reported), b"12:03 disk 9 failed\n", 6.0)


def test_another_reason_is_another_message() -> None:
    """The same words do not hide a line whose surprise is at another place."""
    repeats, line = RepeatFilter(), b"12:00 login from 10.0.0.1 port 22\n"
    address, word, port = line.index(b"10."), line.index(b"port"), line.index(b"22")
    assert _report(repeats, line, 9.0, {port: 20.0})
    assert _report(repeats, line, 5.0, {address: 12.0, port: 7.0})
    assert _report(repeats, line, 5.0, {word: 12.0})
    assert _report(repeats, line, 5.0, {0: 12.0})
    assert _report(repeats, line, 5.0, {port: 5.9})  # nothing is unexpected
    for place in (0, address, word, word - 1, port, len(line) - 1):
        assert not _report(repeats, line, 4.0, {place: 30.0})
    # A repetition may be most surprising at another place of a line that was reported.
    other = line.replace(b"login", b"logout")
    assert _report(repeats, other, 9.0, {address: 20.0, word: 12.0})
    assert not _report(repeats, other, 5.0, {word: 12.0})
    assert _report(repeats, other, 5.0, {0: 7.0, word: 6.5})
    # The same place, further to the right.
    longer = line.replace(b"10.0.0.1", b"10.0.0.1 10.0.0.2 10.0.0.3")
    assert not _report(repeats, longer, 4.0, {longer.index(b"22"): 20.0})
    assert ScoredLine(_scored(b"", {}).surprisal, b"", np.zeros(0, np.float32)).find_messages() == [b""]


def test_known_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_MAX_MESSAGES", 3)
    repeats = RepeatFilter()
    for message in (b"a", b"b", b"c", b"a", b"d"):
        repeats.add([message], 1.0)
    assert list(repeats.reported) == [b"c", b"a", b"d"]
