"""The curves of a history: of any length, with values that no axis can show."""

import math
import time

import pytest

from charloom import EpochRecord, History
from html_fragments import cells_of, show

_SVG = "{http://www.w3.org/2000/svg}svg"


def _history(*perplexities: float, validation: tuple[float, ...] = ()) -> History:
    return History(
        EpochRecord(epoch, value, validation[epoch - 1] if validation else None, epoch / 2, 12_345.6)
        for epoch, value in enumerate(perplexities, 1)
    )


def test_curves_and_figures() -> None:
    html = show(_history(9.0, 5.0, 4.0, validation=(8.0, 6.0, 7.0)))
    assert "<svg" in html
    assert ">training<" in html
    assert ">validation<" in html
    assert cells_of(html) == [
        ["epochs", "3"],
        ["seconds", "1.5"],
        ["characters per second", "12,346"],
        ["perplexity", "4"],
        ["validation perplexity", "7"],
        ["best validation perplexity, epoch 2", "6"],
    ]


def test_without_validation() -> None:
    html = show(_history(9.0))
    assert ">validation<" not in html
    assert ["perplexity", "9"] in cells_of(html)


@pytest.mark.parametrize(
    "perplexities", [(math.nan,), (math.inf, math.nan), (3.0, math.inf, math.nan), (1.0, 1.0), (1e300,), (2.0,) * 5000]
)
@pytest.mark.parametrize("validated", [False, True])
def test_any_values_are_shown_fast(perplexities: tuple[float, ...], validated: bool) -> None:
    show(_history(2.0))  # imports matplotlib
    start = time.process_time()
    show(_history(*perplexities, validation=perplexities if validated else ()))
    assert time.process_time() - start < 1


def test_no_epochs() -> None:
    assert "no epochs" in show(History())


def test_values_that_are_cut_off_are_named() -> None:
    html = show(_history(9.0, 1e9, 4.0, validation=(8.0, 6.0, 7.0)))
    assert ">training, cut off at 1,000,000<" in html
    assert ">validation<" in html
