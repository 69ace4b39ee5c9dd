"""The memory estimate that is shown before a run."""

import numpy as np

from charloom import ModelSettings, TrainingSettings, Vocabulary, build_model
from charloom.runs.start import estimate_memory
from charloom.text.stored_ids import StoredIds

_SHORT = StoredIds(np.zeros(1000, np.uint8))


def _megabytes(training: TrainingSettings, ids: StoredIds = _SHORT) -> float:
    model = build_model(Vocabulary.of_text("abc"), ModelSettings("lstm", hidden_size=512))
    return estimate_memory(model, training, ids) / 1e6


def test_the_estimate_includes_all_that_training_allocates() -> None:
    """Weights and gradients are two copies of 1.06 million parameters, AdamW's moments two, the best epoch one."""
    a_copy = 4 * 1.06
    small = TrainingSettings(batch_size=1, num_steps=1)
    assert 4 * a_copy < _megabytes(small) < 4.2 * a_copy
    adamw = TrainingSettings(batch_size=1, num_steps=1, optimizer="adamw", validation_fraction=0.1)
    assert 2.9 * a_copy < _megabytes(adamw) - _megabytes(small) < 3.1 * a_copy


def test_only_the_sequences_computed_at_once_count() -> None:
    whole = TrainingSettings(batch_size=64, num_steps=64)
    in_parts = TrainingSettings(batch_size=16, num_steps=64, gradient_accumulation_steps=4)
    least = TrainingSettings(batch_size=1, num_steps=1)
    assert _megabytes(whole) - _megabytes(least) > 3.9 * (_megabytes(in_parts) - _megabytes(least))


def test_a_memory_mapped_text_takes_little() -> None:
    four_gigabytes = StoredIds(np.broadcast_to(np.uint8(0), 4 * 10**9))
    settings = TrainingSettings(batch_size=1, num_steps=1)
    assert 33 < _megabytes(settings, four_gigabytes) - _megabytes(settings) < 34
