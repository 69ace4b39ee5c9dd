"""The start of a training run: text, model and, if a run is resumed, its checkpoint."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from charloom.errors import Argument, CharloomWarning, CheckpointError, SettingsError, UnknownCharacterError
from charloom.models.building import build_model, extend_model
from charloom.models.language_model import LanguageModel
from charloom.runs.plan import RunPlan, corpus_settings_of
from charloom.settings.corpus import CorpusSettings
from charloom.settings.recipes import Recipe, load_recipe
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus, load_corpus
from charloom.text.documents import HUGGING_FACE
from charloom.text.named_corpora import NAMED_CORPORA, PYTHON_REFERENCE, usual_recipe
from charloom.text.sources import STANDARD_INPUT
from charloom.text.vocabulary import named_character
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import newest_checkpoint
from charloom.training.checkpoints.resumption import check_corpus, check_settings, differences

ReadingProgress = Callable[[int, int | None], None]
"""Called with the bytes of the text that are read, and with how many there are if that is known."""


@dataclass(frozen=True)
class Start:
    """What a run starts with.

    Attributes:
        corpus: The text.
        model: The model, with the weights that training starts from.
        settings: Settings of the training loop.
        source: Origin of the text, as JSON values, for checkpoints.
        checkpoint: The checkpoint that the run continues from; None for a new run.
        description: One line for people.
    """

    corpus: Corpus
    model: LanguageModel
    settings: TrainingSettings
    source: dict[str, Any]
    checkpoint: Checkpoint | None
    description: str


def recipe_of(plan: RunPlan) -> Recipe:
    """Returns the plan's recipe, or the one that goes with its start."""
    if plan.recipe is not None:
        return plan.recipe
    if resume := plan.resumes:
        return recipe_of_run(resume)
    recipe = load_recipe(usual_recipe(plan.texts))
    if isinstance(plan.corpus, Corpus):
        recipe = replace(recipe, corpus=CorpusSettings(**corpus_settings_of(plan.corpus)))
    return recipe if plan.init_from is None else recipe.with_changes(fixed_settings(LanguageModel.load(plan.init_from)))


def recipe_of_run(path: str | Path) -> Recipe:
    """Returns the settings of a run that can be resumed.

    Args:
        path: Folder of the run, or one of its checkpoint files.

    Raises:
        CheckpointError: There is no checkpoint that can be read.
    """
    return _recipe_of(newest_checkpoint(path))


def _recipe_of(checkpoint: Checkpoint) -> Recipe:
    stored = checkpoint.source.get("settings", {})
    try:
        corpus = CorpusSettings(**stored)
    except (TypeError, SettingsError) as error:
        raise CheckpointError(f"{checkpoint.path}: damaged, or of another version ({error!s:.200})") from None
    return Recipe(corpus, checkpoint.make_model().settings, checkpoint.settings)


def fixed_settings(model: LanguageModel) -> dict[str, Any]:
    """Returns the settings that a model's weights and vocabulary dictate, and its dropout, by name."""
    settings = asdict(model.settings)
    del settings["init_sigma"]
    return {"unit": model.vocabulary.unit, **vars(model.vocabulary.clean_up), **settings}


def start_fresh(plan: RunPlan, recipe: Recipe, progress: ReadingProgress | None = None) -> Start:
    """Starts from new weights."""
    corpus = _load(plan.corpus, recipe.corpus, progress)
    model = build_model(corpus.vocabulary, recipe.model, seed=recipe.training.seed)
    source = _source(plan.corpus, corpus, recipe.corpus)
    return Start(
        corpus, model, recipe.training, source, None, f"recipe {recipe.name}" if recipe.name else "new weights"
    )


def fine_tune(plan: RunPlan, recipe: Recipe, progress: ReadingProgress | None = None) -> Start:
    """Starts from the weights of the model in ``plan.init_from``.

    Raises:
        SettingsError: A setting contradicts the model.
        UnknownCharacterError: The text has characters that the model lacks, and ``extend_vocabulary`` is not set.
    """
    path = plan.init_from
    assert path is not None
    model = LanguageModel.load(path)
    wanted, free = recipe.model, ("dropout", "init_sigma")
    given = asdict(wanted) | asdict(recipe.corpus)
    known = {name: value for name, value in fixed_settings(model).items() if name not in free}
    _refuse_changes(known, given, f"the model in {path} has")
    corpus = _load(plan.corpus, recipe.corpus, progress)
    known_tokens = set(model.vocabulary.tokens)
    missing = [token for token in corpus.vocabulary.tokens[1:] if token not in known_tokens]
    if missing and recipe.corpus.unit == "char":
        if not plan.extend_vocabulary:
            named = ", ".join(named_character(str(token)) for token in missing[:5])
            raise UnknownCharacterError(
                f"{corpus.name} has {len(missing)} characters that the model in {path} lacks "
                f"({named}{' ...' if len(missing) > 5 else ''}): ",
                *(Argument("extend_vocabulary", True), " adds them"),
            )
        longer = model.vocabulary.extended(map(str, missing))
        model = extend_model(model, longer, init_sigma=wanted.init_sigma, seed=recipe.training.seed)
    model.dropout.p = wanted.dropout
    model.layer.dropout = wanted.dropout if wanted.num_layers > 1 else 0.0
    description = f"from the weights in {path}" + (f", {len(missing)} new characters" if missing else "")
    source = _source(plan.corpus, corpus, recipe.corpus)
    return Start(corpus.in_vocabulary(model.vocabulary), model, recipe.training, source, None, description)


def resume(
    plan: RunPlan, recipe: Recipe, checkpoint: Checkpoint, restarts: int = 0, progress: ReadingProgress | None = None
) -> Start:
    """Starts where an interrupted run was.

    Args:
        plan: The plan; a corpus in it is the run's, in another place perhaps.
        recipe: The run's settings, but for those that may be changed.
        checkpoint: The checkpoint.
        restarts: Number of times that torchrun has restarted the run. Its command line is that of the first start,
            so that settings of text and model are the checkpoint's.
        progress: Called while the text is read.

    Raises:
        SettingsError: A setting cannot be changed.
        CheckpointError: The text is not there, or is another.
    """
    own = _recipe_of(checkpoint)
    if restarts:
        recipe = replace(own, training=recipe.training)
        verb = f"a process was lost, restart {restarts}: resumed at"
    else:
        own = replace(own, model=replace(own.model, init_sigma=recipe.model.init_sigma))
        given = {name: value for name, value in vars(recipe.corpus).items() if value is not None}
        recipe = replace(recipe, corpus=replace(own.corpus, **given))
        for group in ("corpus", "model"):
            _refuse_changes(asdict(getattr(own, group)), asdict(getattr(recipe, group)), "the run was started with")
        verb = "resumed at"
    changes = check_settings(checkpoint, recipe.training)
    texts = plan.corpus or _stored_texts(checkpoint)
    corpus = _load(texts, recipe.corpus, progress)
    check_corpus(checkpoint, {"name": corpus.name, "sha256": corpus.fingerprint, "num_chars": len(corpus.ids)})
    if others := differences(checkpoint):
        warnings.warn(f"{others}: the last bits may differ", CharloomWarning, stacklevel=2)
    model = checkpoint.make_model()
    source = checkpoint.source | (_source(plan.corpus, corpus, recipe.corpus) if plan.corpus else {})
    description = ", ".join([f"{verb} {checkpoint.place}", *changes])
    return Start(corpus.in_vocabulary(model.vocabulary), model, recipe.training, source, checkpoint, description)


def _load(texts: Any, settings: CorpusSettings, progress: ReadingProgress | None) -> Corpus:
    if isinstance(texts, Corpus):
        return texts
    return load_corpus(texts or None, **vars(settings), progress=progress)


def _source(texts: Any, corpus: Corpus, settings: CorpusSettings) -> dict[str, Any]:
    """Returns names and absolute paths, and the clean-up that was applied, as JSON values."""
    named = corpus.name in NAMED_CORPORA or corpus.name == PYTHON_REFERENCE
    if isinstance(texts, Corpus):
        places = []
    elif not texts or (len(texts) == 1 and named):
        places = [corpus.name]
    else:
        places = [name if _is_no_file(name) else str(Path(name).absolute()) for name in texts]
    return {"texts": places, "settings": asdict(settings) | vars(corpus.vocabulary.clean_up)}


def _stored_texts(checkpoint: Checkpoint) -> list[str]:
    again = "name it again"
    texts = checkpoint.source.get("texts")
    if not isinstance(texts, list) or not texts or not all(isinstance(name, str) and name for name in texts):
        raise CheckpointError(f"{checkpoint.path}: does not say where its text is", hint=again)
    for name in texts:
        if name == STANDARD_INPUT:
            raise CheckpointError(f"{checkpoint.path}: its text came from standard input", hint=again)
        named = len(texts) == 1 and (name in NAMED_CORPORA or name == PYTHON_REFERENCE)
        # A pipe would be waited for, and whoever made the checkpoint may have named any.
        if not named and not _is_no_file(name) and not (Path(name).is_file() or Path(name).is_dir()):
            raise CheckpointError(f"{name}: the run's text is not there any more", hint="name its new place")
    return texts


def _is_no_file(name: str) -> bool:
    return name == STANDARD_INPUT or name.startswith(HUGGING_FACE)


def _refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any], reason: str) -> None:
    for name, value in before.items():
        if now[name] != value:
            raise SettingsError(f"{reason} {value!r}", setting=name, value=now[name], hint="leave it out")
