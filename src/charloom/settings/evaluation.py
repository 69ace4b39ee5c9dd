"""How a text is evaluated."""

from typing import Literal, TypeAlias

LineOrder: TypeAlias = Literal["bits", "bits-per-char"]
"""What the lines of a text are sorted by, the most surprising first: their bits, or their bits per character."""
