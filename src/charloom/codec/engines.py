"""From a model to its engine."""

from pathlib import Path
from typing import TYPE_CHECKING

from charloom.codec.engine import Engine
from charloom.errors import CharloomError

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel


def open_engine(model: "str | Path | LanguageModel", *, fast: bool) -> Engine:
    """The engine of a model's folder, or of a model in memory: the network alone (``fast``), or mixing."""
    raise CharloomError(f"{model}: engines for compression are not built yet (fast: {fast})")
