"""The events of a sweep, in order."""

from typing import Any

import pytest

from charloom import Recipe, corpus_from, sweep
from charloom.sweeps.events import RunEnded, SweepProgressed, SweepStarted


@pytest.mark.usefixtures("forked_workers")
def test_the_start_each_end_and_the_progress() -> None:
    events: list[Any] = []
    recipe = Recipe().with_changes(
        {"hidden_size": 4, "batch_size": 2, "num_steps": 5, "epochs": 2, "device": "cpu"},
    )
    sweep(corpus_from("A fox and a dog. " * 20), {"cell": ["rnn", "gru"]}, recipe, jobs=1, listeners=[events.append])
    assert events[0] == SweepStarted(num_done=0, num_to_do=2, num_jobs=1, threads=1)
    ended = [event.run.recipe.model.cell for event in events if isinstance(event, RunEnded)]
    assert ended == ["rnn", "gru"]
    fractions = [event.fraction for event in events if isinstance(event, SweepProgressed)]
    assert fractions == sorted(fractions)
    assert events[-1] == SweepProgressed(1.0)
