"""Writes cases for ``codec_results.cpp`` and the reference engines' results: ``codec_cases.py FOLDER``."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charloom_codec.cells import CELL_NAMED
from charloom_codec.engines.engine import FULL_BITS, LIGHT_BITS, MAX_SEGMENT, RECORD_CAPACITY, VERSIONS, Engine
from charloom_codec.model.corrector import load_corrector
from charloom_codec.model.integer_model import IntegerMatrix, IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.reference.plain_engine import ReferenceEngine
from golden_engines import MODEL
from integer_models import CHARACTERS, random_model, with_tokens

_TEXT = "it was the best of times, it was the worst of times,\n[12:30] a=7 b=19 日本語のテキスト。äö🙂\n"
_BLOCKS = [
    _TEXT.encode() * 2,
    b"",
    random.Random(1).randbytes(100),
    _TEXT.encode()[-31:] + "QQQ Я 日".encode() + b"\xe6\x97\xff\x00\xfe" + bytes(60),
    _TEXT.encode(),
]
_RECORDS = [b"", b"it was the\nbest", b"\n\n\xff", "日本語".encode(), b"it was the worst of times,"]
_PRIMING = Priming(_TEXT.encode(), 60)
_MODELS = {
    "rnn_tanh": MODEL,
    "rnn_relu": random_model(7, "rnn_relu", hidden=8, vocabulary=100),
    "gru": random_model(6, "gru", hidden=33, vocabulary=256, layers=2, style="wild"),
    "lstm": with_tokens(random_model(5, "lstm", hidden=70, vocabulary=len(CHARACTERS), style="wild"), CHARACTERS),
}


def _fields(model: IntegerModel) -> Iterator[NDArray[Any] | bytes | int]:
    """Yields the fields in the order in which the program reads them; ints have 32 bits."""

    def matrix(m: IntegerMatrix | None) -> Iterator[NDArray[Any] | bytes | int]:
        yield from (m.weights, m.multipliers, *m.shifts.tolist()) if m is not None else (b"", b"", 0, 0)

    yield from (CELL_NAMED[model.cell].number, len(model.layers))
    yield from (model.hidden_size, model.vocabulary_size, model.start_token)
    yield model.token_table
    for layer in model.layers:
        yield from matrix(layer.hidden)
        yield from matrix(layer.input)
        yield b"" if layer.bias is None else layer.bias
        yield b"" if layer.candidate_bias is None else layer.candidate_bias
    yield from matrix(model.output)
    yield from (model.output_bias, model.tanh, model.exp2, model.token_bytes, model.token_offsets)
    yield from (FULL_BITS, LIGHT_BITS, MAX_SEGMENT, RECORD_CAPACITY, _PRIMING.text, _PRIMING.bytes_without_network)
    corrector = load_corrector(VERSIONS["mixing"][0])
    yield VERSIONS["mixing"][0]
    yield from (corrector.pair_inputs(), corrector.rows, corrector.output, corrector.output_bias, corrector.log_counts)
    for items in (_BLOCKS, _RECORDS):
        yield len(items)
        yield from items


def _bytes_of(field: NDArray[Any] | bytes | int) -> bytes:
    if isinstance(field, np.ndarray):
        return field.astype(field.dtype.newbyteorder("<")).tobytes()
    return field.to_bytes(4, "little", signed=True) if isinstance(field, int) else field


def _results(name: str, engine: Engine) -> Iterator[str]:
    for lanes in (1, 4, 16, 64):
        session = engine.start_session(lanes)
        for number, block in enumerate(_BLOCKS):
            yield f"{name}.{lanes}.{number} {session.encode(block).hex()}\n"
    records = engine.start_record_session()
    for number, record in enumerate(_RECORDS):
        yield f"{name}.record.{number} {records.encode(record).hex()}\n"


def main(folder: Path) -> None:
    """Writes a .case and a .expected for each model."""
    for name, model in _MODELS.items():
        fields = [_bytes_of(field) for field in _fields(model)]
        (folder / f"{name}.case").write_bytes(b"".join(len(p).to_bytes(8, "little") + p for p in fields))
        lines = [
            *_results("fast", ReferenceEngine(model, None)),
            *_results("mixing", ReferenceEngine(model, _PRIMING)),
        ]
        (folder / f"{name}.expected").write_text("".join(lines), encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
