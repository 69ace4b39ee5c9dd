"""Engines of the models of the package, each opened once for all tests: their priming takes seconds."""

import functools
from pathlib import Path
from typing import Any

from charloom_codec import named_models
from charloom_codec.engines.engine import Engine
from charloom_codec.format import opening

_FOLDER = Path(named_models.__file__).parent
_open = opening.open_engine
_open_once = functools.cache(_open)


def open_engine(model: Any, **options: Any) -> Engine:
    """Does ``opening.open_engine``, and keeps an engine of the package: its files do not change."""
    is_of_package = isinstance(model, Path) and model.is_relative_to(_FOLDER)
    return (_open_once if is_of_package else _open)(model, **options)
