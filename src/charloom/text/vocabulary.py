"""The vocabulary of a model, which encodes texts as token ids and decodes ids."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import Argument, InputError, SettingsError, UnknownCharacterError
from charloom.settings.corpus import Unit, UnknownPolicy
from charloom.settings.limits import check_choice
from charloom.shapes import TextIds
from charloom.text.clean_up import CleanUp
from charloom_codec.arguments import TEXT, check_type

UNKNOWN = "<unk>"


class Vocabulary:
    """The tokens of a model: ``<unk>`` first, then characters; or the 256 byte values.

    ``of_text`` orders the characters as Dive into Deep Learning does: by decreasing frequency, ties in code point
    order. In a vocabulary of bytes (``Vocabulary()``), each byte is its own id, so that none is out of vocabulary.

    ``encode`` applies the normalization of the training text, so that a model of lowercase text can be prompted with,
    and evaluated on, any text.

    Attributes:
        clean_up: Normalization applied before encoding.
        unit: Unit of a token, ``"char"`` or ``"byte"``.
        tokens: Tokens by id, str or bytes.
    """

    def __init__(self, characters: Sequence[str] | None = None, *, clean_up: CleanUp | None = None) -> None:
        """Creates a vocabulary of ``<unk>`` and the given characters, in this order, or of bytes.

        Args:
            characters: Distinct single characters, which get the ids from 1; None for a vocabulary of bytes.
            clean_up: Normalization applied before encoding. Default: none.

        Raises InputError if an item is not a single character, or is repeated.
        """
        check_type((CleanUp, NoneType), clean_up=clean_up)
        self.clean_up = clean_up or CleanUp()
        self.unit: Unit = "byte" if characters is None else "char"
        self.tokens: tuple[str, ...] | tuple[bytes, ...]
        if characters is None:
            self.tokens = tuple(bytes([value]) for value in range(256))
            return
        if not isinstance(characters, Sequence) or not all(isinstance(c, str) and len(c) == 1 for c in characters):
            raise InputError(
                "a vocabulary consists of distinct single characters: pass a list of str, or None for bytes"
            )
        if len(set(characters)) != len(characters):
            raise InputError("a vocabulary consists of distinct single characters, but one appears twice")
        self.tokens = (UNKNOWN, *characters)
        # Codes by id; -1 for <unk> is no character's code. Sorted for the binary search in encode.
        self._codes = np.append(-1, get_code_points("".join(characters)))
        self._sorted_ids = np.argsort(self._codes)
        self._sorted_codes = self._codes[self._sorted_ids]

    @classmethod
    def of_text(cls, text: str, clean_up: CleanUp | None = None) -> "Vocabulary":
        """Creates the vocabulary of a text that is already normalized."""
        check_type(str, text=text)
        return cls.of_counts(Counter(text), clean_up)

    @classmethod
    def of_counts(cls, counts: Mapping[str, int], clean_up: CleanUp | None = None) -> "Vocabulary":
        """Creates the vocabulary of a text from the number of occurrences of each character.

        A character whose count is 0 is included.

        Raises:
            SettingsError: A count is not an int of at least 0.
            InputError: A key is not a single character.
        """
        check_type(Mapping, counts=counts)
        for character, count in counts.items():
            check_type(str, character=character)
            # bool is a subclass of int.
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise SettingsError(
                    f"must map each character to an integer of at least 0; the count of {character!r:.20} is not one",
                    setting="counts",
                )
        # Ties are sorted by character, so that ids do not depend on the order of ``counts``.
        by_frequency = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls([character for character, _ in by_frequency], clean_up=clean_up)

    def extended(self, characters: Iterable[str]) -> "Vocabulary":
        """Returns a vocabulary with additional characters, whose ids follow the existing ones.

        Characters that the vocabulary already has are ignored; one that is repeated among the new ones raises
        InputError. A vocabulary of bytes, which has all bytes, is returned unchanged.
        """
        if self.unit == "byte":
            return self
        check_type((str, Iterable), characters=characters)
        characters = list(characters)
        for character in characters:
            check_type(str, character=character)
        # A dictionary is an ordered set; <unk> is omitted because the constructor adds it.
        known = dict.fromkeys(map(str, self.tokens[1:]))
        return Vocabulary([*known, *(c for c in characters if c not in known)], clean_up=self.clean_up)

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        # Without the normalization, which __eq__ compares: equal vocabularies still have equal hashes.
        return hash(self.tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, unit={self.unit!r})"

    @property
    def unknown_id(self) -> int | None:
        """Id of ``<unk>``, which models never generate; None for bytes."""
        return 0 if self.unit == "char" else None

    def encode(self, text: str | bytes, unknown: UnknownPolicy = "refuse") -> TextIds:
        """Returns the token ids of a text after normalization, int64 of shape (number of tokens,).

        Args:
            text: Text to encode. If the unit is the byte, it may be bytes; a str is then encoded as UTF-8.
            unknown: Treatment of characters that are out of vocabulary: ``"refuse"`` raises an error, ``"unk"`` encodes
                them as ``<unk>``, ``"skip"`` omits them.

        Raises UnknownCharacterError, which names the first few characters that are out of vocabulary.
        """
        check_choice("unknown", unknown, UnknownPolicy)
        units = self.in_units(text)
        if isinstance(units, bytes):
            return torch.from_numpy(np.frombuffer(self.clean_up(units), np.uint8).astype(np.int64))
        normalized = self.clean_up(units)
        codes = get_code_points(normalized)
        # A binary search takes memory for the vocabulary only, not for a table of all code points.
        places = np.searchsorted(self._sorted_codes, codes).clip(max=len(self._sorted_codes) - 1)
        # The search also returns a place for a code that is not there, hence the comparison.
        ids = np.where(self._sorted_codes[places] == codes, self._sorted_ids[places], 0)
        return torch.from_numpy(self._ids_with_policy(normalized, ids, unknown))

    def find_unknown(self, text: str | bytes) -> list[str]:
        """Returns the distinct characters of a text, after normalization, that are out of vocabulary, in its order."""
        if self.unit == "byte":
            return []
        lacking = np.flatnonzero(self.encode(text, "unk").numpy() == self.unknown_id)
        normalized = str(self.clean_up(self.in_units(text)))
        return list(dict.fromkeys(normalized[place] for place in lacking.tolist()))

    def in_units(self, text: str | bytes) -> str | bytes:
        """Returns the text in the vocabulary's unit: str for characters; bytes for bytes, with str encoded as UTF-8.

        Raises InputError for bytes if the unit is the character, and UnknownCharacterError for a str that is not
        Unicode text if the unit is the byte.
        """
        check_type(TEXT, text=text)
        if self.unit == "char":
            if isinstance(text, bytes):
                raise InputError("this is a vocabulary of characters: pass a str, not bytes")
            return text
        try:
            # surrogateescape: Python decodes bytes of a command line that are not UTF-8 as lone surrogates.
            return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise UnknownCharacterError(
                f"not valid Unicode: {text[error.start]!a} (at position {error.start})"
            ) from None

    def _ids_with_policy(self, text: str, ids: NDArray[np.int64], unknown: UnknownPolicy) -> NDArray[np.int64]:
        """Applies the policy to ids, which are 0 for characters that are out of vocabulary."""
        lacking = np.flatnonzero(ids == 0)
        if len(lacking) and unknown == "refuse":
            first_places: dict[str, int] = {}
            for place in lacking.tolist():
                first_places.setdefault(text[place], place)
            named = ", ".join(describe_character(ch, place) for ch, place in list(first_places.items())[:5])
            more = f" and {len(first_places) - 5} more" if len(first_places) > 5 else ""
            raise UnknownCharacterError(
                f"not in the model's vocabulary: {named}{more}",
                hint=(
                    *("pass ", Argument("unknown", "unk"), " to read such characters as <unk>, or "),
                    *(Argument("unknown", "skip"), " to skip them"),
                ),
            )
        # No character has id 0, so only unknown ones are removed.
        return ids[ids != 0] if unknown == "skip" else ids

    def decode(self, ids: TextIds | Iterable[int]) -> str | bytes:
        """Returns the text of token ids: str for characters, with ``<unk>`` for id 0; bytes for bytes.

        Raises InputError if the ids are not a 1-D sequence of ints from 0 to the size of the vocabulary minus 1.
        """
        try:
            array = ids.numpy(force=True) if isinstance(ids, torch.Tensor) else np.asarray(list(ids))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"must be a 1-D sequence of integers ({error!s:.100})", setting="ids") from None
        if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
            raise InputError(f"must be a 1-D sequence of integers, not {array.dtype} {array.shape}", setting="ids")
        if len(array) and not (array.min() >= 0 and array.max() < len(self)):
            wrong = next(number for number in array.tolist() if not 0 <= number < len(self))
            raise InputError(f"contain {wrong}: the ids of this vocabulary are 0 to {len(self) - 1}", setting="ids")
        if self.unit == "byte":
            return bytes(array.astype(np.uint8))
        # <unk> is five characters: it has no code and needs the slower join of tokens.
        if not len(array) or array.min() == 0:
            return "".join(map(self.tokens.__getitem__, array.tolist()))  # type: ignore[arg-type] # str tokens here
        # Takes a tenth of the time of the join for a long text.
        return bytes(self._codes.take(array).astype("<u4")).decode("utf-32-le", "surrogatepass")

    def to_json(self) -> dict[str, Any]:
        """Returns the data from which ``from_json`` restores the vocabulary."""
        characters = None if self.unit == "byte" else list(self.tokens[1:])
        return {"unit": self.unit, "characters": characters, "clean_up": vars(self.clean_up)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Vocabulary":
        """Restores a vocabulary from ``to_json`` data. Raises KeyError, TypeError or ValueError for anything else."""
        characters = data["characters"]
        if data["unit"] != ("byte" if characters is None else "char"):
            raise ValueError("unit and characters contradict each other")
        return cls(characters, clean_up=CleanUp(**data["clean_up"]))


def get_code_points(text: str) -> NDArray[np.int64]:
    """Returns the code point of each character, int64."""
    # surrogatepass: bytes of a command line that are not UTF-8 are lone surrogates in a str, out of vocabulary.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)


def describe_character(character: str, position: int | None = None) -> str:
    """Returns the character in quotes, with its code point if it is not ASCII, as not every terminal can show it.

    The position is added if it is not None.
    """
    details = [] if character.isascii() else [f"U+{ord(character):04X}"]
    details += [] if position is None else [f"position {position}"]
    return f"{character!r} ({', '.join(details)})" if details else repr(character)
