"""A run in a folder, from Python: one call trains, saves, resumes; contradictions are refused in advance."""

from dataclasses import replace
from pathlib import Path

import pytest

import charloom
from charloom import (
    CharloomError,
    InputError,
    LanguageModel,
    ModelSettings,
    Recipe,
    RunPlan,
    SettingsError,
    TrainingRun,
    load_recipe,
    newest_checkpoint,
)
from charloom.runs import folder
from charloom.runs.start import resolve_settings
from charloom.settings import CorpusSettings, TrainingSettings
from charloom.training.events import EpochEnded, Event, StepEnded, StopTraining

_TEXT = "A fox and a dog met by the well, and the fox said nothing at all. " * 20
_RECIPE = Recipe(
    CorpusSettings(),
    ModelSettings(cell="gru", hidden_size=8),
    TrainingSettings(
        *(4, 1, 8, 3),
        optimizer="adamw",
        learning_rate=0.01,
        validation_fraction=0.1,
        sample_every=0,
        prefix=("fox",),
    ),
)


class _StopAt:
    def __init__(self, steps: int) -> None:
        self._steps = steps

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepEnded) and event.steps == self._steps:
            raise StopTraining


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "fable.txt"
    file.write_text(_TEXT)
    return file


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _weights(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


def test_one_call_trains_resumes_and_then_has_nothing_to_do(tmp_path: Path, text: Path) -> None:
    """The same call, repeated until the run ends, gives the result of an uninterrupted run."""
    whole = TrainingRun(RunPlan(text, tmp_path / "whole", _RECIPE)).run()
    assert whole.status == "finished"
    plan = RunPlan(text, tmp_path / "parts", replace(_RECIPE, name="mine"), resume=True)
    assert TrainingRun(plan).run([_StopAt(20)]).status == "stopped"
    assert TrainingRun(plan).run([_StopAt(50)]).status == "stopped"
    done = TrainingRun(plan).run()
    assert done.status == "finished"
    assert [record.perplexity for record in done.history] == [record.perplexity for record in whole.history]
    assert _weights(tmp_path / "parts") == _weights(tmp_path / "whole")
    again = TrainingRun(plan).run()
    assert again.status == "nothing to do"
    assert charloom.generate(again.model, "fox", 20) == charloom.generate(done.model, "fox", 20)
    assert again.kept == done.kept
    longer = charloom.recipe_of_run(tmp_path / "parts").with_changes({"epochs": 4})
    assert len(TrainingRun(RunPlan(output=tmp_path / "parts", recipe=longer, resume=True)).run().history) == 4


def test_settings_that_were_chosen_are_kept_when_the_run_is_resumed(tmp_path: Path, text: Path) -> None:
    """The same plan resumes the run; another value of a setting that was given is refused."""
    recipe = load_recipe("auto").with_changes({"hidden_size": 8, "epochs": 2})
    whole = TrainingRun(RunPlan(text, tmp_path / "whole", recipe)).run()
    assert whole.model.layer.hidden_size == 8
    plan = RunPlan(text, tmp_path / "parts", recipe, resume=True)
    assert TrainingRun(plan).run([_StopAt(7)]).status == "stopped"
    larger = replace(plan, recipe=recipe.with_changes({"hidden_size": 9}))
    with pytest.raises(SettingsError, match="hidden_size is 9"):
        TrainingRun(larger).run()
    assert TrainingRun(plan).run().status == "finished"
    assert _weights(tmp_path / "parts") == _weights(tmp_path / "whole")


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_restart_has_the_settings_that_were_chosen(restarts: int, tmp_path: Path, text: Path) -> None:
    """torchrun repeats the command of the first start, whose recipe has no chosen settings yet."""
    plan = RunPlan(text, tmp_path / "run", load_recipe("auto").with_changes({"epochs": 2}))
    run = TrainingRun(plan)
    run.run([_StopAt(7)])
    assert plan.recipe is not None
    recipe, _ = resolve_settings(plan, plan.recipe, newest_checkpoint(tmp_path / "run"), restarts)
    assert recipe.training == run.start.settings
    assert recipe.model.hidden_size == run.start.model.layer.hidden_size


def test_a_run_that_was_killed_while_it_was_saved_is_saved_again(tmp_path: Path, text: Path) -> None:
    """The model is there before what compression needs: without that, the run is not done."""
    plan = RunPlan(text, tmp_path / "run", _RECIPE, resume=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "prepare_codec", _killed)
        with pytest.raises(KeyboardInterrupt):
            TrainingRun(plan).run()
    assert (tmp_path / "run" / "config.json").exists()
    assert TrainingRun(plan).run().status == "nothing to do"
    assert {"codec.safetensors", "history.png"} <= {file.name for file in (tmp_path / "run").iterdir()}
    with TrainingRun(plan) as run:
        assert run.can_skip_training


def test_a_diverged_run_ends_with_its_last_good_epoch(tmp_path: Path, text: Path) -> None:
    def spoil(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.record.epoch == 2:
            run.start.model.output.bias.data.fill_(float("nan"))

    with TrainingRun(RunPlan(text, tmp_path / "model", _RECIPE)) as run:
        outcome = run.train([spoil])
    assert outcome.status == "diverged"
    assert "the model of epoch 2 is saved in" in str(outcome.error)
    assert outcome.kept is not None
    assert outcome.kept.epoch == 2
    assert LanguageModel.load(tmp_path / "model").provenance["results"]["epoch"] == 2
    lower = charloom.recipe_of_run(tmp_path / "model").with_changes({"learning_rate": 0.001})
    assert TrainingRun(RunPlan(output=tmp_path / "model", recipe=lower, resume=True)).run().status == "finished"


def test_a_run_that_fails_within_an_epoch_saves_its_present_weights(tmp_path: Path, text: Path) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, StepEnded) and event.epoch == 2:
            raise OSError("gone")

    with pytest.raises(CharloomError, match="gone; the model of epoch 1 and later minibatches is saved in"):
        TrainingRun(RunPlan(text, tmp_path / "model", _RECIPE)).run([fail])
    assert LanguageModel.load(tmp_path / "model").provenance["results"]["minibatches_after_epoch"] == 1


def test_a_folder_in_use_is_refused_and_left_unchanged(tmp_path: Path, text: Path) -> None:
    plan = RunPlan(text, tmp_path / "model", _RECIPE)
    with TrainingRun(plan), pytest.raises(CharloomError, match="another run is using this folder"):
        TrainingRun(plan).run()
    assert not (tmp_path / "model").exists()  # nothing was trained


def test_a_run_is_entered_once_and_trains_once(tmp_path: Path, text: Path) -> None:
    """Otherwise it would train weights that are trained, or without the folder's lock."""
    run = TrainingRun(RunPlan(text, tmp_path / "run", _RECIPE))
    with pytest.raises(InputError, match="can train only once, within its `with` statement"):
        run.train()
    with run:
        run.train()
        with pytest.raises(InputError, match="train only once"):
            run.train()
    weights, history = _weights(tmp_path / "run"), (tmp_path / "run" / "history.jsonl").read_bytes()
    for again in (run.train, run.run):
        with pytest.raises(InputError, match="TrainingRun"):
            again()
    assert (_weights(tmp_path / "run"), (tmp_path / "run" / "history.jsonl").read_bytes()) == (weights, history)


def test_a_file_in_place_of_the_folder_is_named(text: Path) -> None:
    run = TrainingRun(RunPlan(text, text, _RECIPE))
    with pytest.raises(CharloomError, match=r"fable\.txt is a file; choose a folder with output"):
        run.run()
    assert text.read_text() == _TEXT


def test_a_name_on_the_hub_is_no_folder(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(text.parent)
    with pytest.raises(CharloomError, match="hf:me/fable is a name on the Hub; choose a folder with output"):
        TrainingRun(RunPlan(text, Path("hf:me/fable"), _RECIPE)).run()
    assert not Path("hf:me").exists()


def test_a_schedule_cannot_be_changed_by_resuming(tmp_path: Path, text: Path) -> None:
    TrainingRun(RunPlan(text, tmp_path / "run", _RECIPE)).run()
    recipe = charloom.recipe_of_run(tmp_path / "run").with_changes({"epochs": 9, "schedule": "cosine"})
    run = TrainingRun(RunPlan(output=tmp_path / "run", recipe=recipe, resume=True))
    with pytest.raises(CharloomError, match="schedule is 'cosine': the run was started with schedule='constant'"):
        run.run()
