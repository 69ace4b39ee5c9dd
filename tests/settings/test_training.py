from typing import Any

import pytest

from charloom import SettingsError, TrainingSettings


def test_prefixes_may_be_any_sequence_of_strings() -> None:
    prefixes: Any = ["a", "b c"]
    settings = TrainingSettings(prefix=prefixes)
    assert settings.prefix == ("a", "b c")
    assert settings == TrainingSettings(prefix=("a", "b c"))
    assert hash(settings) == hash(TrainingSettings(prefix=("a", "b c")))


@pytest.mark.parametrize("prefixes", [[""], ("a", "")])
def test_an_empty_prefix(prefixes: Any) -> None:
    message = "^prefix must not contain an empty string: pass at least one character, or omit this setting$"
    with pytest.raises(SettingsError, match=message):
        TrainingSettings(prefix=prefixes)


@pytest.mark.parametrize("prefixes", ["fox", [1], ["", 1]])
def test_prefixes_of_the_wrong_type(prefixes: Any) -> None:
    with pytest.raises(SettingsError, match="it must be a list of non-empty strings"):
        TrainingSettings(prefix=prefixes)


def test_gradients_may_be_accumulated_over_minibatches() -> None:
    assert TrainingSettings(batch_size=4, gradient_accumulation_steps=3).rows == 12


@pytest.mark.parametrize(
    ("patience", "keep_best", "expected"),
    [(None, None, False), (3, None, True), (3, False, False), (None, True, True)],
)
def test_the_weights_that_training_ends_with(patience: int | None, keep_best: bool | None, expected: bool) -> None:
    settings = TrainingSettings(validation_fraction=0.1, patience=patience, keep_best=keep_best)
    assert settings.ends_with_best is expected


@pytest.mark.parametrize("name", ["patience", "keep_best"])
def test_settings_that_need_a_validation_text(name: str) -> None:
    change: dict[str, Any] = {name: 3 if name == "patience" else True}
    with pytest.raises(SettingsError, match="set validation_fraction") as caught:
        TrainingSettings(**change)
    assert caught.value.setting == name
