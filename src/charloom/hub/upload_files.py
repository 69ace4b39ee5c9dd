"""The content of the files that are uploaded with a model."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charloom.compression.quantization import quantize
from charloom.errors import CharloomWarning, InputError, ModelFolderError, describe_os_error
from charloom.models.folder import CONFIG_FILE, WEIGHTS_FILE
from charloom.models.language_model import LanguageModel
from charloom.runs.folder import HISTORY_FILE, PLOT_FILE
from charloom_codec.io.hub import HUB_PREFIX
from charloom_codec.io.tensor_files import open_regular, parse_json
from charloom_codec.model.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom_codec.model.priming import PRIMING_FILE, Priming

CARD_FILE = "README.md"


def collect_files(folder: Path, model: LanguageModel, priming: Priming) -> dict[str, bytes]:
    """Returns the content of a model's files by name, without the card.

    Args:
        folder: Folder of the model.
        model: The model in it.
        priming: Its priming; an empty one if the priming is not uploaded, which the integer model then states.

    Raises:
        ModelFolderError: A file cannot be read, or the priming is not that of the integer model.
    """
    files = {
        CONFIG_FILE: _read_config(folder / CONFIG_FILE),
        WEIGHTS_FILE: _read(folder / WEIGHTS_FILE),
    }
    if integers := _read_integer_model(folder, model, priming):
        files[INTEGER_MODEL_FILE] = integers.to_bytes(priming.compute_fingerprint())
        if priming.text:
            files[PRIMING_FILE] = priming.to_bytes()
    for name in (HISTORY_FILE, PLOT_FILE):
        if (folder / name).is_file():
            files[name] = _read(folder / name)
    return files


def _read_integer_model(folder: Path, model: LanguageModel, priming: Priming) -> IntegerModel | None:
    """Returns the integer model, which is created if the folder has none; None if the codec cannot use the model."""
    file = folder / INTEGER_MODEL_FILE
    if file.exists():
        integers, fingerprint = IntegerModel.load(file)
        if priming.text and fingerprint != priming.compute_fingerprint().hex():
            raise ModelFolderError(f"{folder / PRIMING_FILE}: it does not belong to {INTEGER_MODEL_FILE}")
        return integers
    # Uploaded rather than created by each reader: on another machine, floats could round to other integers.
    try:
        return quantize(model)
    except InputError as error:
        warnings.warn(
            CharloomWarning("the uploaded model cannot be used for compression: ", *error.parts), stacklevel=2
        )
        return None


def shorten_names(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the provenance of a model, with the name of the training text without folders, which may name a person.

    The folder may come from another program: a name that is not text is kept.
    """
    corpus = provenance.get("corpus")
    if not isinstance(corpus, dict) or not isinstance(name := corpus.get("name"), str):
        return dict(provenance)
    # Several sources are separated by commas; the name of a dataset of the Hub has a slash, and is public.
    parts = [
        part if part.startswith(HUB_PREFIX) else part.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        for part in name.split(", ")
    ]
    return {**provenance, "corpus": {**corpus, "name": ", ".join(parts)}}


def _read_config(file: Path) -> bytes:
    """Returns the configuration, with the shortened name of the training text."""
    content = _read(file)
    values = parse_json(content)  # the model was loaded with it, so that it is a valid one
    if not isinstance(provenance := values.get("provenance"), dict):
        return content
    values["provenance"] = shorten_names(provenance)
    # As the folder's own: names may have bytes that are not UTF-8, as lone surrogates.
    return (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def _read(file: Path) -> bytes:
    try:
        with open_regular(file) as stream:
            return stream.read()
    except OSError as error:
        raise ModelFolderError(f"{file}: cannot be read ({describe_os_error(error)})") from None
