"""What does quantization to integers cost in bits per character, and how fast is the integer network?

Trains an RNN of 256 and an LSTM of 512 units on the first 90% of a text (or loads trained models), and evaluates the
last 10% in 64 lanes with the float model and with the quantized one. Then measures characters per second of the fast
engine on each instruction set, including coding, in CPU time of one thread; the instruction sets take turns.
"""

import argparse
import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import charloom
from alternate import machine, write_result
from charloom import LanguageModel, ModelSettings, TrainingSettings
from charloom.compression.quantization import quantize
from charloom_codec.engines.engine import BLOCK
from charloom_codec.engines.native import NativeEngine, supported
from charloom_codec.model.integer_model import IntegerModel

_MODELS = {
    "rnn 256": (ModelSettings(hidden_size=256, embedding_size=64, dropout=0.1, init_sigma=0), 20),
    "lstm 512": (ModelSettings(cell="lstm", hidden_size=512, embedding_size=64, dropout=0.3, init_sigma=0), 14),
}
_HELD_OUT = 0.1
_LANES = 64


def _train(settings: ModelSettings, corpus: charloom.Corpus, epochs: int, precision: Any) -> LanguageModel:
    model = charloom.build_model(corpus.vocabulary, settings)
    training = TrainingSettings(
        batch_size=64,
        num_steps=64,
        epochs=epochs,
        optimizer="adamw",
        learning_rate=0.003,
        validation_fraction=_HELD_OUT,
        sample_every=0,
        device="cpu",
        precision=precision,
    )
    charloom.train(model, corpus, training)
    return model.eval()


def _in_lanes(model: LanguageModel, text: str | bytes) -> NDArray[np.int64]:
    """Returns token ids (steps, lanes); each lane is a contiguous part of the text."""
    ids = model.vocabulary.encode(text, unknown="skip").numpy()
    return ids[: len(ids) // _LANES * _LANES].reshape(_LANES, -1).T.copy()


def _float_bits(model: LanguageModel, start_token: int, tokens: NDArray[np.int64]) -> float:
    """Returns bits per character of all tokens after the start token."""
    inputs = np.concatenate([np.full((1, _LANES), start_token), tokens[:-1]])
    nats, state = 0.0, model.begin_state(_LANES)
    with torch.inference_mode():
        for first in range(0, len(inputs), 256):
            logits, state = model(torch.from_numpy(inputs[first : first + 256].T.copy()), state)
            targets = torch.from_numpy(tokens[first : first + 256])
            nats -= float(torch.log_softmax(logits.double(), 2).gather(2, targets.unsqueeze(2)).sum())
    return nats / tokens.size / math.log(2)


def _interleaved_blocks(model: IntegerModel, tokens: NDArray[np.int64]) -> list[bytes]:
    """Returns the tokens' bytes in coding order, in blocks. Lanes are padded with line feeds to the longest one."""
    table = model.list_tokens()
    lanes = [b"".join(table[token] for token in lane) for lane in tokens.T]
    # Lanes have equally many tokens, but tokens of UTF-8 differ in their number of bytes.
    max_length = max(map(len, lanes))
    data = np.array([list(lane.ljust(max_length, b"\n")) for lane in lanes], np.uint8).T.tobytes()
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


def _integer_bits(model: IntegerModel, tokens: NDArray[np.int64]) -> float:
    session = NativeEngine(model, None, supported()[-1]).start_session(_LANES)
    return 8 * sum(len(session.encode(block)) for block in _interleaved_blocks(model, tokens)) / tokens.size


def _speeds(model: IntegerModel, lanes: int, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Returns characters per second of each instruction set, by round."""
    random = np.random.default_rng(0)
    sessions = {name: NativeEngine(model, None, name).start_session(lanes) for name in supported()}
    speeds: dict[str, list[float]] = {name: [] for name in sessions}
    steps = dict.fromkeys(sessions, 50)
    for round_number in range(rounds + 1):
        for name, session in sessions.items():
            tokens = random.integers(1, model.vocabulary_size, (steps[name], lanes))
            blocks = _interleaved_blocks(model, tokens)
            start = time.thread_time()
            for block in blocks:
                session.encode(block)
            speed = tokens.size / (time.thread_time() - start)
            if round_number:
                speeds[name].append(speed)
            else:  # the uncounted round determines the number of steps of a measurement
                steps[name] = max(1, int(speed * seconds / lanes))
    return speeds


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="text file to train on and to evaluate")
    parser.add_argument(
        "--load", type=Path, action="append", help="folder of a trained model; may be repeated; default: train models"
    )
    parser.add_argument("--epochs", type=int, help="number of epochs, to try the benchmark with fewer")
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="bfloat16", help="precision of training"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="approximate seconds of each speed measurement")
    options = parser.parse_args()
    corpus = charloom.load_corpus(options.text)
    held_out = corpus.text[int(len(corpus.text) * (1 - _HELD_OUT)) :]
    results: dict[str, Any] = {}
    for name in [str(folder) for folder in options.load] if options.load else list(_MODELS):
        if options.load:
            model = LanguageModel.load(name)
            name = f"{model.layer.mode} {model.layer.hidden_size}".lower()
        else:
            settings, epochs = _MODELS[name]
            model = _train(settings, corpus, options.epochs or epochs, options.precision)
        integers = quantize(model)
        tokens = _in_lanes(model, held_out)
        in_floats, in_integers = _float_bits(model, integers.start_token, tokens), _integer_bits(integers, tokens)
        result: dict[str, Any] = {
            "text": options.text.name,
            "characters": tokens.size,
            "tokens": len(model.vocabulary),
            "bits_per_character": {"float": in_floats, "integer": in_integers},
            "lost": in_integers - in_floats,
            "characters_per_second": {},
        }
        print(f"{name}: {in_floats:.5f} bits per character, in integers {in_integers:.5f} ({result['lost']:+.5f})")
        for lanes in (1, 16, _LANES):
            speeds = _speeds(integers, lanes, options.seconds, options.rounds)
            result["characters_per_second"][f"{lanes} lanes"] = speeds
            medians = (f"{s} {statistics.median(v) / 1e3:.1f} k" for s, v in speeds.items())
            print(f"  {lanes:2d} lanes, characters per second: {', '.join(medians)}", flush=True)
        results[name] = result
    write_result("integer_model", {"question": __doc__, "results": results, "machine": machine()})


if __name__ == "__main__":
    main()
