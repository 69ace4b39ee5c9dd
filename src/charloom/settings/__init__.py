"""Settings as frozen dataclasses, which validate their values when they are created. No module here imports torch.

The command line is derived from these classes: a field added here is an option there.
"""

from charloom.settings.corpus import CorpusSettings as CorpusSettings
from charloom.settings.forecasting import ForecastSettings as ForecastSettings
from charloom.settings.forecasting import TableSettings as TableSettings
from charloom.settings.model import ModelSettings as ModelSettings
from charloom.settings.recipes import Recipe as Recipe
from charloom.settings.sampling import SamplingSettings as SamplingSettings
from charloom.settings.training import TrainingSettings as TrainingSettings
