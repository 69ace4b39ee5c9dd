"""From a model to its engine."""

from pathlib import Path
from typing import TYPE_CHECKING

from charloom.codec.engine import Engine
from charloom.codec.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom.codec.native import chosen_instruction_set
from charloom.codec.native_engines import NativeFastEngine, NativeMixingEngine
from charloom.codec.priming import Priming
from charloom.codec.reference_engines import ReferenceFastEngine, ReferenceMixingEngine
from charloom.errors import ModelFolderError

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel


def open_engine(model: "str | Path | LanguageModel", *, fast: bool) -> Engine:
    """The engine of a model's folder, or of a model in memory: the network alone (``fast``), or mixing.

    A folder's integers are read where they are there, without PyTorch; else they are made and kept in it. Raises
    ModelFolderError where that cannot be.
    """
    if isinstance(model, (str, Path)):
        folder = Path(model)
        integers, priming = _integers_of_folder(folder), Priming.load(folder)
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


def _integers_of_folder(folder: Path) -> IntegerModel:
    file = folder / INTEGER_MODEL_FILE
    if file.exists():
        return IntegerModel.load(file)
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder" if not folder.exists() else f"{folder}: not a folder")
    from charloom.codec.quantization import quantize
    from charloom.language_model import LanguageModel

    integers = quantize(LanguageModel.load(folder))
    # Kept: another machine's floats may give other integers, and what was compressed with these needs just these.
    integers.save(file)
    return integers
