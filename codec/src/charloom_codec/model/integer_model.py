"""A language model in integers, from which the codec computes the same probabilities on any machine.

``quantization`` creates it once from a trained model. It is then stored and never computed from floats again, because
floating-point results differ between machines. ``reference.network`` specifies the meaning of the numbers. This module
does not need PyTorch.

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

from charloom_codec.cells import CELL_NAMED, CELLS
from charloom_codec.errors import ModelFolderError
from charloom_codec.io.tensor_files import read_metadata, read_tensor_file, sort_metadata
from charloom_codec.model.bounds import Array, check_arrays

FORMAT_VERSION = 1
FREQUENCY_BITS = 22
"""Binary logarithm of the sum of the tokens' frequencies, none of which is zero."""
INTEGER_MODEL_FILE = "codec.safetensors"
"""Name of the integer model's file in a model folder."""

_FINGERPRINT, _PRIMING = "fingerprint", "priming"
"""Keys of the file's metadata: the fingerprints of the model and of its priming, in hexadecimal."""

_TABLES = ("token_table", "tanh", "exp2", "token_bytes", "token_offsets")
"""Fields whose arrays have the same names in files."""

Int8s: TypeAlias = NDArray[np.int8]
Int16s: TypeAlias = NDArray[np.int16]
Int32s: TypeAlias = NDArray[np.int32]


class IntegerMatrix(NamedTuple):
    """Matrix of 8-bit weights with a scale for each row.

    Attributes:
        weights: int8 (rows, columns). The magnitudes of a row sum to at most 65,535, so that its product with any
            activations fits 32 bits.
        multipliers: int16 (rows,), not negative.
        shifts: int32 (2,). A product ``p`` is scaled to ``((p >> shifts[0]) * multiplier) >> shifts[1]``, and each step
            fits 32 bits.
    """

    weights: Int8s
    multipliers: Int16s
    shifts: Int32s


@dataclass(frozen=True)
class IntegerLayer:
    """Recurrent layer in integers.

    Attributes:
        hidden: Hidden-to-hidden weights, (gates * hidden, hidden).
        input: Input-to-hidden weights, (gates * hidden, hidden); None for the first layer, whose input is the token
            table.
        bias: Bias of the gates, int32 (gates * hidden,); None for the first layer, whose token table includes it.
        candidate_bias: Bias of the hidden state's share in a GRU's candidate, int32 (hidden,); None for other cells.
    """

    hidden: IntegerMatrix
    input: IntegerMatrix | None = None
    bias: Int32s | None = None
    candidate_bias: Int32s | None = None


@dataclass(frozen=True)
class IntegerModel:
    """Language model in integers.

    Attributes:
        cell: Name of one of ``CELLS``.
        token_table: Each token's share of the first layer's gates, biases included, int16 (vocabulary, gates * hidden).
        layers: Recurrent layers, the lowest first.
        output: Output layer, (vocabulary, hidden), from the last layer's state to logits of base 2, Q12.
        output_bias: Bias of the logits, int32 (vocabulary,).
        tanh: Coefficients of a quadratic for each segment of 1/4, int16 (3, 32), see ``reference.network.tanh``.
        exp2: Coefficients of a cubic, int16 (4,), see ``reference.network.compute_frequencies``.
        token_bytes: Concatenated bytes of the tokens, uint8. No token is a prefix of another.
        token_offsets: Offset of each token in ``token_bytes``, and the end, int32 (vocabulary + 1,). ``<unk>``, id 0 of
            a vocabulary of characters, is empty.
        start_token: Id of the token that the network reads before a text, so that the first token has a distribution.
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
    start_token: int

    def __post_init__(self) -> None:
        """Raises ValueError if the arrays do not fit together or a sum could overflow."""
        # Here, so that no integer model exists on which a native kernel would overflow.
        check_arrays(self.to_arrays(), self.cell)

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens."""
        return len(self.output_bias)

    @property
    def hidden_size(self) -> int:
        """Number of units of each layer."""
        return int(self.output.weights.shape[1])

    def list_tokens(self) -> list[bytes]:
        """Returns the bytes of each token, by id."""
        data, offsets = self.token_bytes.tobytes(), self.token_offsets.tolist()
        return [data[start:end] for start, end in itertools.pairwise(offsets)]

    def to_arrays(self) -> dict[str, Array]:
        """Returns all arrays of the model, by their names in files."""
        arrays: dict[str, Array] = {
            "header": np.array([FORMAT_VERSION, CELL_NAMED[self.cell].number, self.start_token], np.int32),
            **{name: getattr(self, name) for name in _TABLES},
            **_name_matrix_arrays("output", self.output),
            "output.bias": self.output_bias,
        }
        for number, layer in enumerate(self.layers):
            name = f"layers.{number}"
            arrays |= _name_matrix_arrays(f"{name}.hidden", layer.hidden)
            if layer.input is not None and layer.bias is not None:
                arrays |= _name_matrix_arrays(f"{name}.input", layer.input) | {f"{name}.bias": layer.bias}
            if layer.candidate_bias is not None:
                arrays[f"{name}.candidate_bias"] = layer.candidate_bias
        return arrays

    def compute_fingerprint(self) -> bytes:
        """Returns the SHA-256, 32 bytes, of the arrays' names, types, shapes and bytes."""
        digest = hashlib.sha256()
        for name, array in sorted(self.to_arrays().items()):
            # The byte order of files, so that big-endian machines compute the same fingerprint.
            little = array.astype(array.dtype.newbyteorder("<"))
            digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode() + little.tobytes())
        return digest.digest()

    def to_bytes(self, priming_fingerprint: bytes) -> bytes:
        """Returns the contents of a file that ``load`` reads.

        Args:
            priming_fingerprint: Fingerprint of the priming of the model's mixing engine.
        """
        # safetensors stores the memory of an array, and would ignore strides.
        dense = {name: np.ascontiguousarray(array) for name, array in self.to_arrays().items()}
        # The fingerprint detects damage; that of the priming detects that files of two models were mixed up.
        fingerprints = {_FINGERPRINT: self.compute_fingerprint().hex(), _PRIMING: priming_fingerprint.hex()}
        metadata = {"format": "charloom integer model"} | fingerprints
        # safetensors writes metadata in a random order; equal models must give equal files.
        return sort_metadata(safetensors.numpy.save(dense, metadata))

    @classmethod
    def load(cls, path: Path) -> tuple["IntegerModel", str]:
        """Returns the model in a file and its priming's fingerprint, in hexadecimal. Raises ModelFolderError."""
        try:
            data = read_tensor_file(path)
            model, metadata = cls.from_arrays(safetensors.numpy.load(data)), read_metadata(data)
            fingerprint, priming = metadata[_FINGERPRINT], metadata[_PRIMING]
        except OSError as error:
            # Also for a folder or a special file of this name.
            raise ModelFolderError(f"{path}: cannot read the integer model ({error.strerror or error})") from None
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
            reason = f"{error!s:.200}"  # parts of a hostile file may be in the message
            raise ModelFolderError(
                f"{path}: not an integer model that this version of charloom can use ({reason})"
            ) from None
        if fingerprint != model.compute_fingerprint().hex():
            raise ModelFolderError(f"{path}: damaged (its fingerprint does not match): restore it from a copy")
        return model, priming

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> "IntegerModel":
        """Returns the model of the arrays that ``to_arrays`` returned; the dictionary is not changed.

        Raises KeyError or ValueError for any other arrays.
        """
        remaining = dict(arrays)  # the arrays that no field has taken yet
        header = remaining.pop("header")
        if header.dtype != np.int32 or header.shape != (3,):
            raise ValueError("its header is not three int32 values")
        version, cell, start_token = header.tolist()
        # The version comes first: the arrays of another version may differ.
        if version != FORMAT_VERSION:
            raise ValueError(
                f"it has format version {version}, but this version of charloom reads format version {FORMAT_VERSION}: "
                "call charloom.prepare_codec on the folder again"
            )
        if not 0 <= cell < len(CELLS):
            raise ValueError(f"{cell} is not a valid cell number")
        # The number of layers is not stored: it follows from the names.
        layers: list[IntegerLayer] = []
        while f"layers.{len(layers)}.hidden.weights" in remaining:
            name = f"layers.{len(layers)}"
            layers.append(
                IntegerLayer(
                    _pop_matrix(remaining, f"{name}.hidden"),
                    _pop_matrix(remaining, f"{name}.input") if layers else None,
                    remaining.pop(f"{name}.bias") if layers else None,
                    remaining.pop(f"{name}.candidate_bias") if CELLS[cell].name == "gru" else None,
                )
            )
        model = cls(
            cell=CELLS[cell].name,
            layers=tuple(layers),
            output=_pop_matrix(remaining, "output"),
            output_bias=remaining.pop("output.bias"),
            start_token=start_token,
            **{name: remaining.pop(name) for name in _TABLES},
        )
        # An unknown array may come from a later version, which computes something else.
        if remaining:
            raise ValueError(f"unknown array {min(remaining)}")
        return model


def _name_matrix_arrays(name: str, matrix: IntegerMatrix) -> dict[str, Array]:
    return {f"{name}.{part}": array for part, array in matrix._asdict().items()}


def _pop_matrix(arrays: dict[str, Array], name: str) -> IntegerMatrix:
    return IntegerMatrix(*(arrays.pop(f"{name}.{part}") for part in IntegerMatrix._fields))
