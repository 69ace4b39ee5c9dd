"""Small integer models, primings, and the engines of both, reference and native."""

import random

from charloom_codec.engines.engine import Engine
from charloom_codec.engines.native import NativeEngine
from charloom_codec.model.corrector import Corrector
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.reference.plain_engine import ReferenceEngine
from in_turn import in_turn
from integer_models import CHARACTERS, bigram_model, random_model, with_tokens

TEXT = (
    "it was the best of times, it was the worst of times,\n"
    "[12:30] a=7 b=19 say: it was the age of wisdom.\n"
    "日本語のテキスト。日本語äö—🙂\n"
)
# Repetitions are matched; QQQ, Я and invalid bytes are lost to the network.
BLOCKS = [
    TEXT[60:150].encode(),
    b"",
    TEXT.encode()[-31:] + "QQQ Я 日".encode() + b"\xe6\x97\xff\x00\xfe",
    random.Random(1).randbytes(40),
    b"x",
    TEXT[60:150].encode() + bytes(40),
]
MODELS = {
    "characters": bigram_model(TEXT * 2),
    "characters, at random": with_tokens(
        random_model(5, "lstm", hidden=20, vocabulary=len(CHARACTERS), style="wild"), CHARACTERS
    ),
    "bytes": random_model(6, "gru", hidden=33, vocabulary=256, layers=2, style="wild"),
    "some bytes": random_model(7, "rnn_relu", hidden=8, vocabulary=100),
}
PRIMINGS = {
    "unprimed": Priming(),
    "primed": Priming(TEXT[:160].encode(), 70),
    "silent": Priming(TEXT[100:].encode(), len(TEXT[100:].encode())),
}
CASES = [
    *((model, True, "unprimed") for model in MODELS),
    *in_turn([(model, False) for model in MODELS], list(PRIMINGS)),
]
"""A model, True for the fast engine, which is not primed, and a priming."""


def engine_of(
    model: IntegerModel, priming: Priming, name: str, *, fast: bool, corrector: Corrector | None = None
) -> Engine:
    """Returns the engine of an instruction set, or the reference."""
    used = None if fast else priming
    if name == "reference":
        return ReferenceEngine(model, used, corrector=corrector)
    return NativeEngine(model, used, name, corrector=corrector)
