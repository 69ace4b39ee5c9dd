"""The surprisal of a text and of its parts: results of evaluations.

The surprisal of a character is minus the logarithm of the probability that a model assigns to it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from charloom.inference import surprisal_markup
from charloom.io.frames import make_frame
from charloom.io.markup import join

if TYPE_CHECKING:
    from pandas import DataFrame


UNEXPECTED_BITS = 6.0
"""Minimum bits of an unexpected character beyond the entropies of its decisions. Values that differ from line to line
are as unlikely as expected: a hexadecimal digit takes 4 bits, and about 4 were expected."""
_TOLERATED_BITS = 2.0
"""Bits beyond the expected ones that have no effect on the unexpected bits of a line: most characters have fewer."""


def square_unexpected_bits(excess_bits: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the terms whose sum is the square of a line's ``unexpected_bits``.

    Args:
        excess_bits: Bits of each unit beyond those that were expected.
    """
    return np.square(np.maximum(excess_bits.astype(np.float64) - _TOLERATED_BITS, 0.0))


def perplexity_of(mean_nats: float) -> float:
    """Returns the perplexity, exp of a mean surprisal in nats; infinite from 700 nats on, and for NaN."""
    # math.exp raises OverflowError above 709.
    return math.exp(mean_nats) if mean_nats < 700 else math.inf


@dataclass(frozen=True)
class Evaluation:
    """The surprisal of a text under a model.

    Attributes:
        num_chars: Number of characters (bytes, for a byte model) of the normalized text that were scored: all except
            the first and those omitted. If adaptive: length of the text, which is not normalized.
        num_bytes: Length of these characters in UTF-8, in bytes; of those read as ``<unk>``, their own length.
        total_nats: Sum of their surprisals in nats.
        num_unknown: Number of scored tokens that are out of vocabulary and read as ``<unk>``.
    """

    num_chars: int
    num_bytes: int
    total_nats: float
    num_unknown: int = 0

    @property
    def nats_per_char(self) -> float:
        """Mean surprisal in nats: the cross-entropy."""
        return self.total_nats / self.num_chars

    @property
    def bits_per_char(self) -> float:
        """Mean surprisal in bits."""
        return self.nats_per_char / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Bits for each byte of the scored text in UTF-8."""
        return self.total_nats / math.log(2) / self.num_bytes

    @property
    def perplexity(self) -> float:
        """exp(nats_per_char): 1 if all predictions are certain and correct, the vocabulary size if all are uniform."""
        return perplexity_of(self.nats_per_char)

    def _repr_html_(self) -> str:
        return join(surprisal_markup.make_figures(self))


@dataclass(frozen=True)
class Surprisal:
    r"""A chunk of a text and its surprisal.

    Attributes:
        number: Number of the chunk in the text, from 1.
        text: The chunk before normalization; bytes that are not UTF-8 as ``\xff``.
        num_chars: Number of its scored characters, counted as in ``Evaluation``; it may differ from ``len(text)``.
        nats: Sum of their surprisals in nats.
        num_unknown: Number of scored tokens that are out of vocabulary and read as ``<unk>``.
        bits_per_word: Mean surprisal in bits of the words without digits, from ``evaluate_lines``; 0 if there are none.
            Times, counters and addresses, which differ from line to line, have no effect on it.
        rarity: Minus the decimal logarithm of the probability that a line of the kind that the model knows is as
            unusual, from an adaptive or independent ``evaluate_lines`` with a model folder: 3 for one line in 1,000.
            None if it was not measured.
        unexpected_bits: Root of the sum of squares of the bits of each byte beyond 2 more than were expected at its
            place, from an adaptive or independent ``evaluate_lines``. Values that are hard to predict have little
            effect on it, however many there are; a single character that is unlikely at its place has much. None if it
            was not measured.
    """

    number: int
    text: str
    num_chars: int
    nats: float
    num_unknown: int = 0
    bits_per_word: float = 0.0
    rarity: float | None = None
    unexpected_bits: float | None = None

    @property
    def bits(self) -> float:
        """Sum of the scored tokens' surprisals in bits."""
        return self.nats / math.log(2)

    @property
    def bits_per_char(self) -> float:
        """Mean surprisal in bits; 0 if nothing was scored."""
        return self.bits / self.num_chars if self.num_chars else 0.0


class Surprisals(list[Surprisal]):
    """The list of the chunks of a text. A notebook shows it as text that is shaded by surprisal.

    Chunks that are not consecutive, such as the most surprising lines, are shown as a table.
    """

    @overload
    def __getitem__(self, index: SupportsIndex) -> Surprisal: ...
    @overload
    def __getitem__(self, index: slice) -> "Surprisals": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "Surprisal | Surprisals":
        found = super().__getitem__(index)
        return Surprisals(found) if isinstance(found, list) else found

    def to_frame(self) -> "DataFrame":
        """Returns a pandas DataFrame with a row for each chunk: its figures in bits, and its text.

        Raises:
            CharloomError: pandas is not installed.
        """
        scores = ("bits", "bits_per_char", "bits_per_word", "unexpected_bits", "rarity")
        names = ("number", "num_chars", "num_unknown", *scores, "text")
        columns = {name: [getattr(one, name) for one in self] for name in names}
        # A column of None would have the type of arbitrary objects.
        for name in ("unexpected_bits", "rarity"):
            columns[name] = [math.nan if value is None else value for value in columns[name]]
        return make_frame(columns)

    def _repr_html_(self) -> str:
        return join(surprisal_markup.make_text(self))


class EvaluatedText(NamedTuple):
    """The evaluation of a text, and the surprisals of its chunks: the pair that ``evaluate_lines`` returns.

    Attributes:
        evaluation: Evaluation of the whole text.
        surprisals: Its chunks, or the lines that were asked for.
    """

    evaluation: Evaluation
    surprisals: Surprisals

    def _repr_html_(self) -> str:
        return join(surprisal_markup.make_figures(self.evaluation), surprisal_markup.make_text(self.surprisals))


Progress: TypeAlias = Callable[[int, int], None]
"""A callback for the number of tokens (bytes, if adaptive) that have been scored, and the number of all to score."""


@dataclass(frozen=True)
class ScoredChunks:
    """The surprisal of every unit of a text that was passed in chunks.

    Attributes:
        evaluation: Evaluation of the whole text.
        chunks: The chunks before normalization.
        units: The chunks whose units were scored: normalized, or encoded as bytes.
        num_chars: Number of scored characters of each chunk.
        num_unknown: Number of scored tokens of each chunk that are out of vocabulary.
        unit_nats: Surprisals of all units; 0 for those that were not scored.
        expected_nats: Surprisals of all units that were expected before they were known; None if not measured.
    """

    evaluation: Evaluation
    chunks: Sequence[str | bytes]
    units: Sequence[str | bytes]
    num_chars: Sequence[int]
    num_unknown: Sequence[int]
    unit_nats: NDArray[np.float64]
    expected_nats: NDArray[np.float64] | None = None

    def get_surprisals(self) -> Surprisals:
        """Returns the surprisal of each chunk."""
        columns = zip(self.chunks, self.num_chars, self.add_up(self.unit_nats), self.num_unknown, strict=True)
        return Surprisals(
            Surprisal(
                number,
                chunk.decode("utf-8", "backslashreplace") if isinstance(chunk, bytes) else chunk,
                num_chars,
                nats,
                num_unknown,
            )
            for number, (chunk, num_chars, nats, num_unknown) in enumerate(columns, 1)
        )

    def add_up(self, values: NDArray[np.float64]) -> list[float]:
        """Returns the sum of values of the units over each chunk. Chunks with the same values have the same sum."""
        ends = self.get_ends()
        starts, sums = ends[:-1], np.zeros(len(ends) - 1)
        # Not differences of running sums, whose rounding depends on what precedes a chunk: lines with the same text
        # would be in any order. One call, as a slice for each of a million one-character chunks would take minutes.
        # reduceat returns a value for a chunk without units, too.
        is_filled = starts < ends[1:]
        if is_filled.any():
            sums[is_filled] = np.add.reduceat(values, starts[is_filled])
        found: list[float] = sums.tolist()
        return found

    def get_ends(self) -> NDArray[np.int64]:
        """Returns the positions in the joined units at which the chunks end, after a 0."""
        return np.cumsum([0, *map(len, self.units)])
