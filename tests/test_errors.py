"""Messages in parts: texts are kept, arguments are formatted, any value is shown in one line."""

import copy
import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom.errors import (
    Argument,
    CharloomError,
    CharloomWarning,
    Part,
    SettingsError,
    as_keyword,
    format_parts,
    join_with_commas,
    pluralize,
)
from charloom.settings import CorpusSettings, ModelSettings, TrainingSettings
from charloom.settings.recipes import as_key
from charloom_codec.cli import screen

_SETTINGS = sorted(field.name for group in (CorpusSettings, ModelSettings, TrainingSettings) for field in fields(group))

_texts = st.text(max_size=20) | st.sampled_from([f"{name}=3" for name in _SETTINGS] + _SETTINGS + ["{}", "%s", "--x"])
_arguments = st.builds(Argument, st.sampled_from(_SETTINGS), st.just(...) | st.booleans() | st.integers() | _texts)
_parts = st.lists(_texts | _arguments, max_size=5)


@given(_parts, st.none() | st.sampled_from(_SETTINGS), st.just(...) | st.integers(), _parts)
def test_texts_are_kept_and_arguments_are_formatted(
    message: list[Any], setting: str | None, value: Any, hint: list[Any]
) -> None:
    error = SettingsError(*message, setting=setting, value=value, hint=hint)
    for wording in (as_keyword, screen.as_option, as_key):
        expected = "".join(part if isinstance(part, str) else wording(part) for part in message)
        if setting is not None:
            name = wording(Argument(setting))
            expected = f"{name} {expected}" if value is ... else f"{name} is {value}: {expected}"
        if hint:
            expected += "; " + "".join(part if isinstance(part, str) else wording(part) for part in hint)
        assert format_parts(error.parts, wording) == expected
    assert str(error) == format_parts(error.parts, as_keyword)
    assert str(CharloomError("a: ", *error.parts)) == f"a: {error}"
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(other), other.setting, other.hint) == (str(error), error.setting, error.hint)


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@given(st.recursive(st.integers(min_value=10**4300) | st.text() | st.builds(_Unprintable), lambda x: st.lists(x)))
def test_any_value_is_shown_in_one_line(value: object) -> None:
    for text in (str(SettingsError("no", setting="stop", value=value)), as_keyword(Argument("stop", value))):
        assert len(text) < 300
        assert len(text.splitlines()) == 1
    array = SettingsError("no", setting="prefix", value=np.ones((3, 2)))
    assert str(array) == "prefix is array([[1., 1.], [1., 1.], [1., 1.]]): no"


def test_a_very_large_value_is_shortened() -> None:
    with pytest.raises(SettingsError, match="epochs is a value of type int that cannot be shown: it must be"):
        TrainingSettings(epochs=10**5000)


def test_warnings_have_fields_too(recwarn: pytest.WarningsRecorder) -> None:
    warning = CharloomWarning("risen: ", Argument("patience", 5), " stops in time")
    assert str(warning) == "risen: patience=5 stops in time"
    assert not recwarn.list


def test_singular_and_plural() -> None:
    assert [pluralize(number, "point") for number in (0, 1, 2, 12_600)] == [
        "0 points",
        "1 point",
        "2 points",
        "12,600 points",
    ]


def test_commas_separate_the_parts() -> None:
    parts: list[Part] = ["a", Argument("unit"), "b"]
    for number in range(4):
        expected = ", ".join(part if isinstance(part, str) else part.name for part in parts[:number])
        assert format_parts(join_with_commas(parts[:number]), as_keyword) == expected


def test_a_value_is_cut_at_two_hundred_characters() -> None:
    for length in (198, 199):  # 200 with the quotes, and one more
        shown = as_keyword(Argument("unit", "x" * length))
        assert shown == (f"unit='{'x' * 198}'" if length == 198 else f"unit='{'x' * 199}...")
