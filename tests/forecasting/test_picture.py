"""The picture of a forecast, parsed from its SVG."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from charloom import InputError
from charloom.forecasting import Forecaster, ForecastSettings, Series, draw_forecast, fit, read_series

_SVG = "{http://www.w3.org/2000/svg}"
_NUM_POINTS = 60
_VALUES = 20 + np.sin(np.arange(_NUM_POINTS) / 3) + np.random.default_rng(0).normal(0, 0.2, _NUM_POINTS)


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return fit(_VALUES, ForecastSettings(horizon=12, members=2, epochs=1, hidden_size=4))


def _series(folder: Path, labels: Sequence[str]) -> Series:
    rows = "".join(f"{label},{value}\n" for label, value in zip(labels, _VALUES, strict=True))
    (folder / "x.csv").write_text("date,x\n" + rows)
    return read_series(folder / "x.csv", "x")


def _picture(series: Series, forecaster: Forecaster, levels: Sequence[float] = (0.8, 0.95)) -> ET.Element:
    return ET.fromstring(draw_forecast(series, forecaster.forecast(), levels, "svg"))


def _texts(part: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in part.iter(f"{_SVG}text")]


def _fills(part: ET.Element) -> list[str]:
    styles = [path.get("style", "") for path in part.iter()]
    return [found[1] for style in styles if (found := re.search(r"fill: (#\w+)", style))]


def _group(picture: ET.Element, name: str) -> ET.Element:
    return next(group for group in picture.iter(f"{_SVG}g") if group.get("id", "").startswith(name))


@pytest.mark.parametrize("levels", [(0.8, 0.95), (0.95, 0.5, 0.999, 0.8)])
def test_intervals_have_the_colors_of_the_legend(forecaster: Forecaster, levels: tuple[float, ...]) -> None:
    picture = _picture(Series(_VALUES), forecaster, levels)
    legend = _group(picture, "legend")
    named = [text for text in _texts(legend) if text.endswith("interval")]
    assert named == [f"{100 * level:g}% interval" for level in sorted(levels, reverse=True)]
    patches = [fill for fill in _fills(legend) if fill != "#ffffff"]
    assert len(set(patches)) == len(levels)
    drawn = [
        fill
        for group in picture.iter(f"{_SVG}g")
        if group.get("id", "").startswith("FillBetween")
        for fill in _fills(group)
    ]
    assert list(dict.fromkeys(drawn)) == patches
    for group in picture.iter(f"{_SVG}g"):
        if group.get("id", "").startswith("FillBetween"):
            assert "opacity" not in ET.tostring(group, "unicode"), "a transparent fill has another color"


_MONTHS = [f"{1998 + month // 12}-{month % 12 + 1:02d}" for month in range(_NUM_POINTS)]
_HOURS = [datetime(2020, 1, 20) + timedelta(hours=hour) for hour in range(_NUM_POINTS)]


@pytest.mark.parametrize(
    ("labels", "ticks"),
    [
        (_MONTHS, ["1998", "1999", "2000", "2001", "2002", "2003"]),
        ([str(1900 + year) for year in range(_NUM_POINTS)], [str(year) for year in range(1900, 1980, 10)]),
        ([f"{hour.isoformat()}+02:00" for hour in _HOURS], ["Jan-20", "12:00", "Jan-21", "12:00", "Jan-22", "12:00"]),
    ],
    ids=["months", "years", "hours with a time zone"],
)
def test_ticks_are_at_whole_years_and_days(
    forecaster: Forecaster, tmp_path: Path, labels: list[str], ticks: list[str]
) -> None:
    axis = _group(_picture(_series(tmp_path, labels), forecaster), "matplotlib.axis_1")
    assert [text for text in _texts(axis) if text not in ("time", "2020-Jan-22")] == ticks


@pytest.mark.parametrize("first", [1, 9928])
def test_the_first_and_the_last_possible_years(forecaster: Forecaster, tmp_path: Path, first: int) -> None:
    series = _series(tmp_path, [f"{first + year:04d}-12-01" for year in range(_NUM_POINTS)])
    assert series.label(_NUM_POINTS + 11) == f"{first + _NUM_POINTS + 11:04d}-12-01"
    assert "time" in _texts(_picture(series, forecaster))


def test_values_or_a_series_are_drawn_but_one_origin_only(forecaster: Forecaster) -> None:
    found = forecaster.forecast()
    assert draw_forecast(_VALUES, found, (0.8,)) == draw_forecast(Series(_VALUES), found, (0.8,))
    with pytest.raises(InputError, match="forecast has several origins; pass a result of"):
        draw_forecast(_VALUES, forecaster.forecast_from(_VALUES, [50, 60]))
    with pytest.raises(InputError, match="levels"):
        draw_forecast(_VALUES, found, 0.8)  # type: ignore[arg-type]


def test_points_without_dates_are_counted_from_1(forecaster: Forecaster) -> None:
    axis = _group(_picture(Series(_VALUES), forecaster), "matplotlib.axis_1")
    assert _texts(axis) == ["15", "30", "45", "60", "point"]


def test_a_name_in_any_script(forecaster: Forecaster) -> None:
    series = Series(_VALUES, "\u6c14\u6e29 $x^2 <b>")
    assert draw_forecast(series, forecaster.forecast()).startswith(b"\x89PNG")
