"""What a model's folder needs for compression: the model in integers, and what its mixing engine reads first."""

from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from charloom.arguments import PATH, check_bytes, check_type
from charloom.codec.model.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom.codec.model.priming import PRIMING_FILE, Priming
from charloom.errors import ModelFolderError
from charloom.io.atomic import write_atomically

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel


def prepare_codec(
    folder: str | Path, model: "LanguageModel | None" = None, *, seen: bytes = b"", unseen: bytes = b""
) -> None:
    """Makes ready a saved model's folder for compression, as ``charloom train`` does by itself.

    The folder then holds ``codec.safetensors`` and, where there is text, ``priming.safetensors``. Compressed files name
    both by fingerprint and are decompressed with just these: making them again with other text makes them unreadable.

    Args:
        folder: Where the model was saved.
        model: That model, where it is at hand; else it is read.
        seen: Text like what is to be compressed that the network was trained on: its end, where it is more than a MiB.
        unseen: Such text that the network was not trained on: how far to trust the network is learnt from it.

    Raises InputError for a model that cannot be made integers, ModelFolderError where writing fails.
    """
    from charloom.codec.model.quantization import quantize
    from charloom.models.language_model import LanguageModel

    check_type(PATH, folder=folder)
    check_type((LanguageModel, NoneType), model=model)
    check_bytes(seen=seen, unseen=unseen)
    folder = Path(folder)
    integers = quantize(model if model is not None else LanguageModel.load(folder))
    save_codec_files(folder, integers, Priming.of_text(seen, unseen))


def save_codec_files(folder: Path, integers: IntegerModel, priming: Priming) -> None:
    """Writes both files, together or not at all; no priming file without text. ModelFolderError if that fails."""
    files = {folder / INTEGER_MODEL_FILE: integers.to_file(priming.fingerprint())}
    if priming.text:
        files[folder / PRIMING_FILE] = priming.to_file()
    try:
        write_atomically(files, remove=[] if priming.text else [folder / PRIMING_FILE])
    except OSError as error:
        raise ModelFolderError(f"{folder}: cannot save what compression needs ({error.strerror or error})") from error
