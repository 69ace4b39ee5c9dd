"""The start of a training run: text, model and, if a run is resumed, its checkpoint; and an estimate of its memory."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from charloom.errors import Argument, CharloomWarning, CheckpointError, SettingsError, UnknownCharacterError, pluralize
from charloom.models.building import build_model, extend_model
from charloom.models.language_model import LanguageModel
from charloom.runs.fitting import given_settings
from charloom.runs.plan import RunPlan, corpus_settings_of
from charloom.settings.corpus import CorpusSettings
from charloom.settings.recipes import AUTO, Recipe, load_recipe
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus
from charloom.text.documents import HUGGING_FACE
from charloom.text.encoding import MAX_IN_MEMORY
from charloom.text.named_corpora import NAMED_CORPORA, PYTHON_REFERENCE, default_recipe
from charloom.text.stored_ids import StoredIds
from charloom.text.vocabulary import describe_character
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.file_format import JsonObject
from charloom.training.checkpoints.folder import newest_checkpoint
from charloom.training.checkpoints.resumption import (
    check_corpus,
    check_settings,
    describe_differences,
    describe_former_value,
)
from charloom_codec.cells import CELL_OF_MODE
from charloom_codec.io.standard_streams import STANDARD_INPUT

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Start:
    """The start of a run.

    Attributes:
        corpus: The text, in the vocabulary of the model.
        model: The model, with the weights that training starts from.
        settings: Settings of the training loop.
        source: Origin of the text, as JSON values, for checkpoints.
        checkpoint: The checkpoint that the run continues from; None for a new run.
        description: Description of the start for display, in one line.
    """

    corpus: Corpus
    model: LanguageModel
    settings: TrainingSettings
    source: JsonObject
    checkpoint: Checkpoint | None
    description: str


def recipe_of_plan(plan: RunPlan) -> Recipe:
    """Returns the plan's recipe. Without one: that of the resumed run, or the default of the text.

    To fine-tune, the default takes the settings that the model dictates.
    """
    if plan.recipe is not None:
        return plan.recipe
    if resume := plan.resume_path:
        return recipe_of_run(resume)
    # A trained model keeps its size, and needs a smaller learning rate than a new one.
    recipe = load_recipe(default_recipe(plan.texts, fits=plan.init_from is None))
    if isinstance(plan.corpus, Corpus):
        recipe = replace(recipe, corpus=corpus_settings_of(plan.corpus))
    return recipe if plan.init_from is None else recipe.with_changes(fixed_settings(LanguageModel.load(plan.init_from)))


def recipe_of_run(path: str | Path) -> Recipe:
    """Returns the settings of a run that can be resumed, by its folder or one of its checkpoint files.

    Raises CheckpointError if there is no checkpoint that can be read.
    """
    checkpoint = newest_checkpoint(path)
    return _recipe_of_checkpoint(checkpoint, checkpoint.make_model())


def _recipe_of_checkpoint(checkpoint: Checkpoint, model: LanguageModel) -> Recipe:
    stored = checkpoint.source.get("settings", {})
    try:
        corpus = CorpusSettings(**stored)
    except (TypeError, SettingsError) as error:
        raise CheckpointError(f"{checkpoint.path}: damaged, or written by another version ({error!s:.200})") from None
    return Recipe(corpus, model.settings, checkpoint.settings)


def fixed_settings(model: LanguageModel) -> JsonObject:
    """Returns the settings that a model's weights and vocabulary dictate, and its dropout, by name."""
    settings = asdict(model.settings)
    del settings["init_sigma"]  # a model does not store it; only new weights need it
    return {"unit": model.vocabulary.unit, **asdict(model.vocabulary.clean_up), **settings}


def resolve_settings(
    plan: RunPlan, recipe: Recipe, checkpoint: Checkpoint | None, restarts: int
) -> tuple[Recipe, LanguageModel | None]:
    """Returns all settings of the run and the model that it starts from.

    Args:
        plan: Plan of the run.
        recipe: Settings that the caller passed; None in a field of the corpus settings if it was omitted.
        checkpoint: Checkpoint to resume; None for a new run.
        restarts: Number of restarts by torchrun.

    Returns:
        The recipe, with settings of the resumed run or of the model filled in, and the model, with the recipe's
        dropout; None if a new model is to be built.

    Raises:
        SettingsError: A setting contradicts the model or the resumed run.
        ModelFolderError: The model to start from cannot be read.
        CheckpointError: The checkpoint is damaged.
    """
    if checkpoint is not None:
        model = checkpoint.make_model()
        own = _recipe_of_checkpoint(checkpoint, model)
        if recipe.name == AUTO:
            # The settings were chosen when the run was started, and another choice would make it another run.
            kept = {name: recipe.values[name] for name in given_settings(recipe)}
            recipe = replace(own.with_changes(kept), corpus=recipe.corpus)
        # torchrun repeats the command line of the first start, which may contradict the checkpoint.
        if restarts:
            recipe = replace(own, training=recipe.training)
        else:
            # A model does not store init_sigma, so there is no value to contradict.
            own = replace(own, model=replace(own.model, init_sigma=recipe.model.init_sigma))
            given = {name: value for name, value in vars(recipe.corpus).items() if value is not None}
            recipe = replace(recipe, corpus=replace(own.corpus, **given))
            for group in ("corpus", "model"):
                _check_unchanged(asdict(getattr(own, group)), asdict(getattr(recipe, group)), "the run was started ")
        check_settings(checkpoint, recipe.training)
        return recipe, model
    if plan.init_from is None:
        return recipe, None
    model = LanguageModel.load(plan.init_from)
    known = {name: value for name, value in fixed_settings(model).items() if name != "dropout"}
    unset = [name for name, value in vars(recipe.corpus).items() if value is None and name in known]
    recipe = recipe.with_changes({name: known[name] for name in unset})
    _check_unchanged(known, recipe.values, f"the model in {plan.init_from} was trained ")
    # Dropout has no weights, so it may change. PyTorch warns of dropout between layers if there is only one.
    model.dropout.p = recipe.model.dropout
    model.layer.dropout = recipe.model.dropout if recipe.model.num_layers > 1 else 0.0
    return recipe, model


def start_resumed(
    plan: RunPlan, recipe: Recipe, model: LanguageModel, checkpoint: Checkpoint, corpus: Corpus, restarts: int
) -> Start:
    """Returns the start of a resumed run. Raises CheckpointError if the corpus is not its text."""
    check_corpus(checkpoint, corpus)
    # A warning, not an error: another version or kernel changes the rounding, not the method.
    if others := describe_differences(checkpoint):
        warnings.warn(f"{others}: the last bits of the results may differ", CharloomWarning, stacklevel=2)
    verb = f"restart {restarts} after the loss of a process: resumed at" if restarts else "resumed at"
    description = ", ".join([f"{verb} {checkpoint.position}", *check_settings(checkpoint, recipe.training)])
    # A text that the plan names replaces the stored one, which may have moved.
    source = checkpoint.source | (_source(plan, corpus, recipe.corpus) if plan.corpus else {})
    return Start(corpus.in_vocabulary(model.vocabulary), model, recipe.training, source, checkpoint, description)


def start_new(plan: RunPlan, recipe: Recipe, model: LanguageModel | None, corpus: Corpus) -> Start:
    """Returns the start of a run from new weights or, to fine-tune, from those of a model.

    Args:
        plan: Plan of the run.
        recipe: All settings of the run.
        model: Model to fine-tune; None to build one.
        corpus: The text.

    Raises:
        UnknownCharacterError: The text has characters that the model lacks, and ``extend_vocabulary`` is not set.
    """
    source = _source(plan, corpus, recipe.corpus)
    seed = recipe.training.seed
    if model is None:
        description = recipe.reasons or (f"recipe {recipe.name}" if recipe.name else "new weights")
        model = build_model(corpus.vocabulary, recipe.model, seed=seed)
        return Start(corpus, model, recipe.training, source, None, description)
    description = f"from the weights in {plan.init_from}"
    known = set(model.vocabulary.tokens)
    # Token 0 stands for all tokens out of vocabulary, and has its place in every vocabulary.
    missing = [token for token in corpus.vocabulary.tokens[1:] if token not in known]
    if missing and recipe.corpus.unit == "char":
        if not plan.extend_vocabulary:
            named = ", ".join(describe_character(str(token)) for token in missing[:5])
            raise UnknownCharacterError(
                f"{corpus.name} has {pluralize(len(missing), 'character')} that the model in {plan.init_from} lacks "
                f"({named}{' ...' if len(missing) > 5 else ''}): use ",
                *(Argument("extend_vocabulary", True), f" to add {'it' if len(missing) == 1 else 'them'}"),
            )
        # New tokens are appended, so that the ids and weights of the known ones stay valid.
        longer = model.vocabulary.extended(map(str, missing))
        model = extend_model(model, longer, init_sigma=recipe.model.init_sigma, seed=seed)
        description += f", {pluralize(len(missing), 'new character')}"
    return Start(corpus.in_vocabulary(model.vocabulary), model, recipe.training, source, None, description)


def _source(plan: RunPlan, corpus: Corpus, settings: CorpusSettings) -> JsonObject:
    """Returns the names or absolute paths of the texts, none for a plan with a Corpus, and the corpus settings."""
    # Absolute, so that the run can be resumed from another working folder.
    texts = [name if _is_stdin_or_hugging_face(name) else str(Path(name).absolute()) for name in plan.texts]
    if isinstance(plan.corpus, Corpus):
        texts = []
    elif len(texts) < 2 and (not texts or corpus.name in (*NAMED_CORPORA, PYTHON_REFERENCE)):
        texts = [corpus.name]
    return {"texts": texts, "settings": asdict(settings) | asdict(corpus.vocabulary.clean_up)}


def stored_texts(checkpoint: Checkpoint) -> list[str]:
    """Returns the names or paths of a run's texts. Raises CheckpointError if they cannot be read from there again."""
    hint = ("pass the text together with ", Argument("resume"))
    texts = checkpoint.source.get("texts")
    if not isinstance(texts, list) or not texts or not all(isinstance(name, str) and name for name in texts):
        raise CheckpointError(f"{checkpoint.path}: the checkpoint does not record its training text", hint=hint)
    for name in texts:
        if name == STANDARD_INPUT:
            raise CheckpointError(f"{checkpoint.path}: the training text was read from standard input", hint=hint)
        named = len(texts) == 1 and name in (*NAMED_CORPORA, PYTHON_REFERENCE)
        # Only files and folders: opening a pipe would block, and a checkpoint from elsewhere may name one.
        if not named and not _is_stdin_or_hugging_face(name) and not (Path(name).is_file() or Path(name).is_dir()):
            raise CheckpointError(f"{name}: the training text no longer exists at this path", hint="pass its new path")
    return texts


def _is_stdin_or_hugging_face(name: str) -> bool:
    return name == STANDARD_INPUT or name.startswith(HUGGING_FACE)


def _check_unchanged(before: Mapping[str, object], now: Mapping[str, object], reason: str) -> None:
    for name, value in before.items():
        if now[name] != value:
            raise SettingsError(
                *(reason, *describe_former_value(name, value)),
                setting=name,
                value=now[name],
                hint="omit this setting",
            )


def estimate_memory(model: LanguageModel, settings: TrainingSettings, ids: StoredIds) -> int:
    """Returns an estimate of the peak memory of training, in bytes, without the program itself.

    Args:
        model: The model.
        settings: Settings of the training loop.
        ids: Token ids of the text.
    """
    # A checkpoint needs no memory of its own: it is written from the tensors counted here.
    parameters = sum(parameter.numel() for parameter in model.parameters())
    # Weights and gradients; AdamW's moments; the weights of the last epoch, of the one that ends, and of the best.
    kept = 2 + (2 if settings.optimizer == "adamw" else 0) + 2 + (1 if settings.validation_fraction else 0)
    layer = model.layer
    # Values that a step stores per character for the backward pass: those of each layer, and two for each logit. The
    # two are the logit and its log-softmax in PyTorch; the kernels store only the gradient of the logit.
    per_char = layer.num_layers * layer.hidden_size * CELL_OF_MODE[layer.mode].kept_per_unit + 2 * len(model.vocabulary)
    floats = parameters * kept + settings.batch_size * settings.num_steps * per_char
    # A longer text than MAX_IN_MEMORY is read from a file.
    return floats * _FLOAT_BYTES + min(len(ids) * ids.bytes_per_id, MAX_IN_MEMORY)
