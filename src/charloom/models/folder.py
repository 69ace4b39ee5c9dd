"""A model on disk: a folder with ``config.json`` and ``model.safetensors``. Without pickle: loading it runs no code.

``config.json`` contains the format's version and the SHA-256 of the weights file, so that damaged and mixed-up files
are detected before anything is computed with them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from charloom.errors import Argument, ModelFolderError
from charloom.io.lock import FolderLock
from charloom.models.predictor import check_finite
from charloom_codec.arguments import PATH, check_type
from charloom_codec.io.atomic import write_atomically
from charloom_codec.io.tensor_files import open_regular, parse_json, read_tensor_file
from charloom_codec.model.integer_model import INTEGER_MODEL_FILE
from charloom_codec.model.priming import PRIMING_FILE
from charloom_codec.named_models.finding import find_folder

FORMAT_VERSION = 1
_NAMED_MODELS = Path(__file__).parent / "named"
"""Folder of the models that are part of the package. The files for compression are in that of ``charloom_codec``."""
CHECKPOINT_FOLDER = "checkpoints"
"""Subfolder of a run's checkpoints."""
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CODEC_FILES = (INTEGER_MODEL_FILE, PRIMING_FILE)
"""Files that ``charloom_codec`` adds to a folder for one state of the weights, which it then reads instead of them: the
integer model, and the text that the context models read first."""
Config: TypeAlias = dict[str, Any]
"""The values of ``config.json``."""
# The vocabulary is the only part without a small bound; a million tokens take far less. A larger file is hostile.
_MAX_CONFIG_BYTES = 64 * 2**20
_DTYPES = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
"""Dtypes that PyTorch can compute a model in; its other ones, such as float8, are for storage."""


def write_model_folder(path: str | Path, config: Config, tensors: dict[str, Tensor]) -> None:
    """Writes each file atomically, the weights first, and deletes codec files of other weights.

    An interruption between the two files leaves a SHA-256 in the config that is not that of the weights; reading such a
    folder raises an error.

    Args:
        path: Folder, which is created if necessary.
        config: JSON values for ``config.json``. ``format_version`` and ``weights_sha256`` are added; their values in
            ``config``, as ``read_model_folder`` returns it, are ignored.
        tensors: Weights by name.

    Raises:
        ModelFolderError: The folder cannot be written.
        InputError: A tensor has NaN or infinite values.
    """
    check_type(PATH, path=path)
    folder = Path(path)
    check_finite(tensors)
    # Copies, since safetensors raises an error for two tensors that share memory.
    copies = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    weights = safetensors.torch.save(copies)
    head = {"format_version": FORMAT_VERSION, "weights_sha256": hashlib.sha256(weights).hexdigest()}
    # ``head`` twice: its keys come first, and its values override those of a config that was read from a folder.
    content = head | config | head
    # File names in the provenance may have bytes that are not UTF-8, as lone surrogates: backslashreplace turns these
    # into JSON's own escapes (udcff).
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = {folder / WEIGHTS_FILE: weights, folder / CONFIG_FILE: text.encode("utf-8", "backslashreplace")}
        write_atomically(files, remove=_find_stale_codec_files(folder, head["weights_sha256"]))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise ModelFolderError(f"{folder}: cannot save the model ({reason})") from error


def read_kind(path: Path) -> str | None:
    """Returns the kind of model in a folder; None for a language model, and for a folder that does not exist.

    Raises ModelFolderError for a folder without a valid config, and for a model on the Hub that is not available.
    """
    path = find_folder(path, _NAMED_MODELS)
    kind = _read_config(path).get("kind") if path.is_dir() else None
    return kind if isinstance(kind, str) else None


def check_replaceable(path: str | Path, kind: str) -> None:
    """Raises ModelFolderError for a folder with a model of another kind, an interrupted run or a damaged config."""
    check_type(PATH, path=path)
    folder = Path(path)
    # Saving over another kind would leave some of its files beside the new ones.
    taken = [name for name in (CONFIG_FILE, CHECKPOINT_FOLDER) if (folder / name).exists()]
    if taken and (found := _read_config(folder).get("kind")) != kind:
        raise ModelFolderError(
            f"{folder}: contains {_describe_kind(found)}; choose another folder for {_describe_kind(kind)}"
        )


def _find_stale_codec_files(folder: Path, weights_sha256: object) -> list[Path]:
    """Returns the paths of the codec's files, which need not exist; none if the folder's config has the same weights.

    An unreadable config counts as one of other weights.
    """
    try:
        same_weights = _read_config(folder)["weights_sha256"] == weights_sha256
    except (ModelFolderError, KeyError):
        same_weights = False
    # The codec reads only these files: it would compress with the old model.
    return [] if same_weights else [folder / name for name in CODEC_FILES]


def read_model_folder(path: str | Path, kind: str | None = None) -> tuple[Config, dict[str, Tensor]]:
    """Returns the config and the tensors, whose values may be NaN or infinite.

    Args:
        path: The folder, or the name of a model that is part of the package or on the Hub.
        kind: Expected ``kind`` in the config; None for a language model.

    Raises:
        ModelFolderError: The folder does not contain a complete model of this kind; the message names file and reason.
    """
    check_type(PATH, path=path)
    folder = find_folder(path, _NAMED_MODELS)
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder" if not folder.exists() else f"{folder}: not a folder")
    config = _read_config(folder)
    if (found := config.get("kind")) != kind:
        raise ModelFolderError(f"{folder}: {_describe_kind(found)}, not {_describe_kind(kind)}")
    try:
        data = read_tensor_file(folder / WEIGHTS_FILE)
    except OSError as error:
        raise ModelFolderError(f"{folder}: cannot read {WEIGHTS_FILE} ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        reason = f"is damaged or belongs to a different {CONFIG_FILE} ({error!s:.200})"
        raise ModelFolderError(f"{folder}: {WEIGHTS_FILE} {reason}") from None
    # Before the tensors are created: a folder copied while a run saves can have files of two models.
    if hashlib.sha256(data).hexdigest() != config.get("weights_sha256"):
        raise ModelFolderError(
            f"{folder}: {WEIGHTS_FILE} is damaged or belongs to a different {CONFIG_FILE} (its SHA-256 does not match)"
        )
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelFolderError(f"{folder}: {WEIGHTS_FILE} cannot be read ({error})") from None
    # Models of the package are stored in float16 for their size; no CPU computes quickly in it.
    return config, {name: t.float() for name, t in tensors.items()} if folder.parent == _NAMED_MODELS else tensors


def _describe_kind(kind: object) -> str:
    return "a language model" if kind is None else f"a {kind!s:.40}"


def describe_misfit(expected: dict[str, Tensor], found: dict[str, Tensor]) -> str | None:
    """Describes the first difference in names and shapes from the expected tensors; returns None if there is none.

    The dtypes need not be the expected ones, but all tensors found must have one floating-point dtype.
    """
    shapes = [{(name, tuple(t.shape)) for name, t in tensors.items()} for tensors in (expected, found)]
    # One sorted name instead of a list: a model of another size differs in every tensor.
    if shapes[0] != shapes[1]:
        return f"tensor {min(shapes[0] ^ shapes[1])[0]} is missing or unexpected, or has a different shape"
    if len(dtypes := {t.dtype for t in found.values()}) > 1 or not dtypes <= _DTYPES:
        return f"the tensors have dtype {', '.join(sorted(map(str, dtypes)))}: all must have one floating-point dtype"
    return None


def _read_config(folder: Path) -> Config:
    file = folder / CONFIG_FILE
    try:
        # Not read_text: a device or a pipe of this name could block, and the size is limited before it is read.
        with open_regular(file) as stream:
            data = stream.read(_MAX_CONFIG_BYTES + 1)
        if len(data) > _MAX_CONFIG_BYTES:
            raise ModelFolderError(f"{file}: too large for a model's configuration")
        config = parse_json(data)
    except OSError as error:
        # Without config.json, the state of the run determines what the user can do.
        if not file.exists() and FolderLock(folder, "a run").is_held:
            raise ModelFolderError(
                f"{folder}: no model yet: a training run is in progress and will save it at the end; wait, or stop "
                "the run with Ctrl-C, which also saves the model"
            ) from None
        if (folder / CHECKPOINT_FOLDER).is_dir() and not file.exists():
            raise ModelFolderError(
                f"{folder}: no model yet, only an interrupted run",
                hint=("resume it with ", Argument("resume", str(folder), "RunPlan")),
            ) from None
        raise ModelFolderError(f"{folder}: not a model folder (cannot read {CONFIG_FILE}: {error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{file}: damaged ({error})") from None
    if not isinstance(config, dict) or "format_version" not in config:
        raise ModelFolderError(f"{file}: not the configuration of a charloom model")
    if config["format_version"] != FORMAT_VERSION:
        raise ModelFolderError(
            f"{file}: format version {config['format_version']!r:.40}; this version of charloom reads version "
            f"{FORMAT_VERSION}: install the version that wrote it"
        )
    return config


class SkipInit(TorchFunctionMode):
    """A mode in which the functions of ``torch.nn.init`` return the tensor unchanged, as ``torch.nn.utils.skip_init``.

    For a model whose weights are replaced. On the meta device, ``torch.nn.init`` would import modules of PyTorch for a
    second.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
