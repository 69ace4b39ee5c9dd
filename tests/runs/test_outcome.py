"""The outcome of runs: finished, stopped, or nothing to do."""

from pathlib import Path

import charloom
from charloom import ModelSettings, Recipe, RunPlan, TrainingRun, TrainingSettings
from charloom.training.events import Event, StepEnded, StopTraining


def _plan(folder: Path, minutes: float | None, epochs: int) -> RunPlan:
    training = TrainingSettings(
        batch_size=4, num_steps=6, epochs=epochs, minutes=minutes, sample_every=0, device="cpu", schedule="cosine"
    )
    corpus = charloom.corpus_from("a fox saw a crow and a dog\n" * 40)
    return RunPlan(corpus, folder, Recipe(model=ModelSettings(hidden_size=8), training=training))


def test_a_run_that_reaches_its_time_limit_is_finished(tmp_path: Path) -> None:
    """It cannot be resumed; the limit counts from the start of the run, not of training."""
    run = TrainingRun(_plan(tmp_path / "run", 1, 1_000_000))
    run.started_at -= 59
    outcome = run.run()
    assert outcome.status == "finished"
    assert outcome.history.reached_time_limit
    assert (tmp_path / "run" / "model.safetensors").exists()
    again = TrainingRun(RunPlan(run.plan.corpus, resume=tmp_path / "run")).run()
    assert again.status == "nothing to do"


def test_a_run_that_a_listener_stops_can_be_resumed(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, StepEnded) and event.steps == 3:
            raise StopTraining

    outcome = TrainingRun(_plan(tmp_path / "run", None, 2)).run([stop])
    assert outcome.status == "stopped"
    resumed = TrainingRun(RunPlan(_plan(tmp_path, None, 2).corpus, resume=tmp_path / "run")).run()
    assert resumed.status == "finished"
    assert len(resumed.history) == 2
