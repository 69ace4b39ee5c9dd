import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import SamplingSettings, SettingsError

_INF = math.inf


@pytest.mark.parametrize(("temperature", "power"), [(1.0, 1.0), (0.5, 2.0), (0.0, 1.0)])
def test_temperature_and_power_together_are_refused(temperature: float, power: float) -> None:
    with pytest.raises(SettingsError, match="temperature and power"):
        SamplingSettings(temperature=temperature, power=power)


@pytest.mark.parametrize(
    ("settings", "exponent"),
    [
        (SamplingSettings(), _INF),
        (SamplingSettings(seed=3), _INF),
        (SamplingSettings(temperature=0), _INF),
        (SamplingSettings(temperature=0.0, top_k=5), _INF),
        (SamplingSettings(temperature=5e-324), _INF),
        (SamplingSettings(temperature=0.25), 4.0),
        (SamplingSettings(temperature=1), 1.0),
        (SamplingSettings(power=0), 0.0),
        (SamplingSettings(power=2), 2.0),
        (SamplingSettings(power=2, top_p=0.5), 2.0),
        (SamplingSettings(top_k=5), 1.0),
        (SamplingSettings(top_p=0.9), 1.0),
        (SamplingSettings(top_k=5, top_p=0.9), 1.0),
    ],
    ids=str,
)
def test_the_exponent_and_greedy_choice(settings: SamplingSettings, exponent: float) -> None:
    assert settings.exponent == exponent
    assert settings.greedy == (exponent == _INF)


@given(temperature=st.floats(1e-6, 1e6))
def test_a_power_is_one_over_a_temperature(temperature: float) -> None:
    by_temperature = SamplingSettings(temperature=temperature)
    by_power = SamplingSettings(power=1 / temperature)
    assert math.isclose(by_temperature.exponent, by_power.exponent)
    assert not by_temperature.greedy
    assert not by_power.greedy
