"""Checks of arguments where they enter the library. Numbers are checked by ``settings.limits``."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from charloom.errors import InputError

_WORDS = {
    str: "a str",
    bytes: "bytes",
    os.PathLike: "a path",
    Sequence: "a list",
    Mapping: "a dictionary",
    Callable: "a function",
}
PATH = (str, os.PathLike)
TEXT = (str, bytes)


def check_type(kinds: Any, **arguments: object) -> None:
    """Raises InputError for an argument that is of none of the kinds, which are as for ``isinstance``.

    A str is no list here: its characters would pass for the list's elements. A path is text, not bytes.
    """
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    for name, value in arguments.items():
        others = tuple(kind for kind in kinds if kind not in (Sequence, Iterable))
        lists_only = str not in kinds and isinstance(value, TEXT) and not isinstance(value, others)
        of_bytes = os.PathLike in kinds and isinstance(value, os.PathLike) and not isinstance(value.__fspath__(), str)
        if not isinstance(value, kinds) or lists_only or of_bytes:
            words = [_WORDS.get(kind, f"a {kind.__name__}") for kind in kinds if kind is not type(None)]
            raise InputError(f"is of type {type(value).__name__}: it must be {' or '.join(words)}", setting=name)


def check_listeners(listeners: Sequence[object]) -> None:
    """Raises InputError unless these can be called, one after the other."""
    check_type(Sequence, listeners=listeners)
    for listener in listeners:
        check_type(Callable, listener=listener)


def check_bytes(**arguments: object) -> None:
    """Raises InputError for an argument that is not like bytes."""
    check_type((bytes, bytearray, memoryview), **arguments)


def check_stream(method: str, **arguments: object) -> None:
    """Raises InputError for an argument that lacks a file's method, ``read`` or ``write``."""
    for name, value in arguments.items():
        if not callable(getattr(value, method, None)):
            raise InputError(f"is of type {type(value).__name__}: it must be a binary file to {method}", setting=name)
