"""The measurements of a training run, epoch by epoch."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from charloom.io.frames import make_frame
from charloom.settings.training import TrainingSettings
from charloom.training.picture import make_history_markup

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class EpochRecord:
    """The measurements of one epoch.

    Attributes:
        epoch: Counted from 1.
        perplexity: exp of the mean training loss over the epoch, during which the weights change.
        validation_perplexity: Perplexity of the held-out part at the epoch's end; None without validation.
        seconds: Wall-clock time of the run up to the epoch's end, in seconds, with validation, samples and checkpoints.
        chars_per_second: Training speed over the epoch, without validation and sampling.
        reached_time_limit: True for the last epoch of a run that reached its time limit; it may be incomplete.
    """

    epoch: int
    perplexity: float
    validation_perplexity: float | None
    seconds: float
    chars_per_second: float
    reached_time_limit: bool = False

    def to_dict(self) -> dict[str, int | float | None]:
        """Returns values for JSON: a perplexity too large for a float is None; ``reached_time_limit`` only if True."""
        # JSON has no infinity.
        values = {name: None if value == math.inf else value for name, value in asdict(self).items()}
        # Files of runs without a limit stay as they were before limits existed.
        if not self.reached_time_limit:
            del values["reached_time_limit"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, float | None], *, validated: bool) -> "EpochRecord":
        """Creates a record from the values of ``to_dict``; None in place of a number is read as infinity.

        validated: True if the run had a held-out part. Raises KeyError, TypeError, ValueError or OverflowError for
        other values.
        """
        # Adding 0.0 raises TypeError for a str, and OverflowError for an int beyond the range of floats.
        found = {name: math.inf if value is None else value + 0.0 for name, value in values.items()}
        validation = found["validation_perplexity"] if validated else None
        speed, reached_limit = found["chars_per_second"], bool(found.get("reached_time_limit"))
        return cls(int(found["epoch"]), found["perplexity"], validation, found["seconds"], speed, reached_limit)

    def to_json(self) -> str:
        """Returns a line of ``history.jsonl``, without the line break."""
        return json.dumps(self.to_dict())


class History(list[EpochRecord]):
    """The list of a run's records, in order of epochs. A notebook shows it as curves."""

    @property
    def best(self) -> EpochRecord | None:
        """The first record with the lowest validation perplexity; None without validation."""
        validated = [record for record in self if record.validation_perplexity is not None]
        # ``or`` is for the type checker only: no record here has None. Of equal records, min returns the first.
        return min(validated, key=lambda record: record.validation_perplexity or math.inf, default=None)

    @property
    def reached_time_limit(self) -> bool:
        """True if the run reached its time limit in the last epoch."""
        return bool(self) and self[-1].reached_time_limit

    def to_frame(self) -> "DataFrame":
        """Returns a pandas DataFrame with a row for each epoch, whose columns are the attributes of the records.

        Raises:
            CharloomError: pandas is not installed.
        """
        columns = {field.name: [getattr(record, field.name) for record in self] for field in fields(EpochRecord)}
        # A column of None would have the type of arbitrary objects.
        columns["validation_perplexity"] = [
            math.nan if value is None else value for value in columns["validation_perplexity"]
        ]
        return make_frame(columns)

    def _repr_html_(self) -> str:
        return make_history_markup(self)

    def out_of_patience(self, patience: int | None) -> bool:
        """Returns True if validation has not improved for ``patience`` epochs; False if patience is None."""
        best = self.best
        # Epochs are counted from 1, so the length of the history is the number of the last epoch.
        return best is not None and patience is not None and len(self) - best.epoch >= patience

    def is_complete(self, settings: TrainingSettings) -> bool:
        """Returns True if all epochs are trained, patience is exhausted, or the time limit was reached."""
        return self.reached_time_limit or len(self) >= settings.epochs or self.out_of_patience(settings.patience)
