"""Worker of ``forecast_peers``: StatsForecast's models, and the series that come with it and with statsmodels.

A request is a JSON line: ``{"model": name, "values": [...], "season": 12, "horizon": 18, "level": 80}``, or
``{"series": true}``. The answer has ``mean``, ``low``, ``high`` and ``seconds``; or ``series``; or ``refused``.
"""

import time
import warnings

import numpy as np
from statsforecast import models
from statsforecast.utils import AirPassengers
from statsmodels import datasets
from worker import answer_requests


def load_series():
    """Returns the values and the season of each series, without those that have gaps."""
    el_nino = datasets.elnino.load_pandas().data.drop(columns="YEAR").to_numpy().ravel()
    economy = datasets.macrodata.load_pandas().data
    return {
        "AirPassengers": (AirPassengers.tolist(), 12),
        "elnino": (el_nino.tolist(), 12),
        "macrodata realgdp": (economy["realgdp"].tolist(), 4),
        "macrodata unemp": (economy["unemp"].tolist(), 4),
        "sunspots": (datasets.sunspots.load_pandas().data["SUNACTIVITY"].tolist(), 1),
        "nile": (datasets.nile.load_pandas().data["volume"].tolist(), 1),
    }


def answer(request):
    """Returns the answer to a request."""
    if "series" in request:
        return {"series": load_series()}
    values, level = np.array(request["values"], np.float64), request["level"]
    model = getattr(models, request["model"])(season_length=request["season"])
    start = time.perf_counter()
    found = model.forecast(y=values, h=request["horizon"], level=[level])
    seconds = time.perf_counter() - start
    names = {"mean": "mean", "low": f"lo-{level}", "high": f"hi-{level}"}
    return {name: np.asarray(found[key]).tolist() for name, key in names.items()} | {"seconds": seconds}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    answer_requests(answer)
