"""The memory that a run will take, told before it does."""

from charloom.models.language_model import LanguageModel
from charloom.settings.cells import CELL_OF_MODE
from charloom.settings.training import TrainingSettings
from charloom.text.encoding import LARGEST_IN_MEMORY
from charloom.text.stored_ids import StoredIds

_FLOAT_BYTES = 4


def estimate_memory(model: LanguageModel, settings: TrainingSettings, ids: StoredIds) -> int:
    """Bytes that training takes at its peak beside the program itself: parameters, minibatch, text.

    Weights, gradients and the optimizer's moments; the weights kept of the last epoch, of the one now ending and of the
    best; of the minibatch what a step keeps for the way back. A checkpoint is written from where these are.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    kept = 2 + (2 if settings.optimizer == "adamw" else 0) + 2 + (1 if settings.validation_fraction else 0)
    layer = model.layer
    per_char = layer.num_layers * layer.hidden_size * CELL_OF_MODE[layer.mode].kept_per_unit + 2 * len(model.vocabulary)
    floats = parameters * kept + settings.batch_size * settings.num_steps * per_char
    return floats * _FLOAT_BYTES + min(len(ids) * ids.bytes_per_id, LARGEST_IN_MEMORY)
