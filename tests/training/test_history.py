"""Records of epochs: the best one, and JSON."""

import json
import math

import pytest

from charloom import EpochRecord, History


def test_the_best_record() -> None:
    """The first of equal ones; an infinite perplexity counts; without validation there is none."""

    def history(*values: float | None) -> History:
        return History([EpochRecord(epoch, 2.0, value, 1.0, 1.0) for epoch, value in enumerate(values, 1)])

    assert history(3.0, 2.0, 2.0, 4.0).best == EpochRecord(2, 2.0, 2.0, 1.0, 1.0)
    assert history(math.inf, math.inf).best == EpochRecord(1, 2.0, math.inf, 1.0, 1.0)
    assert history(None, None).best is None
    assert history().best is None


@pytest.mark.parametrize("validation", [None, 3.25, math.inf])
def test_a_record_round_trips_through_json(validation: float | None) -> None:
    """JSON has no infinity; with a validation text null is an infinite perplexity, otherwise a missing one."""
    record = EpochRecord(7, math.inf, validation, 1.5, 0.1 + 0.2)
    read = EpochRecord.from_dict(json.loads(record.to_json()), validated=validation is not None)
    assert read == record


@pytest.mark.parametrize(
    "wrong", [{"perplexity": "nan"}, {"seconds": [1]}, {"chars_per_second": 10**400}, {"epoch": None}]
)
def test_other_json_is_refused(wrong: dict[str, object]) -> None:
    values = EpochRecord(1, 2.0, None, 1.0, 1.0).to_dict() | wrong
    with pytest.raises((KeyError, TypeError, ValueError, OverflowError)):
        EpochRecord.from_dict(values, validated=False)  # type: ignore[arg-type]


def test_a_frame_has_a_row_for_each_epoch() -> None:
    """Without validation its column is NaN."""
    frame = History([EpochRecord(1, 3.0, None, 0.5, 9.0), EpochRecord(2, math.inf, 2.5, 1.0, 9.0, True)]).to_frame()
    assert frame["epoch"].tolist() == [1, 2]
    assert frame["perplexity"].tolist() == [3.0, math.inf]
    assert frame["validation_perplexity"].isna().tolist() == [True, False]
    assert frame["reached_time_limit"].tolist() == [False, True]
    assert len(History().to_frame()) == 0
