"""Scores of log lines as they are written, by the codec's mixture, which learns from each line in bounded memory."""

import math
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charloom.inference.lines import make_rarity_scale
from charloom.inference.surprisal import UNEXPECTED_BITS, Surprisal, square_unexpected_bits
from charloom.inference.words import find_words, mean_bits_per_word
from charloom.text.chunks import split_lines
from charloom_codec.arguments import PATH, check_bytes, check_type
from charloom_codec.engines.engine import MAX_SEGMENT, CodingCosts, Session
from charloom_codec.format.opening import open_engine
from charloom_codec.named_models.finding import find_folder

MAX_RECENT = 1 << 20
"""Maximum bytes of the recent lines that a new session of the mixture reads."""
_MAX_BLOCK = 1 << 16
_MAX_MESSAGES = 10_000
_MAX_PLACES = 16


@dataclass(frozen=True)
class ScoredLine:
    """A line and its scores.

    Attributes:
        surprisal: Scores of the line, by byte instead of character; its number counts from the first line.
        data: The line, with its line feed.
        excess_bits: Bits of each byte beyond those that were expected at its place.
    """

    surprisal: Surprisal
    data: bytes
    excess_bits: NDArray[np.float32]

    def find_unexpected(self) -> list[tuple[int, int]]:
        """Returns the ranges of ``data``, start and end, that are unexpected.

        They are the words that contain an unexpected byte, and unexpected bytes between words or at the end.
        """
        unexpected = self.excess_bits >= UNEXPECTED_BITS
        words = find_words(self.data)
        between = np.ones(len(self.data), dtype=bool)
        for start, end in words:
            between[start:end] = False
        found = [(start, end) for start, end in words if unexpected[start:end].any()]
        return sorted(found + [(at, at + 1) for at in np.flatnonzero(unexpected & between).tolist()])

    def find_messages(self) -> list[bytes]:
        """Returns the messages of the line, the most surprising first.

        A message is the words without digits, and a place that is unexpected. Times, counters, addresses and ids do not
        distinguish two messages. The place does: an unusual address is reported even if a line with the same words was
        reported for an unusual number. It is a word, or lies between two; the values between two words, a list of ids
        for example, are one place. The words alone are the message if nothing is unexpected. Of many places, the most
        surprising 16 are returned.
        """
        words = find_words(self.data, without_digits=True)
        message = b" ".join(self.data[start:end] for start, end in words) or self.data
        unexpected = np.flatnonzero(self.excess_bits >= UNEXPECTED_BITS)
        by_surprise = unexpected[np.argsort(-self.excess_bits[unexpected], kind="stable")]
        places = dict.fromkeys(np.searchsorted(np.ravel(words), by_surprise, side="right").tolist())
        return [b"%b\n%d" % (message, place) for place in islice(places, _MAX_PLACES)] or [message]


class LineScorer:
    """Scores the lines of a log one by one, and learns from each.

    The context models forget what they have read more than 16 MiB ago, except for the model's own priming.

    Attributes:
        num_lines: Number of lines scored.
        knows_rarity: True if enough lines were held out from training to measure rarity.
    """

    def __init__(self, folder: str | Path, *, recent: bytes = b"") -> None:
        """Opens the model of a folder, which takes a few seconds.

        Args:
            folder: A model folder, whose priming is used.
            recent: Recent lines of the log, from the attribute ``recent`` of an earlier scorer.

        Raises:
            ModelFolderError: A file of the folder cannot be read or written.
        """
        check_type(PATH, folder=folder)
        check_bytes(recent=recent)
        self._scale = make_rarity_scale(folder)
        self.knows_rarity = self._scale is not None
        self._engine = open_engine(find_folder(folder), fast=False)
        self._session = self._engine.start_session(1)
        self._next: Session | None = None
        self._num_read = self._num_read_by_next = 0
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self.num_lines = 0
        self._read(recent)
        self._remember(split_lines(recent))

    @property
    def recent(self) -> bytes:
        """The last lines, at most 1 MiB: with them, a new scorer continues with what this one has learned."""
        return b"".join(self._recent)

    def score(self, lines: Sequence[bytes]) -> list[ScoredLine]:
        """Scores the next lines in their order.

        Args:
            lines: Lines with their line feeds. Together, they are scored faster than one by one, with the same results.
        """
        for number, line in enumerate(lines):
            check_type(bytes, **{f"lines[{number}]": line})
        costs = self._read(b"".join(lines))
        self._remember(lines)
        ends = np.cumsum([0, *map(len, lines)]).tolist()
        return [
            self._describe(line, *(array[start:end] for array in costs))
            for line, start, end in zip(lines, ends, ends[1:], strict=False)
        ]

    def _describe(self, line: bytes, bits: NDArray[np.float32], expected_bits: NDArray[np.float32]) -> ScoredLine:
        self.num_lines += 1
        excess = bits - expected_bits
        surprisal = Surprisal(
            self.num_lines,
            line.decode("utf-8", "backslashreplace"),
            len(line),
            float(bits.sum(dtype=np.float64)) * math.log(2),
            bits_per_word=mean_bits_per_word(line, bits),
            unexpected_bits=math.sqrt(square_unexpected_bits(excess).sum()),
        )
        if self._scale is not None:
            surprisal = replace(surprisal, rarity=self._scale.compute_rarity(surprisal))
        return ScoredLine(surprisal, line, excess)

    def _read(self, data: bytes) -> CodingCosts:
        """Returns the costs of each byte, and adapts to the data."""
        found = [CodingCosts(*np.zeros((2, 0), np.float32))]
        for start in range(0, len(data), _MAX_BLOCK):
            block = data[start : start + _MAX_BLOCK]
            found.append(CodingCosts.from_bytes(self._session.measure(block)))
            self._num_read += len(block)
            self._renew(block)
        return CodingCosts(*map(np.concatenate, zip(*found, strict=True)))

    def _renew(self, block: bytes) -> None:
        """Replaces the session before its capacity is used up, by one that has read the last MiB."""
        if self._next is None and self._num_read > MAX_SEGMENT - MAX_RECENT - 2 * _MAX_BLOCK:
            self._next, self._num_read_by_next = self._engine.start_session(1), 0
        if self._next is not None:
            # Both read the same for a while: to read the last MiB at once would stop the output for seconds.
            self._next.measure(block)
            self._num_read_by_next += len(block)
            if self._num_read_by_next > MAX_RECENT:
                self._session, self._num_read, self._next = self._next, self._num_read_by_next, None

    def _remember(self, lines: Sequence[bytes]) -> None:
        self._recent.extend(lines)
        self._recent_bytes += sum(map(len, lines))
        while self._recent_bytes > MAX_RECENT:
            self._recent_bytes -= len(self._recent.popleft())


class RepeatFilter:
    """Distinguishes new messages from repetitions, so that each is reported once.

    Messages come from ``ScoredLine.find_messages``. Of all reported messages, the last 10,000 are known.

    Attributes:
        reported: Highest score by message, the most recent last.
    """

    def __init__(self, reported: Mapping[bytes, float] | None = None) -> None:
        """Initializes the filter, with the attribute ``reported`` of an earlier one if it is given."""
        self.reported: OrderedDict[bytes, float] = OrderedDict(reported or {})

    def is_new(self, messages: Sequence[bytes], score: float) -> bool:
        """Returns True if the first message of a line was not reported before, or with lower scores only."""
        return score > self.reported.get(messages[0], -math.inf)

    def add(self, messages: Sequence[bytes], score: float) -> None:
        """Records that a line was reported, with all its messages.

        What the predictor learns from it may leave any of its places as the most surprising one of a repetition.
        """
        for message in messages:
            self.reported[message] = max(self.reported.pop(message, -math.inf), score)
        while len(self.reported) > _MAX_MESSAGES:
            self.reported.popitem(last=False)
