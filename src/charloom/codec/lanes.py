"""A segment's bytes in coding order: its lanes, which are contiguous pieces, interleaved byte by byte.

The first ``length % lanes`` lanes are one byte longer than the others; those last bytes come last.
"""

import numpy as np


def interleave(data: bytes, lanes: int) -> bytes:
    """Original order to coding order."""
    if lanes == 1:
        return data
    longer, shorter = _pieces(np.frombuffer(data, np.uint8), lanes)
    even = np.concatenate([longer[:, : shorter.shape[1]], shorter])
    return even.T.tobytes() + longer[:, shorter.shape[1] :].tobytes()


def deinterleave(coded: bytes, lanes: int) -> bytes:
    """Coding order to original order: the inverse."""
    if lanes == 1:
        return coded
    data = np.empty(len(coded), np.uint8)
    longer, shorter = _pieces(data, lanes)
    length = shorter.shape[1]
    array = np.frombuffer(coded, np.uint8)
    even = array[: length * lanes].reshape(length, lanes).T
    longer[:, :length] = even[: len(longer)]
    longer[:, length:] = array[length * lanes :].reshape(len(longer), -1) if len(longer) else 0
    shorter[:] = even[len(longer) :]
    return data.tobytes()


def _pieces(data: "np.typing.NDArray[np.uint8]", lanes: int) -> "tuple[np.typing.NDArray[np.uint8], ...]":
    """Views of the longer lanes (count, length + 1) and the shorter ones (lanes - count, length)."""
    length, count = divmod(len(data), lanes)
    border = count * (length + 1)
    return data[:border].reshape(count, length + 1), data[border:].reshape(lanes - count, length)
