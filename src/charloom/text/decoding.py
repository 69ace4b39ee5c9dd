"""UTF-8 to text, piece by piece, with errors that name the place in the whole."""

import codecs
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from charloom.errors import Argument, CorpusError
from charloom.text.file_kinds import HEAD_BYTES, kind_of

BYTES_INSTEAD = (Argument("unit", "byte"), " takes any file")
_OTHER_MODEL = ("the model reads characters; one trained with ", *BYTES_INSTEAD)
_BYTE_ORDER_MARK = "\ufeff"


def decoded(pieces: Iterable[bytes], name: str) -> Iterator[str]:
    """The text of a file that comes in pieces, a leading byte order mark left out.

    Raises CorpusError for what is not text. It names the kind of file if that is known (``kind_of``), else the place of
    the first byte that is not UTF-8, else that of the first NUL character.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    bytes_before, lines_before, chars_before = 0, 1, 0
    nul: int | None = None
    kind: str | None = None
    for data, final in itertools.chain(((piece, False) for piece in pieces), [(b"", True)]):
        if not bytes_before:
            kind = kind_of(data[:HEAD_BYTES])
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data, final)
        except UnicodeDecodeError as error:
            # What it failed on is the bytes that it had kept and the new ones.
            whole, at = error.object, error.start
            line = lines_before + whole.count(b"\n", 0, at)
            wrong = f"not UTF-8 at byte {bytes_before - pending + at} (0x{whole[at]:02x}, line {line})"
            raise CorpusError(f"{name}: {kind or wrong}", hint=BYTES_INSTEAD) from None
        if nul is None and (place := text.find("\0")) >= 0:
            nul = chars_before + place  # read on: of a file that is not even UTF-8, that is what is said
        if nul is None and (shown := text if chars_before else text.removeprefix(_BYTE_ORDER_MARK)):
            yield shown
        bytes_before += len(data)
        lines_before += data.count(b"\n")
        chars_before += len(text)
    if nul is not None:
        raise CorpusError(f"{name}: {kind or f'looks binary (a NUL character at {nul})'}", hint=BYTES_INSTEAD)


@contextmanager
def for_a_model_of_characters() -> Iterator[None]:
    """Gives errors within the hint for a text that a trained model reads: its unit can no longer be chosen."""
    try:
        yield
    except CorpusError as error:
        if error.hint == BYTES_INSTEAD:
            error.hint = _OTHER_MODEL
        raise
