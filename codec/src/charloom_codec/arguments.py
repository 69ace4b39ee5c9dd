"""Type checks of arguments at the boundary of the library. ``settings.limits`` checks numbers."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from charloom_codec.errors import InputError

_TYPE_NAMES = {
    str: "a str",
    Iterable: "an iterable",
    bytes: "bytes",
    os.PathLike: "a path",
    Sequence: "a list",
    Mapping: "a dictionary",
    Callable: "a function",
}
PATH = (str, os.PathLike)
TEXT = (str, bytes)


def check_type(kinds: Any, **arguments: object) -> None:
    """Raises InputError for an argument that is not an instance of one of the types.

    A ``PathLike`` must represent a str, not bytes. A str or bytes is not accepted as a Sequence or an Iterable.

    Args:
        kinds: A type or a tuple of types, as for ``isinstance``.
        arguments: Values by argument name.
    """
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    for name, value in arguments.items():
        # A str is a Sequence whose characters would be taken for the elements of the list.
        allowed = tuple(k for k in kinds if k not in (Sequence, Iterable)) if isinstance(value, TEXT) else kinds
        # An os.PathLike may yield bytes, which pathlib refuses with an obscure TypeError.
        of_bytes = os.PathLike in kinds and isinstance(value, os.PathLike) and not isinstance(value.__fspath__(), str)
        if not isinstance(value, allowed) or of_bytes:
            # NoneType only makes an argument optional: the message names what to give.
            words = [_TYPE_NAMES.get(kind, f"a {kind.__name__}") for kind in kinds if kind is not type(None)]
            allowed_types = " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
            raise InputError(f"is of type {type(value).__name__}: it must be {allowed_types}", setting=name)


def check_listeners(listeners: Sequence[object]) -> None:
    """Raises InputError unless the argument is a list of callables."""
    check_type(Sequence, listeners=listeners)
    for listener in listeners:
        check_type(Callable, listener=listener)


def check_bytes(**arguments: object) -> None:
    """Raises InputError for an argument that is not bytes, a bytearray or a memoryview."""
    check_type((bytes, bytearray, memoryview), **arguments)


def check_stream(method: str, **arguments: object) -> None:
    """Raises InputError for an argument without a file's method, ``read`` or ``write``."""
    for name, value in arguments.items():
        # Files have no common base class, so any object that has the method is accepted.
        if not callable(getattr(value, method, None)):
            raise InputError(
                f"is of type {type(value).__name__}: it must be a binary file with a {method} method", setting=name
            )
