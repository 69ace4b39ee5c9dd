"""Arguments of a wrong type are refused by name."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from charloom import InputError
from charloom_codec.arguments import PATH, TEXT, check_bytes, check_listeners, check_stream, check_type


class _BytesPath:
    def __fspath__(self) -> bytes:
        return b"x"


@pytest.mark.parametrize(
    ("kinds", "right", "wrong", "message"),
    [
        (str, "a", b"a", "seen is of type bytes: it must be a str"),
        (PATH, Path("a"), 3, "seen is of type int: it must be a str or a path"),
        (PATH, "a", b"a", "seen is of type bytes"),
        (PATH, "a", _BytesPath(), "seen is of type _BytesPath: it must be a str or a path"),
        (TEXT, b"a", ["a"], "seen is of type list: it must be a str or bytes"),
        (Sequence, ("a",), "a", "seen is of type str: it must be a list"),
        (Sequence, [], b"a", "seen is of type bytes: it must be a list"),
        ((str, Sequence), "a", 1, "seen is of type int: it must be a str or a list"),
        ((str, Sequence), [], b"a", "seen is of type bytes: it must be a str or a list"),
        ((Mapping, type(None)), None, [], "seen is of type list: it must be a dictionary"),
        (Callable, print, "print", "seen is of type str: it must be a function"),
        (bool, True, 1, "seen is of type int: it must be a bool"),
    ],
)
def test_types_and_their_refusals(kinds: Any, right: object, wrong: object, message: str) -> None:
    check_type(kinds, first=right, seen=right)
    with pytest.raises(InputError) as caught:
        check_type(kinds, first=right, seen=wrong)
    assert str(caught.value).startswith(message)
    assert caught.value.setting == "seen"


def test_bytes_are_any_bytes_like_object() -> None:
    check_bytes(a=b"", b=bytearray(), c=memoryview(b""))
    with pytest.raises(InputError, match="data is of type str: it must be bytes, a bytearray or a memoryview"):
        check_bytes(data="a")


def test_listeners_are_functions_in_a_list() -> None:
    check_listeners([print, len])
    for wrong, name in ((print, "listeners"), ("ab", "listeners"), ([print, 3], "listener")):
        with pytest.raises(InputError, match=f"^{name} is of type"):
            check_listeners(wrong)  # type: ignore[arg-type]


def test_a_stream_has_the_method() -> None:
    check_stream("read", source=io.BytesIO())
    for wrong in (b"a", None, object()):
        with pytest.raises(
            InputError, match=f"source is of type {type(wrong).__name__}: it must be a binary file with a r"
        ):
            check_stream("read", source=wrong)
