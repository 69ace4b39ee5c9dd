"""Plans of training runs: corpus, settings, folder and initial weights.

``training_run`` carries out a plan; ``start`` builds the text and the model that it describes.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import cast

from charloom.errors import Argument, SettingsError, pluralize
from charloom.models.folder import CHECKPOINT_FOLDER
from charloom.settings.corpus import CorpusSettings
from charloom.settings.recipes import Recipe
from charloom.text.compressed_inputs import detect_compression
from charloom.text.corpora import Corpus
from charloom.text.documents import HUGGING_FACE
from charloom.text.named_corpora import TIME_MACHINE
from charloom.training.checkpoints.folder import find_run_folder, list_checkpoint_files, parse_step_number
from charloom_codec.arguments import PATH, check_type
from charloom_codec.io.standard_streams import STANDARD_INPUT

_FLAGS = ("extend_vocabulary", "force", "priming", "checkpoints", "save_model")


@dataclass(frozen=True)
class RunPlan:
    """Plan of a training run, which ``TrainingRun`` carries out. Arguments are validated when it is created.

    A run starts from scratch, resumes an interrupted one (``resume``) or fine-tunes a trained model (``init_from``).

    Attributes:
        corpus: Text to train on, in the form of ``load_corpus``: names of corpora, files, folders or datasets; or a
            ``Corpus``. Empty: The Time Machine, or the resumed run's text.
        output: Folder of the run. None: the folder of the resumed run, or ``default_folder`` of the corpus.
        recipe: Settings of corpus, model and training. None: those of the resumed run, or the default recipe of the
            corpus, with the settings of the model that is fine-tuned.
        resume: Folder of an interrupted run, or one of its checkpoint files: continue exactly there, with its text and
            settings. True: resume the run in ``output`` if there is one, so that the same plan starts a run and resumes
            it after each interruption.
        init_from: Folder of a model whose weights the run starts from.
        extend_vocabulary: With ``init_from``: add the characters of the text that the model's vocabulary lacks.
        force: Replace a model or run in the folder.
        priming: Store the end of the text in the folder, compressed, as the priming: text that ``charloom compress``
            reads before the data.
        checkpoints: Write checkpoints, so that the run can be resumed.
        save_model: Write the trained model to the folder. If False, only the history is written.
    """

    corpus: "str | Path | Corpus | Sequence[str | Path]" = ()
    output: str | Path | None = None
    recipe: Recipe | None = None
    resume: str | Path | bool | None = None
    init_from: str | Path | None = None
    extend_vocabulary: bool = False
    force: bool = False
    priming: bool = True
    checkpoints: bool = True
    save_model: bool = True

    def __post_init__(self) -> None:
        """Validates the fields and converts paths.

        If ``resume`` is a path, ``init_from`` is refused, and a recipe if it has a name; ``resume=True`` accepts both.
        """
        optional = (*PATH, NoneType)
        check_type((Recipe, NoneType), recipe=self.recipe)
        check_type(optional, output=self.output, init_from=self.init_from)
        check_type((*optional, bool), resume=self.resume)
        for name in _FLAGS:
            check_type(bool, **{name: getattr(self, name)})
        if not isinstance(self.corpus, Corpus):
            texts = (self.corpus,) if isinstance(self.corpus, PATH) else self.corpus
            check_type(Sequence, corpus=texts)
            for text in texts:
                check_type(PATH, corpus=text)
            # The dataclass is frozen. A tuple of str, so that equal plans compare equal, however paths were given.
            object.__setattr__(self, "corpus", tuple(map(os.fspath, texts)))
        for name in ("output", "init_from", "resume"):
            if isinstance(path := getattr(self, name), PATH):
                object.__setattr__(self, name, Path(path))
        if isinstance(self.resume, Path) and self.init_from is not None:
            raise SettingsError(_OWN_SETTINGS, setting="init_from", value=str(self.init_from), hint=_OMIT)
        # Only a named recipe: one without a name may be that of the run, with changes that are checked later.
        if isinstance(self.resume, Path) and self.recipe is not None and self.recipe.name:
            raise SettingsError(_OWN_SETTINGS, setting="recipe", value=self.recipe.name, hint=_OMIT)
        if self.extend_vocabulary and self.init_from is None:
            raise SettingsError(
                *("requires ", Argument("init_from"), "; a new model already has all characters of its text"),
                setting="extend_vocabulary",
            )
        if isinstance(self.corpus, Corpus) and self.recipe is not None:
            check_corpus_settings(self.corpus, self.recipe.corpus)

    @property
    def texts(self) -> tuple[str, ...]:
        """Names and paths in ``corpus``, or the name of the ``Corpus``."""
        return (self.corpus.name,) if isinstance(self.corpus, Corpus) else cast("tuple[str, ...]", self.corpus)

    @property
    def folder(self) -> Path:
        """Folder of the run. Raises SettingsError if a checkpoint is outside a run's folder and ``output`` is None."""
        if isinstance(self.output, Path):
            return self.output
        if isinstance(self.resume, Path):
            if (run := find_run_folder(self.resume)) is None:
                raise SettingsError(f"{self.resume} is not in the checkpoints folder of a run", hint=_PASS_RUN)
            return run
        return default_folder(self.texts)

    @property
    def resume_path(self) -> Path | None:
        """Path of the run or checkpoint to resume; None to start from scratch or to fine-tune.

        With ``resume=True`` it is the folder if that contains a checkpoint at present.
        """
        # Any checkpoint counts, even the one before the first step.
        if self.resume is True:
            return self.folder if list_checkpoint_files(self.folder / CHECKPOINT_FOLDER) else None
        return self.resume if isinstance(self.resume, Path) else None

    @property
    def continues_in_folder(self) -> bool:
        """True if a run is resumed in its own folder.

        Raises SettingsError if that would delete newer checkpoints than the one to resume, and ``force`` is not set.
        """
        resume = self.resume_path
        run = None if resume is None else find_run_folder(resume)
        if resume is None or run is None or self.folder.resolve() != run.resolve():
            return False
        # Resuming a single file deletes the later checkpoints in its folder, which may be days of training.
        newer = list_checkpoint_files(resume.parent, after=parse_step_number(resume)) if resume.is_file() else []
        if newer and not self.force:
            raise SettingsError(
                f"{self.folder} contains {pluralize(len(newer), 'checkpoint')} newer than {resume.name}",
                hint=(
                    *("pass ", Argument("output"), " to resume in another folder, or use "),
                    *(Argument("force", True), " to delete them"),
                ),
            )
        return True


_OWN_SETTINGS = "a resumed run keeps its own settings and weights"
_OMIT = "omit this setting"
_PASS_RUN = (
    "pass the folder of a run or, if this is a copy of a checkpoint, choose a folder with ",
    Argument("output"),
)


def default_folder(texts: Sequence[str]) -> Path:
    """Returns the default for ``output``: ``NAME-model`` in the current folder, named after the first text."""
    first = texts[0] if texts else TIME_MACHINE
    if first == STANDARD_INPUT:
        return Path("text-model")
    if first.startswith(HUGGING_FACE):
        # hf:NAME:SPLIT:COLUMN; only the part of NAME after the slash is used.
        first = re.split("[:@]", first.removeprefix(HUGGING_FACE))[0]
    # Resolved, so that "." has a name; of text.txt.gz both suffixes are removed.
    path = Path(first).resolve()
    return Path(f"{(path.with_suffix('') if detect_compression(path.name) else path).stem}-model")


def check_corpus_settings(corpus: Corpus, settings: CorpusSettings) -> None:
    """Raises SettingsError if a corpus was read with other settings than these.

    A setting of None matches any. ``max_chars`` must not be less than the length of the corpus.
    """
    # Other settings would be recorded in the model without having had an effect.
    for name, value in vars(corpus_settings_of(corpus)).items():
        given = getattr(settings, name)
        # A corpus does not record the limit it was read with.
        if name != "max_chars" and given not in (None, value):
            raise SettingsError(*("the corpus was read with ", Argument(name, value)), setting=name, value=given)
    if settings.max_chars is not None and settings.max_chars < len(corpus.ids):
        raise SettingsError(
            f"it is less than the {len(corpus.ids)} tokens of the corpus", setting="max_chars", value=settings.max_chars
        )


def corpus_settings_of(corpus: Corpus) -> CorpusSettings:
    """Returns the settings that a corpus was read with, except ``max_chars``."""
    normalization = corpus.vocabulary.clean_up
    return CorpusSettings(corpus.vocabulary.unit, None, normalization.lowercase, normalization.collapse_whitespace)
