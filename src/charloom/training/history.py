"""The measurements of a training run, epoch by epoch."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: Counted from 1.
        perplexity: exp of the mean training loss over the epoch, weights moving on as it went.
        validation_perplexity: On the part kept out of training, at the epoch's end; None without one.
        seconds: Since training began, at the epoch's end.
        chars_per_second: Training speed over the epoch, validation and samples left out.
    """

    epoch: int
    perplexity: float
    validation_perplexity: float | None
    seconds: float
    chars_per_second: float

    def to_dict(self) -> dict[str, int | float | None]:
        """Values for JSON, which has no infinity: a perplexity too large for a float is None."""
        return {name: None if value == math.inf else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, float | None], *, validated: bool) -> "EpochRecord":
        """Undoes ``to_dict``: what is None, but should be a number, is infinite.

        validated: True if there was a text to validate on. Raises KeyError, TypeError, ValueError or OverflowError for
        other values.
        """
        found = {name: math.inf if value is None else value + 0.0 for name, value in values.items()}
        validation = found["validation_perplexity"] if validated else None
        return cls(int(found["epoch"]), found["perplexity"], validation, found["seconds"], found["chars_per_second"])

    def to_json(self) -> str:
        """One line of ``history.jsonl``."""
        return json.dumps(self.to_dict())


class History(list[EpochRecord]):
    """The records of a run, in order: a list, ``history[-1]`` the last."""

    @property
    def best(self) -> EpochRecord | None:
        """The first record with the lowest validation perplexity; None if nothing was validated on."""
        validated = [record for record in self if record.validation_perplexity is not None]
        return min(validated, key=lambda record: record.validation_perplexity or math.inf, default=None)

    def out_of_patience(self, patience: int | None) -> bool:
        """True if validation has not become better for so many epochs; never if patience is None."""
        best = self.best
        return best is not None and patience is not None and len(self) - best.epoch >= patience
