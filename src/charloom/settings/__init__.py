"""Settings as frozen dataclasses: a unit for each field, contradictions refused. No module here imports torch.

The command line is derived from these classes: a field added here is an option there.
"""

from charloom.settings.corpus import CorpusSettings
from charloom.settings.forecasting import ForecastSettings, TableSettings
from charloom.settings.model import ModelSettings
from charloom.settings.recipes import Recipe
from charloom.settings.sampling import SamplingSettings
from charloom.settings.training import TrainingSettings

__all__ = [
    "CorpusSettings",
    "ForecastSettings",
    "ModelSettings",
    "Recipe",
    "SamplingSettings",
    "TableSettings",
    "TrainingSettings",
]
