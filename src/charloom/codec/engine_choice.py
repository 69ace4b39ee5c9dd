"""Which engine codes: the one that a caller asked for, or the one that a file names."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from charloom.arguments import check_type
from charloom.codec import engines
from charloom.codec.container import FINGERPRINT_BYTES
from charloom.codec.engine import Engine, Mode
from charloom.errors import InputError, WrongModelError

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel

AnyModel: TypeAlias = Union[str, Path, "LanguageModel", Engine]
"""A model's folder, a model, or an engine."""


EngineFor: TypeAlias = Callable[[Mode, bytes], Engine]
"""Finds the engine for a file: its mode, and the first bytes of its fingerprint. Raises WrongModelError."""


def mode_of(model: AnyModel | None, *, fast: bool) -> Mode:
    """What to compress with: as asked; an engine's own where the model is one."""
    check_type(bool, fast=fast)
    return model.name if isinstance(model, Engine) else "fast" if fast else "mixing"


class EngineChoice:
    """The engines of one model, each opened when it is first used."""

    def __init__(self, model: AnyModel | None) -> None:
        """Raises InputError for what is no model."""
        # A language model is known by what it can do: its module takes PyTorch, which decompression does without.
        if not (model is None or isinstance(model, (str, Path, Engine)) or hasattr(model, "disassemble")):
            raise InputError(f"a {type(model).__name__} is no model: give a model's folder, or a LanguageModel")
        self._model = model
        self._opened: dict[Mode, Engine] = {}

    def of_mode(self, mode: Mode) -> Engine:
        """The model's engine of this mode. WrongModelError where there is no model, or an engine of another mode."""
        if mode not in self._opened:
            self._opened[mode] = self._open(mode)
        return self._opened[mode]

    def for_file(self, mode: Mode, fingerprint: bytes) -> Engine:
        """The engine that a file was made with. WrongModelError where this model's is another."""
        if self._model is None:
            raise WrongModelError(
                f"decompressing it takes the model that it was made with, fingerprint {fingerprint.hex()}: give that"
            )
        engine = self.of_mode(mode)
        if engine.fingerprint[:FINGERPRINT_BYTES] != fingerprint:
            ours = engine.fingerprint[:FINGERPRINT_BYTES].hex()
            raise WrongModelError(
                f"made with another model: its fingerprint is {fingerprint.hex()}, this one's {ours}; "
                "give the model that it was made with, its codec.safetensors and priming.safetensors whole"
            )
        return engine

    def _open(self, mode: Mode) -> Engine:
        if self._model is None:
            raise WrongModelError("compressing takes a model: give one")
        if not isinstance(self._model, Engine):
            return engines.open_engine(self._model, fast=mode == "fast")
        if self._model.name != mode:
            raise WrongModelError(f"made by the engine {mode!r}; this one is {self._model.name!r}")
        return self._model
