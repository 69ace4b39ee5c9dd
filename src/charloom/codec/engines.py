"""From a model to its engine."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from charloom.arguments import PATH
from charloom.codec.engine import Engine
from charloom.codec.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom.codec.native import chosen_instruction_set
from charloom.codec.native_engines import NativeFastEngine, NativeMixingEngine
from charloom.codec.priming import PRIMING_FILE, Priming
from charloom.codec.reference_engines import ReferenceFastEngine, ReferenceMixingEngine
from charloom.errors import Argument, CharloomWarning, ModelFolderError

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel


def open_engine(model: "str | Path | LanguageModel", *, fast: bool) -> Engine:
    """The engine of a model's folder, or of a model in memory: the network alone (``fast``), or mixing.

    A folder's integers are read where they are there, without PyTorch; else they are made and kept in it. Raises
    ModelFolderError where that cannot be.
    """
    if isinstance(model, PATH):
        integers, priming = _read_folder(Path(model), fast=fast)
    else:
        from charloom.codec.quantization import quantize

        integers, priming = quantize(model), Priming()
    return make_engine(integers, priming, fast=fast)


def make_engine(model: IntegerModel, priming: Priming, *, fast: bool) -> Engine:
    """The engine of a model in integers: native where ``native.chosen_instruction_set`` finds a way, else plain."""
    instruction_set = chosen_instruction_set()
    if instruction_set is None:
        return ReferenceFastEngine(model) if fast else ReferenceMixingEngine(model, priming)
    if fast:
        return NativeFastEngine(model, instruction_set)
    return NativeMixingEngine(model, priming, instruction_set)


def _read_folder(folder: Path, *, fast: bool) -> tuple[IntegerModel, Priming]:
    file = folder / INTEGER_MODEL_FILE
    if not file.exists() and not file.is_symlink():
        return _make_integers(folder)
    integers, named = IntegerModel.load_with_priming(file)
    if fast:
        return integers, Priming()
    priming = Priming.load(folder)
    if named not in (None, priming.fingerprint().hex()):
        what = f"another than {INTEGER_MODEL_FILE} was made with" if priming.text else "missing"
        raise ModelFolderError(
            f"{folder / PRIMING_FILE}: {what}: take it from a copy of this model (what was compressed with ",
            *(Argument("fast", True), " does without)"),
        )
    return integers, priming


def _make_integers(folder: Path) -> tuple[IntegerModel, Priming]:
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder" if not folder.exists() else f"{folder}: not a folder")
    from charloom.codec.quantization import quantize
    from charloom.language_model import LanguageModel

    integers, priming = quantize(LanguageModel.load(folder)), Priming.load(folder)
    # Kept: another machine's floats may give other integers, and what was compressed with these needs just these.
    integers.save(folder / INTEGER_MODEL_FILE, priming.fingerprint())
    if priming.text:
        warnings.warn(
            f"{folder / INTEGER_MODEL_FILE} was missing, and is made anew: should it come out otherwise than on the "
            "machine that trained the model, what was compressed before takes that one's",
            CharloomWarning,
            stacklevel=2,
        )
    return integers, priming
