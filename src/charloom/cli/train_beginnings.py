"""How a run of ``charloom train`` begins: anew, from another model's weights, or where one was interrupted."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charloom.cli import screen
from charloom.errors import CharloomWarning, CheckpointError, SettingsError, UnknownCharacterError
from charloom.settings import CorpusSettings, ModelSettings, TrainingSettings
from charloom.text.documents import HUGGING_FACE
from charloom.text.named_corpora import NAMED_CORPORA, PYTHON_REFERENCE
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel
    from charloom.text.corpora import Corpus
    from charloom.training.checkpoint import Checkpoint

_NEW_RUN = "begin a new run from this one's weights with --init-from"
_LONG_TEXT = 1 << 25
"""Bytes that take long enough for a bar."""


@dataclass(frozen=True)
class Beginning:
    """What training starts with.

    Attributes:
        corpus: The text.
        model: The model, untrained or not.
        source: Where the text comes from, for checkpoints: what ``resumed`` reads.
        checkpoint: Where to go on; None for a new run.
        words: What to show of all this.
    """

    corpus: "Corpus"
    model: "LanguageModel"
    source: dict[str, Any]
    checkpoint: "Checkpoint | None"
    words: str


def anew(texts: Sequence[str], text: CorpusSettings, model: ModelSettings, seed: int, recipe: str) -> Beginning:
    """A new model."""
    from charloom.model_building import build_model

    corpus = _load(texts, text)
    built = build_model(corpus.vocabulary, model, seed=seed)
    return Beginning(corpus, built, _source(texts, corpus, text), None, f"recipe {recipe}")


def from_model(
    path: Path, texts: Sequence[str], text: CorpusSettings, model: ModelSettings, seed: int, *, extend: bool
) -> Beginning:
    """A new run that begins with the weights of the model in a folder.

    extend: Add the characters that its vocabulary lacks. Raises SettingsError for what contradicts the model.
    """
    from charloom.language_model import LanguageModel
    from charloom.model_building import extend_model, settings_of
    from charloom.text.vocabulary import named_character

    built = LanguageModel.load(path)
    known = settings_of(built)
    _refuse_changes(
        asdict(replace(known, init_sigma=model.init_sigma, dropout=model.dropout)),
        asdict(model),
        f"the model in {path} has",
    )
    clean_up = vars(built.vocabulary.clean_up)
    _refuse_changes(
        {"unit": built.vocabulary.unit, **clean_up},
        vars(text),
        f"the model in {path} was trained with",
    )
    corpus = _load(texts, text)
    known_tokens = set(built.vocabulary.tokens)
    missing = [token for token in corpus.vocabulary.tokens[1:] if token not in known_tokens]
    if missing and text.unit == "char":
        if not extend:
            named = ", ".join(named_character(str(token)) for token in missing[:5])
            named += " ..." if len(missing) > 5 else ""
            raise UnknownCharacterError(
                f"{corpus.name} has {len(missing)} characters that the model in {path} lacks ({named}): "
                "--extend-vocabulary adds them"
            )
        longer = built.vocabulary.extended(map(str, missing))
        built = extend_model(built, longer, init_sigma=model.init_sigma, seed=seed)
    built.dropout.p = model.dropout
    built.layer.dropout = model.dropout if model.num_layers > 1 else 0.0
    words = f"from the weights in {path}" + (f", {len(missing)} new characters" if missing else "")
    return Beginning(corpus.in_vocabulary(built.vocabulary), built, _source(texts, corpus, text), None, words)


def resumed(
    checkpoint: "Checkpoint",
    texts: Sequence[str],
    text: CorpusSettings,
    model: ModelSettings,
    training: TrainingSettings,
) -> Beginning:
    """Where a run was interrupted. Raises CheckpointError for what it cannot go on with."""
    from charloom.model_building import settings_of

    built = checkpoint.make_model()
    refusal = "the run was begun with"
    _refuse_changes(asdict(settings_of(built)) | {"init_sigma": model.init_sigma}, asdict(model), refusal)
    _refuse_changes(stored_corpus_settings(checkpoint), asdict(text), refusal)
    return _going_on(checkpoint, built, texts, text, training, "resumed at")


def restarted(checkpoint: "Checkpoint", restarts: int, texts: Sequence[str], training: TrainingSettings) -> Beginning:
    """Where a run was when a process of it was lost, which torchrun then started anew, with the same command line.

    restarts: How often it has.
    """
    text = CorpusSettings(**stored_corpus_settings(checkpoint))
    words = f"a process was lost, restart {restarts}: going on from"
    return _going_on(checkpoint, checkpoint.make_model(), texts, text, training, words)


def _going_on(
    checkpoint: "Checkpoint",
    built: "LanguageModel",
    texts: Sequence[str],
    text: CorpusSettings,
    training: TrainingSettings,
    words: str,
) -> Beginning:
    from charloom.training.resumption import check_corpus, check_settings, differences

    with screen.hinting(f"leave it out, or {_NEW_RUN}"):
        changes = check_settings(checkpoint, training)
    corpus = _load(texts or _stored_texts(checkpoint), text)
    with screen.hinting(f"name the right one before --resume, or {_NEW_RUN}"):
        check_corpus(checkpoint, {"name": corpus.name, "sha256": corpus.fingerprint, "num_chars": len(corpus.ids)})
    if others := differences(checkpoint):
        warnings.warn(f"{others}: the last bits may differ", CharloomWarning, stacklevel=2)
    words = ", ".join([f"{words} {checkpoint.place}", *changes])
    source = checkpoint.source | (_source(texts, corpus, text) if texts else {})
    return Beginning(corpus.in_vocabulary(built.vocabulary), built, source, checkpoint, words)


def _load(texts: Sequence[str], text: CorpusSettings) -> "Corpus":
    """Loads the text; where it is long, with a progress bar, which one process on a machine shows."""
    from charloom.text.corpora import load_corpus

    with screen.reading_progress("reading the text") as progress:
        shown = os.environ.get("LOCAL_RANK", "0") == "0"

        def show(done: int, total: int | None) -> None:
            if shown and not progress.tasks and (done if total is None else total) > _LONG_TEXT:
                progress.add_task("")
            for task in progress.task_ids:
                progress.update(task, completed=done, total=total)

        return load_corpus(texts or None, **vars(text), progress=show)


def stored_corpus_settings(checkpoint: "Checkpoint") -> dict[str, Any]:
    """How the run's text was read; as usual where the checkpoint does not say."""
    stored = checkpoint.source.get("settings", {})
    try:
        return asdict(CorpusSettings(**stored))
    except (TypeError, SettingsError) as error:
        raise CheckpointError(f"{checkpoint.path}: damaged, or of another version ({error!s:.200})") from None


def _source(texts: Sequence[str], corpus: "Corpus", text: CorpusSettings) -> dict[str, Any]:
    """As JSON values: names and absolute paths, and the clean-up as it turned out to be."""
    named = corpus.name in NAMED_CORPORA or corpus.name == PYTHON_REFERENCE
    if not texts or (len(texts) == 1 and named):
        places = [corpus.name]
    else:
        places = [name if _no_file(name) else str(Path(name).absolute()) for name in texts]
    return {"texts": places, "settings": asdict(text) | vars(corpus.vocabulary.clean_up)}


def _stored_texts(checkpoint: "Checkpoint") -> list[str]:
    texts = checkpoint.source.get("texts")
    if not isinstance(texts, list) or not texts or not all(isinstance(name, str) and name for name in texts):
        raise CheckpointError(f"{checkpoint.path}: does not say where its text is: name it before --resume")
    for name in texts:
        if name == STANDARD_INPUT:
            raise CheckpointError(
                f"{checkpoint.path}: its text came from standard input: give it again, as - before --resume"
            )
        named = len(texts) == 1 and (name in NAMED_CORPORA or name == PYTHON_REFERENCE)
        # A pipe would be waited for, and whoever made the checkpoint may have named any.
        if not named and not _no_file(name) and not (Path(name).is_file() or Path(name).is_dir()):
            raise CheckpointError(f"{name}: the run's text is not there any more: name its new place before --resume")
    return texts


def _no_file(name: str) -> bool:
    return name == STANDARD_INPUT or name.startswith(HUGGING_FACE)


def _refuse_changes(before: dict[str, Any], now: dict[str, Any], refusal: str) -> None:
    """refusal: What the value that was before comes after."""
    for name, value in before.items():
        if now[name] != value:
            raise SettingsError(f"{refusal} {value!r}", setting=name, value=now[name], hint="leave it out")
