"""Export of a language model to one HTML file that runs it in a browser: it generates, and shows surprisal.

The file contains the weights, and computes with them in JavaScript (``page/``). It requests nothing from elsewhere.
"""

import base64
import html
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charloom.errors import Argument, SettingsError, UnknownCharacterError
from charloom.export.files import write_export
from charloom.export.page_files import FOLDER, fill_page
from charloom.export.start_prefix import find_start_prefix
from charloom.models.language_model import LanguageModel
from charloom.settings.limits import check_choice
from charloom.settings.sampling import GenerationPrecision
from charloom.version import __version__
from charloom_codec.arguments import PATH, check_type

_DIGITS = 93
_BITS_OF_TWO_DIGITS = 13
_LINE = 8192
_MAX_INT8 = 127


@dataclass(frozen=True)
class _StoredTensor:
    """A tensor as it is stored in the file.

    Attributes:
        name: Name in the ``state_dict``.
        type: float32, float16, or int8 with a float32 scale for each row.
        rows: Number of rows; 1 for a vector.
        data: The stored bytes.
    """

    name: str
    type: str
    rows: int
    data: bytes


def export_html(
    model: LanguageModel,
    path: str | Path,
    *,
    precision: GenerationPrecision = "float32",
    title: str | None = None,
    prefix: str | None = None,
    force: bool = False,
) -> None:
    """Writes a language model to one HTML file, which runs it in a browser without a network.

    With ``float32``, a prompt and a seed give the text that ``generate`` gives, up to the rounding of float32. Weights
    that float16 represents exactly take 2 bytes instead of 4. With ``int8``, each weight takes about one byte, each row
    of a matrix has a scale, and the text differs as soon as two tokens are about as likely.

    Args:
        model: The model.
        path: Path of the file.
        precision: Precision of the weights in the file.
        title: Title of the page. Default: the name of the training text, if it is known.
        prefix: Prompt that the page starts with. Default: the prefix of the training's samples.
        force: Overwrite an existing file.

    Raises:
        SettingsError: ``precision`` is not one of these, or the page cannot run the model: it has projections, or
            weights of float64.
        InputError: The model has parts that a configuration cannot describe, or its weights are not finite; the file
            exists or cannot be written; or an argument is of the wrong type.
        UnknownCharacterError: ``prefix`` has characters that are out of vocabulary.
    """
    check_type(LanguageModel, model=model)
    check_type(PATH, path=path)
    check_type((str, type(None)), title=title, prefix=prefix)
    check_type(bool, force=force)
    check_choice("precision", precision, GenerationPrecision)
    if prefix is None:
        prefix = find_start_prefix(model)
    else:
        _check_prefix(model, prefix)
    content = build_page(model, precision, title or _find_title(model), prefix)
    write_export(Path(path), content.encode(), force=force)


def build_page(
    model: LanguageModel, precision: GenerationPrecision, title: str, prefix: str, navigation: str = ""
) -> str:
    """Returns the HTML of the page. Other arguments and errors are those of ``export_html``.

    navigation: HTML of links to other pages; empty for a page that is alone.
    """
    config, tensors = model.to_config()
    layer = model.layer
    if layer.proj_size:
        raise SettingsError("a page cannot run an LSTM with projections (proj_size): train one without")
    stored = []
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().numpy()
        if values.dtype != np.float32:
            raise SettingsError(
                f"a page runs models of float32, but {name} is of {values.dtype}: convert the model with model.float()"
            )
        stored.append(_store(name, values, precision))
    if model.tied_output:
        stored.append(_store("output.weight", tensors["embedding.weight"].detach().cpu().numpy(), precision))
    compressed = zlib.compress(b"".join(one.data for one in stored), 9)
    description = {
        "charloom": __version__,
        "title": title,
        "precision": precision,
        "shape": {
            "cell": layer.mode,
            "hidden": layer.hidden_size,
            "layers": layer.num_layers,
            "embedding": config["embedding_size"],
        },
        "vocabulary": config["vocabulary"],
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "prefix": prefix,
        "training": _describe_training(config["provenance"]),
        "bytes": len(compressed),
        "tensors": [{"name": one.name, "type": one.type, "rows": one.rows, "bytes": len(one.data)} for one in stored],
    }
    parts = {
        "title": html.escape(title),
        "navigation": navigation,
        # "<" could end the element, or start a comment.
        "description": json.dumps(description).replace("<", "\\u003c"),
        "products": base64.b64encode((FOLDER / "products.wasm").read_bytes()).decode(),
        "weights": encode_base93(compressed),
    }
    return fill_page("page.html", parts)


def encode_base93(data: bytes) -> str:
    """Returns data as text: two of the 93 printable ASCII characters without ``<`` for every 13 bits.

    It takes 1.23 times the bytes; base64 takes 1.33 times. Without ``<``, no data can end a script element.
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    bits = np.append(bits, np.zeros(-len(bits) % _BITS_OF_TWO_DIGITS, np.uint8))
    numbers = bits.reshape(-1, _BITS_OF_TWO_DIGITS) @ (1 << np.arange(_BITS_OF_TWO_DIGITS, dtype=np.int64))
    digits = np.stack([numbers // _DIGITS, numbers % _DIGITS], axis=1).reshape(-1)
    codes = digits + ord("!")
    text = (codes + (codes >= ord("<"))).astype(np.uint8).tobytes().decode("ascii")
    # Editors and some programs for mail do not accept lines of megabytes.
    return "\n".join(text[start : start + _LINE] for start in range(0, len(text), _LINE))


def _store(name: str, values: NDArray[np.float32], precision: GenerationPrecision) -> _StoredTensor:
    rows = values.shape[0] if values.ndim == 2 else 1
    if precision == "int8" and values.ndim == 2:
        scales = (np.abs(values).max(axis=1, keepdims=True) / _MAX_INT8).astype(np.float32)
        # A row of zeros has the scale 0.
        rounded = np.rint(np.divide(values, scales, out=np.zeros_like(values), where=scales > 0)).astype(np.int8)
        return _StoredTensor(name, "int8", rows, scales.astype("<f4").tobytes() + rounded.tobytes())
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    is_exact = np.array_equal(halves.astype(np.float32), values)
    numbers = halves.astype("<f2") if is_exact else values.astype("<f4")
    # The first bytes of all numbers, then the second ones, and so on: they compress better apart.
    planes = np.frombuffer(numbers.tobytes(), np.uint8).reshape(-1, numbers.itemsize).T
    return _StoredTensor(name, numbers.dtype.name, rows, planes.tobytes())


def _check_prefix(model: LanguageModel, prefix: str) -> None:
    # A page has the bytes of a model of bytes as the characters of their UTF-8.
    if any("\ud800" <= character <= "\udfff" for character in prefix):
        raise SettingsError("it must be text, without bytes that are not UTF-8", setting="prefix", value=prefix)
    try:
        model.vocabulary.encode(prefix)
    except UnknownCharacterError as error:
        # Without the hint of generate: a page has no other treatment of such characters.
        raise UnknownCharacterError(*error.message, hint=("omit these characters from ", Argument("prefix"))) from None


def _find_title(model: LanguageModel) -> str:
    corpus = model.provenance.get("corpus")
    name = corpus.get("name") if isinstance(corpus, dict) else None
    return f"A model of {name}" if isinstance(name, str) and name else "A language model"


def _describe_training(provenance: object) -> dict[str, object]:
    """Returns what the page shows of the training: the text and the results, if they are known."""
    known: dict[str, object] = {}
    for section, names in {
        "corpus": ("name", "num_chars"),
        "results": ("perplexity", "validation_perplexity", "epochs_trained"),
    }.items():
        values = provenance.get(section) if isinstance(provenance, dict) else None
        if isinstance(values, dict):
            known |= {name: values[name] for name in names if isinstance(values.get(name), str | int | float)}
    return known
