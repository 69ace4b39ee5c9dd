"""Settings of a series' table and of its forecast; numbers beyond their limits are in ``test_messages``."""

from typing import Any

import pytest

from charloom import SettingsError
from charloom.settings import ForecastSettings, TableSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delimiter": "a"}, "delimiter is 'a': it must be the word tab, or a single character"),
        ({"delimiter": ";;"}, "delimiter is ';;': it must be the word tab, or a single character"),
        ({"decimal": ";"}, "decimal is ';': it must be one of"),
        ({"thousands": "."}, r"thousands is '.': it is also the decimal separator; set decimal=','"),
        ({"date_format": "%d.%m."}, "it does not contain the year"),
        ({"date_format": "%q"}, "strptime cannot parse dates with this format"),
        ({"skip_rows": -1}, "skip_rows is -1"),
    ],
)
def test_invalid_tables(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TableSettings(**settings)


def test_valid_tables() -> None:
    assert [TableSettings(delimiter=mark).delimiter for mark in ("tab", ";", "\\t")] == ["tab", ";", "\\t"]
    assert TableSettings(thousands=".", decimal=",").missing == "refuse"
    assert TableSettings(date_format="%d.%m.%y").date_format == "%d.%m.%y"


def test_there_are_at_least_as_many_paths_as_members() -> None:
    assert ForecastSettings(members=50, num_paths=50).num_paths == 50
    with pytest.raises(SettingsError, match="num_paths is 20: it must be at least 50, one for each ensemble member"):
        ForecastSettings(members=50, num_paths=20)
