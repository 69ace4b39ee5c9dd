"""The numbers that ``charloom forecast`` shows and writes."""

import re
from pathlib import Path

import numpy as np
import pytest

from charloom import forecasting
from charloom.cli.forecast_tables import _decimals, csv_of
from process import call


def test_large_integers_are_written_to_their_last_digit(tmp_path: Path) -> None:
    values = [1_700_000_000_000 + 7 * i + i % 3 for i in range(60)]
    (tmp_path / "x.csv").write_text("v\n" + "\n".join(map(str, values)) + "\n")
    options = ["--time", "none", "--method", "drift", "--horizon", "3", "--no-backtest"]
    call(tmp_path, "forecast", "x.csv", *options, "--output", "out.csv").done()
    expected = forecasting.fit(values, horizon=3, settings=forecasting.ForecastSettings(method="drift")).forecast()
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert [row[1] for row in rows] == [str(int(value)) for value in expected.mean]
    assert len({row[1] for row in rows}) == 3


def test_the_heading_has_a_season_only_if_the_method_uses_it(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("v\n" + "".join(f"{i % 12 + 0.1 * i}\n" for i in range(96)))
    for method, heading in (
        ("ar", "with the method AR(13), season of 12 points, fitted to 96 points:"),
        ("seasonal-naive", "with the method seasonal naive (12), fitted to 96 points:"),
        ("drift", "with the method drift, fitted to 96 points:"),
    ):
        options = ["--method", method, "--season", "12", "--no-backtest", "--horizon", "14", "-f"]
        out = call(tmp_path, "forecast", "x.csv", *options).done()
        assert f"\nForecast {heading}\n" in out
        assert re.search(r"^point +forecast +80% interval +95% interval *$", out, re.MULTILINE), out
        assert "\n... and 2 more steps (--output FILE saves all of them)\n" in out
    out = call(tmp_path, "forecast", "x.csv", *options[2:], "--method", "ar", "--num-lags", "2").done()
    assert "\nForecast with the method AR(2), fitted to 96 points:\n" in out


def test_real_forecasts_of_integers_are_shown_with_decimals(tmp_path: Path) -> None:
    values = [int(i % 16 in (3, 7, 12)) for i in range(80)]  # their mean is 0.1875
    (tmp_path / "x.csv").write_text("v\n" + "".join(f"{value}\n" for value in values))
    options = ["--method", "mean", "--no-backtest", "--horizon", "2", "-f"]
    found = call(tmp_path, "forecast", "x.csv", *options, "--domain", "real").done()
    assert re.search(r"^81 +0\.18\d +-0\.\d+ \.\. +0\.\d+ ", found, re.MULTILINE), found
    found = call(tmp_path, "forecast", "x.csv", *options).done()
    assert re.search(r"^81 +0 +0 \.\. [01] ", found, re.MULTILINE), found


def test_zero_is_never_negative(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("v\n" + "".join(f"{i % 2 - 0.5001}\n" for i in range(60)))
    options = ["--method", "mean", "--no-backtest", "--horizon", "2"]
    found = call(tmp_path, "forecast", "x.csv", *options, "--output", "out.csv").done()
    assert not re.search(r"-0(\.0*)?(?![.\d])", found), found
    (tmp_path / "x.csv").write_text("v\n" + "".join(f"{-(i % 2)}\n" for i in range(60)))
    call(tmp_path, "forecast", "x.csv", *options, "--output", "out.csv", "-f").done()
    assert "-0," not in (tmp_path / "out.csv").read_text()


def test_only_the_last_points_are_fitted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("v\n" + "".join(f"{i * i % 37}\n" for i in range(12_600)))
    result = call(tmp_path, "forecast", "x.csv", "--method", "naive", "--horizon", "2")
    assert "the series has 12,600 points: only the last 10,000 are used for fitting" in result.errors
    assert "Backtest: fitted to 10,000 points" in result.out
    assert "fitted to 10,000 points:" in result.out


def test_counts_with_a_gap_stay_counts(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("v\n" + "".join(f"{i * i % 37 if i != 30 else 'NA'}\n" for i in range(60)))
    out = call(tmp_path, "forecast", "x.csv", "--missing", "interpolate", "--no-backtest", "--horizon", "2").done()
    assert ", as integers" in out


def test_constant_counts(tmp_path: Path) -> None:
    (tmp_path / "same.csv").write_text("units\n" + "7\n" * 12)
    out = call(tmp_path, "forecast", "same.csv", "--time", "none", "--horizon", "6", "--output", "out.csv").done()
    assert "All 12 values are equal: no variation can be estimated from them, so the intervals have zero width." in out
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "13,7,7,7,7,7"


@pytest.mark.parametrize(
    ("values", "whole", "shown"),
    [
        ([1.0, 2.0, 4.0], True, "3"),
        ([1.0, 2.0, 4.0], False, "3.14"),
        ([100.0, 300.0, 50.0], False, "3"),
        ([0.001, 0.002, 0.004], False, "3.14159"),
        ([5.0, 5.0, 5.0], False, "3.14159265359"),
        ([1e-12, 3e-12], False, "3.142"),
        ([1e12, 1e12 + 1], False, "3.14159265358979"),
    ],
)
def test_numbers_are_shown_to_three_digits_of_their_change(values: list[float], whole: bool, shown: str) -> None:
    assert f"{3.14159265358979:.{_decimals(np.array(values), whole=whole)}}" == shown


def test_the_table_has_every_digit_of_every_step() -> None:
    values = np.random.default_rng(0).normal(size=30)
    settings = forecasting.ForecastSettings(method="drift", horizon=3)
    forecaster = forecasting.fit(values, settings)
    found = forecaster.forecast()
    header, *rows = csv_of(forecasting.Series(values), found, (0.5, 0.9), forecaster).splitlines()
    assert header == "point,forecast,lower_50,upper_50,lower_90,upper_90"
    for step, row in enumerate(rows):
        point, *numbers = row.split(",")
        assert point == str(31 + step)
        bounds = [bound[step] for level in (0.5, 0.9) for bound in found.interval(level)]
        assert [float(number) for number in numbers] == [found.mean[step], *bounds]
    assert len(rows) == 3
