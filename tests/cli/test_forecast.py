"""``charloom forecast``, once as a real process."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from charloom import forecasting
from process import call, run

_QUICK = ["--horizon", "6", "--members", "3", "--epochs", "2", "--hidden-size", "8"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    time = np.arange(96)
    values = 20 + 0.1 * time + 3 * np.sin(time * 2 * np.pi / 12) + np.random.default_rng(0).normal(0, 0.3, 96)
    rows = [f"{2000 + t // 12}-{t % 12 + 1:02d},{value:.3f},x{t}" for t, value in zip(time, values, strict=True)]
    (tmp_path / "sales.csv").write_text("month,units,note\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_forecast(home: Path) -> None:
    """The whole command: reads, evaluates, forecasts, draws, writes and saves."""
    out = call(
        home, "forecast", "sales.csv", "--column", "units", *_QUICK, "--output", "out.csv", "--save", "model"
    ).done()
    assert out.startswith("units: 96 points, 2000-01 to 2007-12\n")
    assert "fitted to 77 points with a season of 12; the last 19 points are held out" in out
    for name in (
        "steps ahead",
        "RMSE of network",
        "RMSE of naive",
        "RMSE of drift",
        "RMSE of mean",
        "RMSE of seasonal naive (12)",
        "RMSE of AR(13)",
        "coverage of the 80% interval",
    ):
        assert any(line.startswith(name + "  ") for line in out.splitlines()), name
    assert "2008-06" in out
    assert "Plot saved to sales.csv.forecast.png\nForecast saved to out.csv\nForecaster saved to model" in out
    assert (home / "sales.csv.forecast.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((home / "out.csv").read_text().splitlines()))
    assert [row["time"] for row in rows] == [f"2008-{month:02d}" for month in range(1, 7)]
    for row in rows:
        bounds = [float(row[name]) for name in ("lower_95", "lower_80", "forecast", "upper_80", "upper_95")]
        assert bounds == sorted(bounds)
    truth = 20 + 0.1 * np.arange(96, 102) + 3 * np.sin(np.arange(6) * 2 * np.pi / 12)
    found = np.array([float(row["forecast"]) for row in rows])
    assert np.abs(found - truth).max() < 1.5
    loaded = forecasting.Forecaster.load(home / "model").forecast()
    assert loaded.mean.tolist() == found.tolist()
    assert loaded.interval(0.95)[0].tolist() == [float(row["lower_95"]) for row in rows]


def test_the_name_of_a_column_may_have_a_point(home: Path) -> None:
    (home / "air.csv").write_text((home / "sales.csv").read_text().replace("units", "CO2.ppm"))
    options = ["--column", "CO2.ppm", "--horizon", "2", "--method", "naive", "--no-backtest"]
    assert call(home, "forecast", "air.csv", *options).done().startswith("CO2.ppm: 96 points")


def test_standard_input_to_standard_output(home: Path) -> None:
    data = (home / "sales.csv").read_bytes()
    options = ["--column", "units", *_QUICK, "--no-backtest", "--level", "0.5", "--output", "-"]
    result = run(home, "forecast", "-", *options, stdin=data)
    assert result.status == 0, result
    rows = list(csv.reader(io.StringIO(result.out)))
    assert rows[0] == ["time", "forecast", "lower_50", "upper_50"]
    assert len(rows) == 7
    assert "No plot: standard input and pipes have no file name; pass a plot file with --plot." in result.errors
    assert not list(home.glob("*.png"))
    assert "Backtest" not in result.errors


def test_files_are_overwritten_only_if_asked(home: Path) -> None:
    (home / "out.csv").write_text("mine")
    message = call(home, "forecast", "sales.csv", "--column", "units", *_QUICK, "--output", "out.csv").error(2)
    assert (
        message == "out.csv: the file already exists; use --force to overwrite it, or choose another file with --output"
    )
    assert (home / "out.csv").read_text() == "mine"
    assert not (home / "sales.csv.forecast.png").exists()
    call(
        home, "forecast", "sales.csv", "--column", "units", *_QUICK, "--no-backtest", "--output", "out.csv", "--force"
    ).done()
    assert (home / "out.csv").read_text() != "mine"
    (home / "model").mkdir()
    options = ["--plot", "new.png", "--save", "model"]
    assert "model: the folder already exists; use --force" in call(home, "forecast", "sales.csv", *options).error(2)
    assert "nowhere: no such folder" in call(home, "forecast", "sales.csv", "--plot", "nowhere/x.png").error(2)
    assert "this is a folder; choose a file" in call(home, "forecast", "sales.csv", "--plot", ".").error(2)


def test_a_short_series_is_forecast_by_a_baseline(home: Path) -> None:
    lines = (home / "sales.csv").read_text().splitlines()[:11]
    (home / "short.csv").write_text("\n".join(lines))
    out = call(home, "forecast", "short.csv", "--column", "units", *_QUICK).done()
    assert "fitted to 4 points; the last 6 points are held out" in out
    assert re.search(r"Forecast with the method (naive|drift|mean), fitted to 10 points:", out)
    out = call(home, "forecast", "short.csv", "--column", "units", "--horizon", "7", "-f").done()
    assert "No backtest: the series is too short to hold out a part of it." in out
    message = call(
        home, "forecast", "short.csv", "--column", "units", *_QUICK, "--method", "network", "--no-backtest", "-f"
    ).error(2)
    assert message.startswith("--method is 'network': 10 points are too few to forecast 6 steps ahead: ")
    (home / "three.csv").write_text("x\n1\n2\n4\n")
    assert (
        "3 points are too few to forecast 24 steps ahead: fitting needs 4"
        in call(home, "forecast", "three.csv", "--time", "none", "--no-backtest").error()
    )


def test_a_price_that_changes_once(home: Path) -> None:
    """The best model of the backtest forecasts, or the named one, and the output states which."""
    prices = "".join(f"{9.99 if i < 40 else 12.49}\n" for i in range(60))
    (home / "prices.csv").write_text("price\n" + prices)
    out = call(home, "forecast", "prices.csv", "--time", "none", *_QUICK, "--output", "out.csv").done()
    assert "naive has the smallest errors and is used." in out
    assert "Forecast with the method naive, fitted to 60 points:" in out
    rows = list(csv.DictReader((home / "out.csv").read_text().splitlines()))
    assert all(float(row["forecast"]) == 12.49 for row in rows)
    assert all(5 < float(row["lower_95"]) < 12.49 < float(row["upper_95"]) < 20 for row in rows)
    out = call(home, "forecast", "prices.csv", "--time", "none", *_QUICK, "--method", "mean", "-f").done()
    assert "The errors of naive are 100% smaller than those of mean; --method auto would use naive." in out
    assert "Forecast with the method mean, fitted to 60 points:" in out


def test_other_notations_by_options(home: Path) -> None:
    rows = [line.split(",") for line in (home / "sales.csv").read_text().splitlines()[1:]]
    german = [f"1.{i % 12 + 1}.{2000 + i // 12};{row[1].replace('.', ',')}" for i, row in enumerate(rows)]
    (home / "german.csv").write_text("Title\nd;v\n" + "\n".join(german) + "\n")
    (home / "rows.csv").write_text("\n".join(f"{i},{row[1]}" for i, row in enumerate(rows)) + "\n")
    tables = []
    for arguments in (
        ["sales.csv", "--column", "units"],
        ["german.csv", "--skip-rows=1", "--delimiter=;", "--decimal=,", "--thousands=.", "--date-format=%d.%m.%Y"],
        ["rows.csv", "--no-header", "--column", "2", "--time", "none"],
    ):
        call(home, "forecast", *arguments, *_QUICK, "--no-backtest", "-f", "--output", "out.csv").done()
        tables.append([row.partition(",") for row in (home / "out.csv").read_text().splitlines()])
    assert [table[1][0] for table in tables] == ["2008-01", "01.01.2008", "97"]
    assert all([row[2] for row in table] == [row[2] for row in tables[0]] for table in tables)


def test_following_the_advice_of_the_errors_succeeds(home: Path) -> None:
    """The options that the errors advise, one by one, lead to the series."""
    rows = [f"{1 + i:02d}. Jan. 2001;{990 + 5 * i + i % 3}".replace(";1", ";1.") for i in range(30)]
    (home / "x.csv").write_text("sep=;\nTag;Umsatz\n" + "\n".join(rows) + "\n")
    options: list[str] = []
    for advice, given in (
        ("pass --skip-rows 1 and --delimiter", ["--skip-rows", "1", "--delimiter", ";"]),
        ("pass --date-format", ["--date-format", "%d. %b. %Y"]),
        ("or --decimal ',' and --thousands '.'", ["--decimal", ",", "--thousands", "."]),
    ):
        found = call(home, "forecast", "x.csv", *options, *_QUICK, "--no-backtest", "-f").error()
        assert advice in found, found
        options += given
    out = call(home, "forecast", "x.csv", *options, *_QUICK, "--no-backtest", "-f").done()
    assert out.startswith("Umsatz: 30 points, 01. Jan. 2001 to 30. Jan. 2001\n")


def test_a_single_value_is_singular(home: Path) -> None:
    lines = (home / "sales.csv").read_text().splitlines()
    lines[5] = lines[5].replace(lines[5].split(",")[1], "")
    (home / "gap.csv").write_text("\n".join(lines))
    out = call(
        home, "forecast", "gap.csv", "--column", "units", *_QUICK, "--no-backtest", "--missing", "interpolate"
    ).done()
    assert out.startswith("units: 96 points, 2000-01 to 2007-12; 1 missing value interpolated\n")


_WRONG_CALLS: list[tuple[list[str], str]] = [
    (
        ["sales.csv", "--column", "unit"],
        "--column is 'unit': the table has no such column; pass one of 'month', 'units', 'note', or",
    ),
    (["sales.csv", "--column", "units", "--horizon", "-3"], "--horizon is -3: it must be an integer, at least 1"),
    (
        ["sales.csv", "--column", "units", "--season", "50"],
        "--season is 50: the 72 points to fit to are fewer than two",
    ),
    (["sales.csv", "--column", "units", "--level", "95"], "--level is 95.0: it must be above 0 and at most 0.9999"),
    (
        ["sales.csv", "--column", "units", "--missing", "drop"],
        "--missing is 'drop': choose one of refuse, interpolate (see --help)",
    ),
    (
        ["sales.csv", "--column", "units", "--held-out", "95"],
        "--held-out is 95: 96 points are too few to forecast 24 steps ahead with 95 held out: fitting needs 4; "
        "lower --held-out to 92 or less",
    ),
    (["sales.csv", "--column", "units", "--held-out", "1000"], "lower --held-out to 92 or less"),
    (
        ["sales.csv", "--column", "units", "--held-out", "59", "--horizon", "40", "--method", "network"],
        "lower --held-out and the horizon",
    ),
    (
        ["sales.csv", "--column", "units", "--held-out", "40", "--horizon", "40", "--method", "network"],
        "fitting needs 88; lower --held-out and the horizon, or pass --method auto",
    ),
    (
        ["sales.csv", "--column", "units", "--held-out", "100", "--horizon", "100", "--method", "ar"],
        "96 points are too few to forecast 100 steps ahead with 100 held out: fitting needs 4; lower --held-out and",
    ),
    (
        ["sales.csv", "--column", "units", "--held-out", "5"],
        "--held-out is 5: it must be at least the horizon, 24; increase it or lower the horizon",
    ),
    (["sales.csv", "--column", "units", "--held-out", "0"], "--held-out is 0: it must be an integer"),
    (["short.csv", "--held-out", "0", "--horizon", "6"], "--held-out is 0: it must be an integer"),
    (["short.csv", "--num-lags", "0", "--horizon", "6"], "--num-lags is 0: it must be an integer, at least 1"),
    (
        ["sales.csv", "--column", "units", "--no-backtest", "--held-out", "30"],
        "--held-out and --no-backtest contradict each other",
    ),
    (
        ["sales.csv", "--column", "units", "--num-lags", "50", "--method", "ar", "--no-backtest"],
        "--num-lags is 50: the 96 points to fit to allow at most 47 lags",
    ),
    (["sales.csv", "--column", "units", "--num-lags", "0"], "--num-lags is 0"),
    (["sales.csv", "--column", "units", "--num-paths", "1"], "--num-paths is 1: it must be an integer, at least 20"),
    (["same.csv", "--method", "ar"], "--method is 'ar': all 4 values are the same; pass --method auto to repeat them"),
    (["sales.csv", "--column", "units", "--time", "nope"], "--time is 'nope': the table has no such column"),
    (["sales.csv", "--column", "units", "--time", "units"], "--time is 'units': it is also the column to forecast"),
    (["sales.csv", "--skip-rows", "1000"], "--skip-rows is 1000: the file has only 97 lines"),
    (["sales.csv", "--column", "units", "--output", "nowhere/f.csv"], "nowhere: no such folder"),
    (
        ["sales.csv", "--column", "units", "-o", "sales.csv"],
        "this is the input file; choose another file with --output",
    ),
    (["sales.csv", "--plot", "a.png", "--output", "a.png"], "--plot and --output name the same file"),
    (["one.csv", "--time", "none", "--no-backtest", "--method", "network"], "--method is 'network': 1 point is too"),
    (
        ["short.csv", "--method", "seasonal-naive", "--season", "1"],
        "--method is 'seasonal-naive': it requires a season, but --season is 1; pass the season length with",
    ),
    (
        ["sales.csv", "--column", "units", "--method", "seasonal-mean", "--held-out", "70", "--season", "12"],
        "the 26 points to fit to are fewer than three seasons of 12 points; pass a shorter --season, or another",
    ),
]
_WRONG_FILES: list[tuple[list[str], str]] = [
    (["missing.csv"], "missing.csv: no such file or directory"),
    (["sales.csv", "--column", "note"], "line 2: 'x0' in column 'note' is not a number like -1234.5"),
    (["sales.csv", "--column", "units", "--time", "note"], "line 2: 'x0' in column 'note' is not an ISO date"),
    (["one.csv", "--time", "none", "--no-backtest"], "1 point is too few to forecast 24 steps ahead: fitting needs 4"),
    (["header.csv"], "header.csv: the header ('a', 'b') has no rows below it"),
    (["empty.csv"], "empty.csv: the file is empty; there is nothing to forecast"),
    (
        ["gap.csv", "--column", "x", "--time", "none"],
        "line 4: no value in column 'x' (missing in 1 of 5 rows); pass --missing interpolate",
    ),
    (["two.csv"], "line 2: '1' in column 'a' is not an ISO date"),
    (["sales.csv"], "sales.csv: the file has several columns ('month', 'units', 'note'); choose one with --column"),
    (["binary.csv"], "not a text file (NUL character at position 3)"),
    (["latin.csv"], "line 2 is not valid UTF-8 (byte 0xe9)"),
    (["infinite.csv"], "line 3: 'inf' in column 'x' is not a number like -1234.5"),
]


@pytest.mark.parametrize(
    ("status", "arguments", "message"),
    [(2, *call) for call in _WRONG_CALLS] + [(1, *call) for call in _WRONG_FILES],
)
def test_one_line_per_error(home: Path, status: int, arguments: list[str], message: str) -> None:
    files = {
        "empty.csv": b"",
        "gap.csv": b"x,y\n1,a\n2,a\n,a\n4,a\n5,a\n",
        "two.csv": b"a,b\n1,2\n3,4\n",
        "one.csv": b"x\n7\n",
        "header.csv": b"a,b\n",
        "short.csv": b"x\n" + b"1\n4\n" * 12,
        "same.csv": b"x\n7\n7\n7\n7\n",
        "binary.csv": b"x\n1\0\n2\n",
        "latin.csv": b"x\n\xe9\n",
        "infinite.csv": b"x\n1\ninf\n2\n",
    }
    for name, data in files.items():
        (home / name).write_bytes(data)
    result = call(home, "forecast", *arguments)
    assert message in result.error(status)
    assert not list(home.glob("*.png"))


def test_help_has_examples(home: Path) -> None:
    text = call(home, "forecast", "--help").done()
    assert "charloom forecast sales.csv --column units --horizon 12" in text
    for option in ("--season", "--held-out", "--missing", "--decimal", "--level", "--members", "--no-backtest"):
        assert option in text
