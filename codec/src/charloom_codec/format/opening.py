"""The choice of the engine of a model: the one that a caller requests, or the one that a compressed file names."""

from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from charloom_codec.arguments import PATH, check_type
from charloom_codec.engines.engine import VERSIONS, Engine, Mode
from charloom_codec.engines.native import NativeEngine, choose_instruction_set
from charloom_codec.errors import Argument, InputError, WrongModelError
from charloom_codec.format.container import FINGERPRINT_BYTES, Header
from charloom_codec.io.hub import is_hub_name
from charloom_codec.model.codec_files import FloatModel, load_codec_files, quantize
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.named_models.finding import find_compressor, find_folder
from charloom_codec.reference.plain_engine import ReferenceEngine

_SAMPLE = 1 << 14
"""Bytes from which it is decided whether a priming helps: the difference is largest at the start."""
_MAX_HELD_OUT = 1 << 16  # bytes, unless that is less than a tenth of the priming text

AnyModel: TypeAlias = str | Path | FloatModel | Engine
"""Model folder or name of a model of the package or on the Hub, model, or engine."""


class EngineChoice:
    """Engines of one model, each opened on first use.

    Attributes:
        mode: Mode of compression: the requested one, or that of the engine if the model is an engine.
    """

    def __init__(self, model: AnyModel | None, *, fast: bool = False) -> None:
        """Initializes the choice. Raises InputError if ``model`` is of another type."""
        if not (model is None or isinstance(model, (str, Path, Engine, FloatModel))):
            raise InputError(f"the model must be a model folder or a LanguageModel, not {type(model).__name__}")
        check_type(bool, fast=fast)
        self.mode: Mode = model.mode if isinstance(model, Engine) else "fast" if fast else "mixing"
        self._given = model
        self._opened: dict[tuple[int | Path, Mode, int, bool], Engine] = {}

    @cached_property
    def _model(self) -> Path | FloatModel | Engine | None:
        """The model, or its folder: a model on the Hub is downloaded only if one of its engines is needed."""
        return find_folder(self._given) if isinstance(self._given, PATH) else self._given

    @property
    def _is_of_package(self) -> bool:
        """True if the model is named, and part of the package."""
        is_path = isinstance(self._given, PATH) and not is_hub_name(self._given)
        return is_path and self._model != Path(self._given)  # type: ignore[arg-type] # a path

    def open_for_compression(self, data: bytes = b"") -> Engine:
        """Returns the engine that compresses. Raises WrongModelError if there is no model.

        A model of the package is for any data: it has its priming only if the start of the data is then shorter. A
        folder's priming resembles the data that the user compresses with it.

        Args:
            data: The data, or its start.
        """
        if self._model is None:
            raise WrongModelError("compression needs a model: pass a model folder or a LanguageModel")
        primed = self._open(self._model, self.mode)
        sample = data[:_SAMPLE]
        if not self._is_of_package or self.mode == "fast" or not sample:
            return primed
        unprimed = self._open(self._model, self.mode, primed=False)
        sizes = [len(engine.start_session(1).encode(sample)) for engine in (primed, unprimed)]
        return unprimed if sizes[1] < sizes[0] else primed

    def open_for_file(self, header: Header) -> Engine:
        """Returns the engine that compressed a file. Raises WrongModelError if it is not one of this model."""
        # A file that was compressed with a model of the package needs no other; equal fingerprints decode equally.
        model = find_compressor(header.fingerprint) or self._model
        if model is not None and (engine := self._find(model, header)) is not None:
            return engine
        if self._model is None:
            raise WrongModelError(
                f"compressed with the model whose fingerprint is {header.fingerprint.hex()}",
                hint=("pass the folder of that model with ", Argument("model")),
            )
        own_fingerprint = self._open(self._model, header.mode).fingerprint[:FINGERPRINT_BYTES].hex()
        raise WrongModelError(
            f"compressed with a different model, whose fingerprint is {header.fingerprint.hex()}; the fingerprint "
            f"of this model is {own_fingerprint}: pass the model that compressed the data, with its files "
            "codec.safetensors and priming.safetensors"
        )

    def _find(self, model: Path | FloatModel | Engine, header: Header) -> Engine | None:
        """Returns the engine of a model that compressed a file; None if it has none."""
        for version in VERSIONS[header.mode]:
            for primed in (True, False) if header.mode == "mixing" else (True,):
                try:
                    engine = self._open(model, header.mode, version, primed=primed)
                except WrongModelError:
                    return None  # an engine of the other mode
                # A file contains only the first bytes of the fingerprint.
                if engine.fingerprint[:FINGERPRINT_BYTES] == header.fingerprint:
                    return engine
        return None

    def _open(
        self, model: Path | FloatModel | Engine, mode: Mode, version: int | None = None, *, primed: bool = True
    ) -> Engine:
        """Returns the engine of a model in a mode and a version, by default the current one."""
        if isinstance(model, Engine):
            if model.mode != mode:
                raise WrongModelError(
                    f"compressed in mode {mode!r}, but this codec uses mode {model.mode!r}: pass the model folder"
                )
            return model
        version = VERSIONS[mode][0] if version is None else version
        key = model if isinstance(model, Path) else id(model), mode, version, primed
        if key not in self._opened:
            self._opened[key] = open_engine(model, fast=mode == "fast", version=version, primed=primed)
        return self._opened[key]


def open_engine(
    model: str | Path | FloatModel, *, fast: bool, version: int | None = None, primed: bool = True
) -> Engine:
    """Returns the engine of a model folder or a model.

    If a folder has no integer model, it is created and saved there.

    Args:
        model: Model folder or model; not the name of a model of the package (``find_folder``).
        fast: True for the network alone, False for context mixing.
        version: One of the engine's VERSIONS; None for the current one.
        primed: False to start the context models without the folder's priming.

    Raises:
        ModelFolderError: A file of the folder cannot be read or written.
    """
    if isinstance(model, PATH):
        integers, priming = load_codec_files(Path(model), fast=fast)
        priming = priming if primed else Priming()
    else:
        # A model in memory has no priming: the context models start empty.
        integers, priming = quantize(model), Priming()
    return make_engine(integers, None if fast else priming, version)


def open_engine_before_held_out(folder: str | Path) -> tuple[Engine, bytes]:
    """Returns the mixing engine of a folder as it is before the held-out lines of its priming text, and these lines.

    On lines that the network was not trained on, one can measure how well the engine predicts text of the kind that it
    knows. Of many lines, the last ones are returned, so that most of the text primes the engine.

    Returns:
        The engine and the lines; no lines if no text was held out, or nothing precedes them.
    """
    integers, priming = load_codec_files(find_folder(folder), fast=False)
    text, silent = priming.text, priming.bytes_without_network
    start = max(silent, len(text) - max(len(text) // 10, min(_MAX_HELD_OUT, len(text) // 2)))
    # Whole lines only: the end of a line looks unusual by itself.
    start = text.find(b"\n", max(0, start - 1)) + 1
    return make_engine(integers, Priming(text[:start], min(silent, start))), text[start:] if start else b""


def make_engine(model: IntegerModel, priming: Priming | None, version: int | None = None) -> Engine:
    """Returns the engine of an integer model, native if possible; with a priming it is in mixing mode."""
    instruction_set = choose_instruction_set()
    if instruction_set is None:
        return ReferenceEngine(model, priming, version)
    return NativeEngine(model, priming, instruction_set, version)
