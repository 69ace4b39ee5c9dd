"""From a model to its engine: the one that a caller asks for, or the one that a file names."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from charloom.arguments import PATH, check_type
from charloom.codec.engines.engine import Engine, Mode
from charloom.codec.engines.native import NativeEngine, chosen_instruction_set
from charloom.codec.format.container import FINGERPRINT_BYTES, Header
from charloom.codec.model.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom.codec.model.preparation import save_codec_files
from charloom.codec.model.priming import PRIMING_FILE, Priming
from charloom.codec.reference.plain_engine import ReferenceEngine
from charloom.errors import Argument, CharloomWarning, InputError, ModelFolderError, WrongModelError

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel

AnyModel: TypeAlias = Union[str, Path, "LanguageModel", Engine]
"""A model's folder, a model, or an engine."""


class EngineChoice:
    """The engines of one model, each opened when it is first used.

    Attributes:
        mode: What to compress with: as asked; an engine's own if the model is one.
    """

    def __init__(self, model: AnyModel | None, *, fast: bool = False) -> None:
        """Raises InputError for what is no model."""
        # A language model is known by what it can do: its module takes PyTorch, which decompression does without.
        if not (model is None or isinstance(model, (str, Path, Engine)) or hasattr(model, "to_config")):
            raise InputError(f"a {type(model).__name__} is no model: give a model's folder, or a LanguageModel")
        check_type(bool, fast=fast)
        self.mode: Mode = model.name if isinstance(model, Engine) else "fast" if fast else "mixing"
        self._model = model
        self._opened: dict[Mode, Engine] = {}

    def to_compress(self) -> Engine:
        """The engine of this mode. WrongModelError if there is no model."""
        return self._of_mode(self.mode)

    def for_file(self, header: Header) -> Engine:
        """The engine that a file was made with. WrongModelError if this model's is another."""
        if self._model is None:
            raise WrongModelError(
                "decompressing it takes the model that it was made with, fingerprint "
                f"{header.fingerprint.hex()}: give that"
            )
        engine = self._of_mode(header.mode)
        if engine.fingerprint[:FINGERPRINT_BYTES] != header.fingerprint:
            ours = engine.fingerprint[:FINGERPRINT_BYTES].hex()
            raise WrongModelError(
                f"made with another model: its fingerprint is {header.fingerprint.hex()}, this one's {ours}; "
                "give the model that it was made with, its codec.safetensors and priming.safetensors whole"
            )
        return engine

    def _of_mode(self, mode: Mode) -> Engine:
        if self._model is None:
            raise WrongModelError("compressing takes a model: give one")
        if isinstance(self._model, Engine):
            if self._model.name != mode:
                raise WrongModelError(f"made by the engine {mode!r}; this one is {self._model.name!r}")
            return self._model
        if mode not in self._opened:
            self._opened[mode] = open_engine(self._model, fast=mode == "fast")
        return self._opened[mode]


def open_engine(model: "str | Path | LanguageModel", *, fast: bool) -> Engine:
    """The engine of a model's folder, or of a model in memory: the network alone (``fast``), or mixing.

    A folder's integers are read without PyTorch if they are there; else they are made and saved in it. Raises
    ModelFolderError if that fails.
    """
    if isinstance(model, PATH):
        integers, priming = _read_folder(Path(model), fast=fast)
    else:
        from charloom.codec.model.quantization import quantize

        integers, priming = quantize(model), Priming()
    return make_engine(integers, None if fast else priming)


def make_engine(model: IntegerModel, priming: Priming | None) -> Engine:
    """The engine of a model in integers, mixing with a priming: native if ``chosen_instruction_set`` finds one."""
    instruction_set = chosen_instruction_set()
    return ReferenceEngine(model, priming) if instruction_set is None else NativeEngine(model, priming, instruction_set)


def _read_folder(folder: Path, *, fast: bool) -> tuple[IntegerModel, Priming]:
    file = folder / INTEGER_MODEL_FILE
    if not file.exists() and not file.is_symlink():
        return _make_integers(folder)
    integers, named = IntegerModel.load(file)
    if fast:
        return integers, Priming()
    priming = Priming.load(folder)
    if named != priming.fingerprint().hex():
        what = f"another than {INTEGER_MODEL_FILE} was made with" if priming.text else "missing"
        raise ModelFolderError(
            f"{folder / PRIMING_FILE}: {what}: take it from a copy of this model (what was compressed with ",
            *(Argument("fast", True), " does without)"),
        )
    return integers, priming


def _make_integers(folder: Path) -> tuple[IntegerModel, Priming]:
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder" if not folder.exists() else f"{folder}: not a folder")
    from charloom.codec.model.quantization import quantize
    from charloom.models.language_model import LanguageModel

    integers, priming = quantize(LanguageModel.load(folder)), Priming.load(folder)
    # Kept: another machine's floats may give other integers, and what was compressed with these needs just these.
    save_codec_files(folder, integers, priming)
    if priming.text:
        warnings.warn(
            f"{folder / INTEGER_MODEL_FILE} was missing, and was made again: if its integers are not those of the "
            "machine that trained the model, what was compressed before needs that machine's file",
            CharloomWarning,
            stacklevel=2,
        )
    return integers, priming
