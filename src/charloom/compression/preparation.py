"""Preparation of a model folder for compression: the integer model and the priming of its mixing engine."""

from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from charloom_codec.arguments import PATH, check_bytes, check_type
from charloom_codec.model.codec_files import save_codec_files
from charloom_codec.model.priming import Priming

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel


def prepare_codec(
    folder: str | Path, model: "LanguageModel | None" = None, *, seen: bytes = b"", held_out: bytes = b""
) -> None:
    """Prepares the folder of a saved model for compression, as ``charloom train`` does automatically.

    The folder then contains ``codec.safetensors`` and, if there is text, ``priming.safetensors``. Compressed files
    identify both by a fingerprint and can be decompressed only with them: if they are created again with another text,
    files that were compressed before can no longer be decompressed.

    Args:
        folder: Folder of the saved model.
        model: The saved model, by default read from the folder.
        seen: Text that resembles the data to compress and that the network was trained on. Only the last MiB is used.
        held_out: Text of the same kind that the network was not trained on. The mixing weights of the network's
            prediction adapt to it.

    Raises:
        InputError: The model cannot be quantized to integers.
        ModelFolderError: The files cannot be written.
    """
    # Imported here: both import PyTorch, which decompression does without.
    from charloom.compression.quantization import quantize
    from charloom.models.language_model import LanguageModel

    check_type(PATH, folder=folder)
    check_type((LanguageModel, NoneType), model=model)
    check_bytes(seen=seen, held_out=held_out)
    folder = Path(folder)
    integers = quantize(model if model is not None else LanguageModel.load(folder))
    save_codec_files(folder, integers, Priming.from_texts(seen, held_out))
