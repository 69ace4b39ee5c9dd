"""``charloom generate``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from charloom.cli import screen
from charloom.errors import SettingsError
from charloom.settings import SamplingSettings
from charloom.settings.corpus import UnknownPolicy
from charloom.settings.sampling import GenerationPrecision

if TYPE_CHECKING:
    from charloom.language_model import LanguageModel


def generate(
    model: Path,
    /,
    *,
    prefix: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    num_chars: int = 200,
    sampling: Annotated[SamplingSettings, Parameter(name="*", group="Sampling")] = SamplingSettings(),
    num_samples: int = 1,
    stop: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    unknown: UnknownPolicy = "refuse",
    device: str = "cpu",
    precision: GenerationPrecision = "float32",
) -> None:
    """Let a model write on from a prefix.

    Greedy unless a sampling option is given: the most likely character each time. --temperature 0.7 is a good start for
    livelier text.

    Parameters
    ----------
    model
        A model's folder.
    prefix
        What to go on from, cleaned as the training text was. Default: the first prefix of the training run.
    num_chars
        Characters (bytes, for a byte model) to write after the prefix.
    num_samples
        Texts to write. Several are computed side by side and shown when they are done.
    stop
        End before this text where the model writes it.
    unknown
        Characters of the prefix that the model does not know: refuse them by name, read them as `<unk>`, or skip them.
    device
        Where to compute (cpu, cuda, ...); auto takes a GPU when there is one.
    precision
        Of the weights while generating: float32, or int8, which is faster and a little less exact (CPU only).
    """
    from charloom.device import find_device
    from charloom.generation import generate_samples, stream
    from charloom.language_model import LanguageModel

    loaded = LanguageModel.load(model).to(find_device(device))
    if num_samples > 1 and sampling.greedy:
        raise SettingsError("greedy samples would all be the same: give --temperature 1, or another sampling option")
    start = _default_prefix(loaded) if prefix is None else prefix
    options: Any = {"unknown": unknown, "precision": precision}
    if num_samples == 1:
        # A byte model writes its bytes as they are, except to a terminal.
        if loaded.vocabulary.unit == "byte" and not sys.stdout.isatty():
            raw_stop = None if stop is None else os.fsencode(stop)
            for data in stream(loaded, os.fsencode(start), num_chars, sampling, stop=raw_stop, **options):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            return
        for piece in stream(loaded, start, num_chars, sampling, stop=stop, **options):
            sys.stdout.write(screen.printable(piece) if sys.stdout.isatty() else piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
        return
    samples = generate_samples(loaded, start, num_chars, sampling, num_samples=num_samples, stop=stop, **options)
    for number, text in enumerate(samples, 1):
        shown = screen.printable(text) if sys.stdout.isatty() else text
        sys.stdout.write(f"--- sample {number} of {num_samples} ---\n{shown}\n")


def _default_prefix(model: "LanguageModel") -> str:
    prefixes = model.provenance.get("prefixes") or []
    if not isinstance(prefixes, list) or not prefixes or not isinstance(prefixes[0], str):
        raise SettingsError("this model's folder names no prefix to go on from: give one with --prefix")
    return prefixes[0]
