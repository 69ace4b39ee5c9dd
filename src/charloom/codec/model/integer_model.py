"""A language model in integers: what the codec computes with, on any machine the same.

Made once from a trained model (``quantization``) and stored; nothing in it is ever computed from floats again. What the
numbers mean is written in ``reference.network``, the specification of every native kernel. Needs no PyTorch.

Formats: activations, gates and the arguments of tanh are int16; "Q12" is a number times 2^12.
"""

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from charloom.codec.model.bounds import Array, check_arrays
from charloom.errors import ModelFolderError
from charloom.io.tensor_files import metadata_of, read_tensor_file, with_sorted_metadata
from charloom.settings.cells import CELL_NAMED, CELLS

FORMAT_VERSION = 1
FREQUENCY_BITS = 22
"""The frequencies of the tokens sum to 2 to the power of this; none is zero."""
INTEGER_MODEL_FILE = "codec.safetensors"
"""Its name in a model folder."""

_FINGERPRINT, _PRIMING = "fingerprint", "priming"
"""In the file's metadata, in hexadecimal: its own, and its priming's."""

_TABLES = ("token_table", "tanh", "exp2", "token_bytes", "token_offsets")
"""Fields that stand in files by their own names."""

Int8s: TypeAlias = NDArray[np.int8]
Int16s: TypeAlias = NDArray[np.int16]
Int32s: TypeAlias = NDArray[np.int32]


class IntegerMatrix(NamedTuple):
    """A matrix of 8-bit weights, a scale for each row.

    Attributes:
        weights: (rows, columns). The magnitudes of a row sum to 65,535 at most, so that its product with any
            activations fits 32 bits.
        multipliers: (rows,), not negative.
        shifts: (2,). A product ``p`` counts as ``((p >> shifts[0]) * multiplier) >> shifts[1]``, and no step of that
            leaves 32 bits.
    """

    weights: Int8s
    multipliers: Int16s
    shifts: Int32s


@dataclass(frozen=True)
class IntegerLayer:
    """One recurrent layer.

    Attributes:
        hidden: (gates * hidden, hidden), what multiplies the layer's own state.
        input: The same for the state of the layer below; None for the first, whose input is the token table.
        bias: int32 (gates * hidden,), beside ``input``; None for the first.
        candidate_bias: int32 (hidden,), of the hidden state's share of a GRU's candidate; None for other cells.
    """

    hidden: IntegerMatrix
    input: IntegerMatrix | None = None
    bias: Int32s | None = None
    candidate_bias: Int32s | None = None


@dataclass(frozen=True)
class IntegerModel:
    """A language model in integers.

    Attributes:
        cell: The name of one of ``CELLS``.
        token_table: (vocabulary, gates * hidden), each token's share of the first layer's gates, biases included.
        layers: From the lowest.
        output: (vocabulary, hidden), from the last layer's state to logits of base 2, Q12.
        output_bias: int32 (vocabulary,).
        tanh: (3, 32), a quadratic for each segment of a quarter, see ``reference.network.tanh``.
        exp2: (4,), a cubic, see ``reference.network.frequencies``.
        token_bytes: uint8, the tokens' bytes one after the other; none is the beginning of another.
        token_offsets: int32 (vocabulary + 1,), where each begins. ``<unk>``, id 0 of a vocabulary of characters, is
            empty.
        begin_token: What is read before a text, so that its first token has a distribution.
    """

    cell: str
    token_table: Int16s
    layers: tuple[IntegerLayer, ...]
    output: IntegerMatrix
    output_bias: Int32s
    tanh: Int16s
    exp2: Int16s
    token_bytes: NDArray[np.uint8]
    token_offsets: Int32s
    begin_token: int

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that do not fit together, or with which a sum could overflow."""
        check_arrays(self.arrays(), self.cell)

    @property
    def vocabulary_size(self) -> int:
        """Tokens."""
        return len(self.output_bias)

    @property
    def hidden_size(self) -> int:
        """Units of each layer."""
        return int(self.output.weights.shape[1])

    def tokens(self) -> list[bytes]:
        """The bytes of each token."""
        data, offsets = self.token_bytes.tobytes(), self.token_offsets.tolist()
        return [data[begin:end] for begin, end in itertools.pairwise(offsets)]

    def arrays(self) -> dict[str, Array]:
        """All that the model is, by the names that files have."""
        arrays: dict[str, Array] = {
            "header": np.array([FORMAT_VERSION, CELL_NAMED[self.cell].number, self.begin_token], np.int32),
            **{name: getattr(self, name) for name in _TABLES},
            **_matrix_arrays("output", self.output),
            "output.bias": self.output_bias,
        }
        for number, layer in enumerate(self.layers):
            name = f"layers.{number}"
            arrays |= _matrix_arrays(f"{name}.hidden", layer.hidden)
            if layer.input is not None and layer.bias is not None:
                arrays |= _matrix_arrays(f"{name}.input", layer.input) | {f"{name}.bias": layer.bias}
            if layer.candidate_bias is not None:
                arrays[f"{name}.candidate_bias"] = layer.candidate_bias
        return arrays

    def fingerprint(self) -> bytes:
        """32 bytes that two models share only if every integer is the same: SHA-256 of names, types, shapes, bytes."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            little = array.astype(array.dtype.newbyteorder("<"))
            digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode() + little.tobytes())
        return digest.digest()

    def to_file(self, priming: bytes) -> bytes:
        """Returns the bytes that ``load`` reads. priming: Fingerprint of the priming of the model's mixing engine."""
        dense = {name: np.ascontiguousarray(array) for name, array in self.arrays().items()}
        fingerprints = {_FINGERPRINT: self.fingerprint().hex(), _PRIMING: priming.hex()}
        metadata = {"format": "charloom integer model"} | fingerprints
        return with_sorted_metadata(safetensors.numpy.save(dense, metadata))

    @classmethod
    def load(cls, path: Path) -> tuple["IntegerModel", str]:
        """The model, and the fingerprint, in hexadecimal, of its priming. ModelFolderError for all but a sound file."""
        try:
            data = read_tensor_file(path)
            model, metadata = cls.from_arrays(safetensors.numpy.load(data)), metadata_of(data)
            fingerprint, priming = metadata[_FINGERPRINT], metadata[_PRIMING]
        except OSError as error:
            raise ModelFolderError(f"{path}: cannot read the integer model ({error.strerror or error})") from None
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
            reason = f"{error!s:.200}"
            raise ModelFolderError(f"{path}: not an integer model that this charloom can use ({reason})") from None
        if fingerprint != model.fingerprint().hex():
            raise ModelFolderError(f"{path}: damaged (its fingerprint is another than it says): take it from a copy")
        return model, priming

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> "IntegerModel":
        """The inverse of ``arrays``. Raises KeyError or ValueError for anything else."""
        left = dict(arrays)
        header = left.pop("header")
        if header.dtype != np.int32 or header.shape != (3,):
            raise ValueError("header is not three int32")
        version, cell, begin_token = header.tolist()
        if version != FORMAT_VERSION:
            raise ValueError(f"version {version}, this charloom reads {FORMAT_VERSION}: make the model's codec again")
        if not 0 <= cell < len(CELLS):
            raise ValueError(f"cell {cell} is none")
        layers: list[IntegerLayer] = []
        while f"layers.{len(layers)}.hidden.weights" in left:
            name = f"layers.{len(layers)}"
            layers.append(
                IntegerLayer(
                    _pop_matrix(left, f"{name}.hidden"),
                    _pop_matrix(left, f"{name}.input") if layers else None,
                    left.pop(f"{name}.bias") if layers else None,
                    left.pop(f"{name}.candidate_bias") if CELLS[cell].name == "gru" else None,
                )
            )
        model = cls(
            cell=CELLS[cell].name,
            layers=tuple(layers),
            output=_pop_matrix(left, "output"),
            output_bias=left.pop("output.bias"),
            begin_token=begin_token,
            **{name: left.pop(name) for name in _TABLES},
        )
        if left:
            raise ValueError(f"{min(left)} belongs to no part of it")
        return model


def _matrix_arrays(name: str, matrix: IntegerMatrix) -> dict[str, Array]:
    return {f"{name}.{part}": array for part, array in matrix._asdict().items()}


def _pop_matrix(arrays: dict[str, Array], name: str) -> IntegerMatrix:
    return IntegerMatrix(*(arrays.pop(f"{name}.{part}") for part in IntegerMatrix._fields))
