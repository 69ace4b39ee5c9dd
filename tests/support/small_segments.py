"""Files of many segments from little data."""

import pytest

from charloom import Codec
from charloom_codec.engines.engine import Engine
from charloom_codec.format import stream


def compressed(data: bytes, engine: Engine, segment: int, threads: int = 1) -> bytes:
    """Compresses the data in segments of ``segment`` bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "SEGMENT", segment)
        return Codec(engine, threads=threads).compress(data)
