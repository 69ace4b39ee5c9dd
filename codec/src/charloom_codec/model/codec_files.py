"""The files of a model folder that compression needs: the integer model and the priming of its mixing engine."""

import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from charloom_codec.errors import Argument, CharloomWarning, ModelFolderError
from charloom_codec.io.atomic import write_atomically
from charloom_codec.io.hub import find_repository
from charloom_codec.model.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom_codec.model.priming import PRIMING_FILE, Priming

_QUANTIZERS = "charloom_codec.quantizers"
"""Entry points of installed packages that convert their models to integers; charloom has one."""


@runtime_checkable
class FloatModel(Protocol):
    """A model that an installed package, such as charloom, can convert to integers."""

    def to_config(self) -> tuple[dict[str, Any], Any]:
        """Returns the configuration and the weights."""


def quantize(model: Path | FloatModel) -> IntegerModel:
    """Returns a model, or that in a folder, in integers.

    Raises:
        ModelFolderError: No installed package can convert it, or the folder has no model.
        InputError: It cannot be represented in integers.
    """
    # An entry point instead of an import: the package imports PyTorch, without which this one is installed.
    for found in entry_points(group=_QUANTIZERS):
        return cast(Callable[[Path | FloatModel], IntegerModel], found.load())(model)
    raise ModelFolderError(
        f"{model}: {INTEGER_MODEL_FILE} is missing; copy it from the folder in which the model was trained, or install "
        "charloom, which creates it"
    )


def load_codec_files(folder: Path, *, fast: bool) -> tuple[IntegerModel, Priming]:
    """Returns the integer model and the priming of a folder; if it has no integer model, creates and saves one.

    Args:
        folder: Folder of the model.
        fast: True to return an empty priming, which the fast mode does not use.

    Raises:
        ModelFolderError: A file is damaged or missing, or cannot be written.
    """
    file = folder / INTEGER_MODEL_FILE
    # A dangling link is not a missing file: replacing it would hide that the integers are elsewhere.
    if not file.exists() and not file.is_symlink():
        return _create_codec_files(folder)
    integers, priming_fingerprint = IntegerModel.load(file)
    # The fast mode must work if the priming's file is damaged.
    if fast:
        return integers, Priming()
    priming = Priming.load(folder)
    if priming_fingerprint != priming.compute_fingerprint().hex():
        problem = f"it does not belong to {INTEGER_MODEL_FILE}" if priming.text else "it is missing"
        raise ModelFolderError(
            f"{folder / PRIMING_FILE}: {problem}; restore it from a copy of this model (data compressed with ",
            *(Argument("fast", True), " does not need it)"),
        )
    return integers, priming


def save_codec_files(folder: Path, integers: IntegerModel, priming: Priming) -> None:
    """Writes both files in one atomic step, or raises ModelFolderError. An empty priming has no file."""
    files = {folder / INTEGER_MODEL_FILE: integers.to_bytes(priming.compute_fingerprint())}
    if priming.text:
        files[folder / PRIMING_FILE] = priming.to_bytes()
    try:
        # The integer model names the priming by fingerprint: an old priming must not stay beside a new model.
        write_atomically(files, remove=[] if priming.text else [folder / PRIMING_FILE])
    except OSError as error:
        raise ModelFolderError(
            f"{folder}: cannot save the files for compression ({error.strerror or error})"
        ) from error


def _create_codec_files(folder: Path) -> tuple[IntegerModel, Priming]:
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder" if not folder.exists() else f"{folder}: not a folder")
    # The cache of the Hub's client must stay as it was downloaded. Integers in memory would be lost, and could
    # differ on another machine, which could then not decompress what they compressed.
    if repository := find_repository(folder):
        raise ModelFolderError(
            f"hf:{repository}: the repository has no {INTEGER_MODEL_FILE}, which compression needs",
            hint="copy its files to a folder of your own, as 'hf download' does, and pass this folder",
        )
    integers, priming = quantize(folder), Priming.load(folder)
    # Saved, because another machine's floats may give other integers, and decompression needs the same integers.
    save_codec_files(folder, integers, priming)
    if priming.text:
        warnings.warn(
            f"{folder / INTEGER_MODEL_FILE} was missing and has been created again: if it differs from the original, "
            "files compressed with the original can be decompressed only with the original",
            CharloomWarning,
            stacklevel=2,
        )
    return integers, priming
