"""The length of a season, found in seasonal series only."""

import numpy as np
import pytest

from charloom.forecasting import find_season


@pytest.mark.parametrize("season", [4, 7, 12, 30])
def test_a_season_is_found(season: int) -> None:
    random = np.random.default_rng(season)
    shape = random.normal(size=season)
    time = np.arange(season * 12)
    assert find_season(shape[time % season] + 0.05 * time + random.normal(0, 0.3, len(time))) == season


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_season(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert find_season(random.normal(size=300).cumsum()) == 1


@pytest.mark.parametrize(
    "values", [[1.0] * 40, [1.0, 2.0] * 3 + [1.0], [3.0], range(60)], ids=["constant", "seven points", "one", "line"]
)
def test_series_without_a_season(values: list[float]) -> None:
    assert find_season(values) == 1


def test_the_season_is_the_shortest_of_its_multiples() -> None:
    shape = np.array([0.0, 5.0, 1.0, -3.0])
    values = np.tile(shape, 30) + np.random.default_rng(0).normal(0, 0.2, 120)
    assert find_season(values) == 4
    assert find_season(values[:16]) == 4


def test_the_unit_and_the_trend_do_not_matter() -> None:
    random = np.random.default_rng(3)
    values = np.tile(random.normal(size=7), 14) + random.normal(0, 0.2, 98)
    for changed in (values * 1e200, values * 1e-200, values * -3 + 1e4, values + np.arange(98)):
        assert find_season(changed) == 7
