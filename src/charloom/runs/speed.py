"""The speed of training on this machine, measured with real training steps."""

import time
from dataclasses import replace

import torch

from charloom.models.building import build_model
from charloom.models.device import find_device
from charloom.runs.budget import operations_per_token
from charloom.settings.model import ModelSettings
from charloom.settings.training import TrainingSettings
from charloom.text.vocabulary import Vocabulary
from charloom.training.environment import run_environment
from charloom.training.truncated_bptt import make_optimizer, train_step

_WARMUP_STEPS = 2  # allocate memory, and raise the clock of the processor


def measure_rate(
    vocabulary: Vocabulary,
    model_settings: ModelSettings,
    settings: TrainingSettings,
    seconds: float,
) -> float:
    """Measures training steps with random tokens; nothing of the caller is changed.

    Args:
        vocabulary: Vocabulary of the text.
        model_settings: Settings of the model.
        settings: Settings of the training loop.
        seconds: Time to measure for; at least one step is measured.

    Returns:
        The rate in operations per second, as ``budget.operations_per_token`` counts them.
    """
    found = find_device(settings.device)
    model = build_model(vocabulary, model_settings)
    with run_environment(model, settings, found):
        torch.manual_seed(0)
        model.to(found).train()
        optimizer, state = make_optimizer(model.parameters(), settings), model.begin_state(settings.rows)
        ids = torch.randint(len(vocabulary), (settings.rows, settings.num_steps + 1), device=found)

        def step() -> None:
            loss, _ = train_step(
                *(model, optimizer, ids[:, :-1], ids[:, 1:], state),
                *(float(settings.clip_norm), settings.gradient_accumulation_steps),
            )
            loss.item()  # waits for a GPU

        for _ in range(_WARMUP_STEPS):
            started, steps = time.perf_counter(), 1
            step()
            elapsed = time.perf_counter() - started
            # Of a model that is very large, one step is enough.
            if elapsed > seconds:
                return _rate(model_settings, settings, vocabulary, steps, elapsed)
        started, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - started < seconds:
            step()
            steps += 1
        elapsed = time.perf_counter() - started
    return _rate(model_settings, settings, vocabulary, steps, elapsed)


def _rate(
    model_settings: ModelSettings, settings: TrainingSettings, vocabulary: Vocabulary, steps: int, elapsed: float
) -> float:
    """Returns the operations per second of a number of steps in a number of seconds."""
    tokens = steps * settings.rows * settings.num_steps
    return tokens * operations_per_token(model_settings, len(vocabulary)) / elapsed


def find_fastest_precision(
    vocabulary: Vocabulary,
    model_settings: ModelSettings,
    settings: TrainingSettings,
    seconds: float,
) -> tuple[str, float]:
    """Returns the faster of float32 and bfloat16 in training, and its rate, with the arguments of ``measure_rate``.

    bfloat16 only if it is clearly faster: it is less exact, and a difference of a few percent may be chance.
    """
    rates = {
        precision: measure_rate(vocabulary, model_settings, replace(settings, precision=precision), seconds / 2)
        for precision in ("float32", "bfloat16")
    }
    fastest = "bfloat16" if rates["bfloat16"] > _MIN_GAIN * rates["float32"] else "float32"
    return fastest, rates[fastest]


_MIN_GAIN = 1.2
