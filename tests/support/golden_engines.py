"""Contents of the engines' golden file; as a program, prints it, for a deliberate change of the format.

PYTHONPATH=tests/support python tests/support/golden_engines.py > tests/codec/engines/golden_engines.json
"""

import hashlib
import io
import json
import sys

from charloom_codec.codec import Codec
from charloom_codec.engines.engine import VERSIONS, Engine
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.records.record_codec import RecordCodec
from charloom_codec.reference.plain_engine import ReferenceEngine
from integer_models import bigram_model

_KNOWN = "it was the best of times, it was the worst of times,\n[12:30] a=7 b=19 日本語のテキスト。äö🙂\n"
MODEL: IntegerModel = bigram_model(_KNOWN * 2)
PRIMING = Priming(_KNOWN.encode(), 50)

_BLOCKS = [
    "it was the age of wisdom,\n[12:31] a=8 b=20 日本語。\n".encode() * 2,
    b"\x00\xff not UTF-8 \xe6\x97\n" + hashlib.sha256(b"noise").digest(),
]
_FILE = _KNOWN.encode() * 2 + b"\xff."
_RECORDS = [b"", b"it was the age", "[12:31] 日本語。".encode(), b"two\nlines\n", b"\xff\xfe\x00"]


def encoded(engine: Engine) -> dict[str, list[str]]:
    """Returns payloads, records and a whole file of an engine, in hexadecimal digits."""
    found = {}
    for lanes in (1, 4):
        session = engine.start_session(lanes)
        found[f"{lanes} lanes"] = [session.encode(block).hex() for block in _BLOCKS]
    records = RecordCodec(engine)
    found["records"] = [records.encode(record).hex() for record in _RECORDS]
    found["file"] = [Codec(engine, threads=1).compress(_FILE).hex()]
    lines = io.BytesIO()
    Codec(engine, threads=1).compress_lines(io.BytesIO(_BLOCKS[0]), lines)
    found["file of records"] = [lines.getvalue().hex()]
    return found


def decoded(engine: Engine, golden: dict[str, list[str]]) -> bool:
    """Returns True if golden bytes decode to their originals."""
    for lanes in (1, 4):
        session = engine.start_session(lanes)
        for payload, block in zip(golden[f"{lanes} lanes"], _BLOCKS, strict=True):
            if session.decode(bytes.fromhex(payload), len(block)) != block:
                return False
    records = [RecordCodec(engine).decode(bytes.fromhex(blob)) for blob in golden["records"]]
    file = Codec(engine, threads=1).decompress(bytes.fromhex(golden["file"][0]))
    lines = Codec(engine, threads=1).decompress(bytes.fromhex(golden["file of records"][0]))
    return records == _RECORDS and file == _FILE and lines == _BLOCKS[0]


ENGINES: dict[str, tuple[Priming | None, int]] = {
    f"{mode} {version}": (None if mode == "fast" else PRIMING, version)
    for mode, versions in VERSIONS.items()
    for version in versions
}
"""Arguments of an engine, by mode and version."""

if __name__ == "__main__":
    golden: dict[str, object] = {
        name: encoded(ReferenceEngine(MODEL, *arguments)) for name, arguments in sorted(ENGINES.items())
    }
    golden["model"] = MODEL.compute_fingerprint().hex()
    json.dump(golden, sys.stdout, indent=1)
    sys.stdout.write("\n")
