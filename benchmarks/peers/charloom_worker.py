"""Worker of ``forecast_peers``: charloom's automatic forecaster, with the requests and answers of StatsForecast's."""

import time
import warnings
from typing import Any

import numpy as np
from worker import answer_requests

from charloom.forecasting import AutoCharloom, ForecastSettings


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    values, horizon, level = np.array(request["values"], np.float64), request["horizon"], request["level"]
    model = AutoCharloom(request["season"], ForecastSettings(horizon=horizon))
    start = time.perf_counter()
    found = model.forecast(values, horizon, level=[level])
    seconds = time.perf_counter() - start
    names = {"mean": "mean", "low": f"lo-{level}", "high": f"hi-{level}"}
    return {name: found[key].tolist() for name, key in names.items()} | {"seconds": seconds}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    answer_requests(_answer)
