"""Tables as programs and offices write them: read with the options that the error names, or refused."""

# ruff: noqa: E501 - one table a line

from pathlib import Path
from typing import Any

import pytest

from charloom import SeriesError
from charloom.forecasting import read_series

_DE: dict[str, Any] = {"delimiter": ";", "decimal": ",", "thousands": ".", "date_format": "%d.%m.%Y"}
_YAHOO = "Date,Open,Close,Volume\n2024-01-04,1.5,2.5,100\n2024-01-05,2.5,3.5,90\n2024-01-08,3.5,4.5,80\n"
_WORLD_BANK = '"Data Source","World Development Indicators",\n\n"Country","Code","1960","1961"\n"Aruba","ABW","1","2"\n'
_ECDC = "dateRep,cases,country\n14/12/2020,746,A\n13/12/2020,298,A\n12/12/2020,113,A\n"
_LONG = "unique_id,ds,y\nH1,2001-01-01,1\nH1,2001-01-02,4\nH2,2001-01-01,9\nH2,2001-01-02,7\n"
_PSQL = "    day     | load \n------------+------\n 2001-01-01 |    1\n 2001-01-02 |    4\n(2 rows)\n"


@pytest.mark.parametrize(
    ("content", "column", "options", "values", "later"),
    [
        ("Datum;Wert\n31.12.2001;1.002,5\n01.01.2002;998,0\n", None, _DE, [1002.5, 998], "02.01.2002"),
        ("Datum;Wert\n1.1.2002;-1.002\n2.1.2002;998\n", None, _DE, [-1002, 998], "03.01.2002"),
        ("Monat;Wert\n2001-11;1,5\n2001-12;2\n", None, {"delimiter": ";", "decimal": ","}, [1.5, 2], "2002-01"),
        ("mois;prix\n2001-01;1\u202f234,5\n2001-02;999\n", None, _DE | {"thousands": " ", "date_format": None}, [1234.5, 999], "2001-03"),
        ("Jahr;CHF\n2001;1'234.50\n2002;999.00\n", None, {"delimiter": ";", "thousands": "'"}, [1234.5, 999], "2003"),
        ("Jahr;CHF\n2001;1\u2019234.50\n2002;999.00\n", None, {"delimiter": ";", "thousands": "'"}, [1234.5, 999], "2003"),
        ('year,INR\n2001,"12,34,567"\n2002,"1,05,000.5"\n', None, {"thousands": ","}, [1234567, 105000.5], "2003"),
        ('Month,Sales\nJan-01,"1,200"\nFeb-01,"950"\n', None, {"thousands": ",", "date_format": "%b-%y"}, [1200, 950], "Mar-01"),
        (_YAHOO, "Close", {"time": "none"}, [2.5, 3.5, 4.5], "4"),
        ("Date,Rate\n01/31/2001,1.5\n02/28/2001,1.7\n03/31/2001,1.6\n", None, {"date_format": "%m/%d/%Y"}, [1.5, 1.7, 1.6], "04/30/2001"),
        ("DATE,GNP\n1947-01-01,243.1\n1947-04-01,246.3\n1947-07-01,.\n1947-10-01,260.3\n", None, {"missing": "interpolate"}, [243.1, 246.3, 253.3, 260.3], "1948-01-01"),
        ("TIME_PERIOD,OBS_VALUE\n2001-Q3,1.5\n2001-Q4,1.7\n", None, {}, [1.5, 1.7], "2002-Q1"),
        ("geo,time,values\nDE,2001M11,5\nDE,2001M12,7\n", "values", {"time": "time", "date_format": "%YM%m"}, [5, 7], "2002M01"),
        ("week,visits\n2001-W51,5\n2001-W52,7\n", None, {}, [5, 7], "2002-W01"),
        (",0\n2001-01-01 00:00:00,5\n2001-01-01 01:00:00,7\n", None, {"header": True}, [5, 7], "2001-01-01 02:00:00"),
        (",date,v\n0,2001-01-01,5\n1,2001-01-02,7\n", "v", {"time": "date"}, [5, 7], "2001-01-03"),
        ('"ts","v"\n"2001-12-31T23:00:00.000Z","5"\n"2002-01-01T00:00:00.000Z","7"\n', None, {}, [5, 7], "2002-01-01T01:00:00.000Z"),
        ('"day";"load"\n"2001-01-01 00:00:00+00:00";"1.5"\n"2001-01-02 00:00:00+00:00";"2.5"\n', None, {"delimiter": ";"}, [1.5, 2.5], "2001-01-03 00:00:00+00:00"),
        ("v\n1\n\n3\n\n\n", None, {"missing": "interpolate"}, [1, 2, 3], "4"),
        ('note,day,v\n"read ""hi"",\nthen",2001-01-01,5\n,2001-01-02,7\n', "v", {"time": "day"}, [5, 7], "2001-01-03"),
        ("day\tv\n2001-01-01\t5\n2001-01-02\t7\n", None, {"delimiter": "tab"}, [5, 7], "2001-01-03"),
        ("month,temp\n190001,5\n190002,7\n", None, {"date_format": "%Y%m"}, [5, 7], "190003"),
        ("when,v\n2001-12-31 11:30 PM,5\n2002-01-01 12:00 AM,7\n", None, {"date_format": "%Y-%m-%d %I:%M %p"}, [5, 7], "2002-01-01 12:30 AM"),
    ],
)  # fmt: skip
def test_read(
    tmp_path: Path, content: str, column: str | None, options: dict[str, Any], values: list[float], later: str
) -> None:
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    series = read_series(tmp_path / "x.csv", column, **options)
    assert series.values.tolist() == pytest.approx(values, rel=1e-15)
    assert series.label(len(series)) == later


@pytest.mark.parametrize(
    ("content", "column", "options", "message"),
    [
        ("Datum;Wert\n31.12.2001;1.002,5\n1.1.2002;998\n", None, {}, "line 2 has 2 columns, but line 1 has 1; pass delimiter if a different"),
        ("Datum;Wert\n31.12.2001;1.002,5\n1.1.2002;998\n", None, {"delimiter": ";"}, "line 2: '31.12.2001' in .* pass date_format, for example %d.%m.%Y for"),
        ("Jahr;Wert\n2001;1.002,5\n2002;998\n", None, {"delimiter": ";"}, "line 2: '1.002,5' .* pass decimal or thousands"),
        ("Jahr;Wert\n2001;998\n2002;1.000\n2003;1.002\n", None, {"delimiter": ";"}, "line 3: '1.000' .* may be 1 or 1000"),
        ("Jahr;Wert\n2001;5,0-\n2002;1,0\n", None, {"delimiter": ";", "decimal": ","}, "line 2: '5,0-' .* is not a number"),
        ("Jahr;Wert\n2001;-\n2002;1\n", None, {"delimiter": ";"}, "line 2: '-' in column 'Wert' is not a number like -1234.5"),
        ('year,INR\n2001,"12,34,567"\n2002,"1,05,000"\n', None, {}, "line 2: '12,34,567' .* pass decimal or thousands"),
        ("Jahr;CHF\n2001;1'234.50\n2002;999\n", None, {"delimiter": ";"}, "line 2: .* pass decimal or thousands"),
        ("day,USD\n2001,$5\n2002,$7\n", None, {}, r"line 2: '\$5' in column 'USD' is not a number like -1234.5"),
        ("day,share\n2001,5%\n2002,7%\n", None, {}, "line 2: '5%' in column 'share' is not a number like -1234.5"),
        ("day,profit\n2001,(5)\n2002,7\n", None, {}, r"line 2: '\(5\)' in column 'profit' is not a number like -1234.5"),
        (_YAHOO, "Close", {}, "line 4: 2024-01-08 is 3 days after 2024-01-05, but the other dates are 1 day apart.*time='none'"),
        (_WORLD_BANK, None, {}, "line 2 is empty; delete it or, if the header follows, pass skip_rows=2"),
        (_WORLD_BANK, "1961", {"skip_rows": 2}, "line 3: '1961' may be a value or the name of a column"),
        (_WORLD_BANK, "1961", {"skip_rows": 2, "header": True}, "line 4: 'Aruba' in column 'Country' is not an ISO date"),
        (_ECDC, "cases", {}, "line 2: '14/12/2020' .* pass date_format"),
        (_ECDC, "cases", {"date_format": "%d/%m/%Y"}, "line 3: 13/12/2020 is earlier than 14/12/2020 in line 2; sort the rows, oldest first"),
        (_LONG, None, {}, "several columns .'unique_id', 'ds', 'y'.; choose one with column"),
        (_LONG, "y", {}, "line 2: 'H1' in column 'unique_id' is not an ISO date .* the column of dates with time"),
        (_LONG, "y", {"time": "ds"}, "line 4: 2001-01-01 is earlier than 2001-01-02 in line 3; .* keep the rows of one"),
        (_PSQL, None, {}, "line 2: '------------.------' in column 'day     . load' is not a number like -1234.5"),
        (_PSQL, None, {"delimiter": "|"}, "line 2 has 1 column, but line 1 has 2; delete the row"),
        ("INSERT INTO t VALUES\n(1, 'a'),\n(2, 'b');\n", None, {}, "line 2 has 3 columns, but line 1 has 1"),
        ("month,sales\n2001-01,5\n2001-02,7\nTotal,12\n", None, {}, "line 4: 'Total' .* correct the row, or delete it"),
        ("month,sales\n2001-01,5\n2001-02,7\n* provisional,\n", None, {}, r"line 4: '\* provisional' .* is not an ISO date"),
        ("month,sales\n2001-01,5\n2001-02,7\nmonth,sales\n2001-03,5\n", None, {}, "line 4: 'month' in column 'month' is not"),
        ("month,sales\n2001-01,5\n2001-02,7\n2001-03,\n", None, {"missing": "interpolate"}, "line 4: no value .* none after line 3"),
        ("date,temp\n,degC\n2001-01-01,5\n", None, {}, "line 2: '' in column 'date' is not an ISO date"),
        ("load,site\n100,north\n#DIV/0!,north\n", "load", {"time": "none"}, "line 3: '#DIV/0!' in column 'load' is not a number like -1234.5"),
        ("v\n1\n#DIV/0!\n3\n", None, {}, "line 3: '#DIV/0!' in column 'v' is not a number like -1234.5"),
        ("timestamp,v\n1700000060,1\n1700000000,2\n", None, {}, "line 2: '1700000060' .* is not an ISO date"),
        ("year,month,v\n2001,1,5\n2001,2,7\n", "v", {}, "line 3: 2001 is the same date as 2001 in line 2"),
        ("time,v\n23:59,5\n00:00,7\n", None, {}, "line 2: '23:59' in column 'time' is not an ISO date"),
        (",v\n0,5\n1,7\n", None, {}, "line 2: '0' in column '' is not an ISO date"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, content: str, column: str | None, options: dict[str, Any], message: str) -> None:
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    with pytest.raises(SeriesError, match=message):
        read_series(tmp_path / "x.csv", column, **options)
