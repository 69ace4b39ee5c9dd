"""Texts at which generation stops, found while the text is generated in chunks."""

from collections.abc import Sequence
from typing import Generic, TypeVar

Text = TypeVar("Text", str, bytes)


class StopTexts(Generic[Text]):
    """Cuts a text before the one of several texts that is complete first, in any division into chunks.

    Attributes:
        found: True after a stop text has occurred: nothing more is passed on.
    """

    def __init__(self, stops: Sequence[Text]) -> None:
        """Initializes the search; ``stops`` are not empty texts."""
        self.found = False
        self._stops: Sequence[Text] = stops
        self._held: Text | None = None

    def feed(self, chunk: Text) -> Text:
        """Returns the text that may be passed on after a chunk: what may be the start of a stop text is held back."""
        text = chunk if self._held is None else self._held + chunk
        # The first that ends, not the first that starts: generation stops as soon as one is complete.
        ends = [(place + len(stop), place) for stop in self._stops if (place := text.find(stop)) >= 0]
        if self.found or ends:
            passed = text[: 0 if self.found else min(ends)[1]]
            self.found, self._held = True, None
            return passed
        end = len(text) - max((_match_length(text, stop) for stop in self._stops), default=0)
        self._held = text[end:]
        return text[:end]

    def finish(self) -> Text | None:
        """Returns the text that is still held back, after the last chunk; None if there is none."""
        held, self._held = self._held, None
        return held or None


def _match_length(text: Text, stop: Text) -> int:
    """Returns the length of the longest start of ``stop``, but not all of it, at the end of the text."""
    sizes = range(min(len(stop) - 1, len(text)), -1, -1)
    return next(size for size in sizes if text.endswith(stop[:size]))
