"""The time limit of a training run: how much of it is used up, and how much the end of the run needs."""

from charloom.settings.training import TrainingSettings

_SAVING_SHARE, _SAVING_SECONDS = 0.015, 1.5
"""Share of the limit, and seconds in addition, that are reserved for saving the model and drawing its curves."""
_MAX_RESERVED_SHARE = 0.5
"""Maximum share that is reserved for the end. The first estimates of the speed are rough."""
_VALIDATION_COST = 1 / 3
"""Time of a forward pass, as a fraction of that of a training step on the same text."""


class TimeLimit:
    """Time limit of a run, on this rank.

    Attributes:
        validation_seconds: Duration of the last validation, in seconds; None before the first.
    """

    def __init__(self, settings: TrainingSettings, num_validation_ids: int) -> None:
        """Creates the limit of the settings; there is none if ``settings.minutes`` is None.

        Args:
            settings: Settings of training.
            num_validation_ids: Length of the held-out part.
        """
        self.validation_seconds: float | None = None
        self._seconds = None if settings.minutes is None else 60 * settings.minutes
        self._num_validation_ids = num_validation_ids

    def compute_share(self, seconds: float, chars_per_second: float) -> float:
        """Returns the share of the time for training that is used up; above 1 after its end, 0 without a limit.

        Args:
            seconds: Wall-clock time of the run so far.
            chars_per_second: Speed of training, from which the duration of the first validation is estimated.
        """
        if self._seconds is None:
            return 0.0
        validation = self.validation_seconds
        if validation is None:
            validation = _VALIDATION_COST * self._num_validation_ids / max(chars_per_second, 1e-9)
        # Training ends earlier, so that the whole run ends within the limit.
        reserved = validation + _SAVING_SHARE * self._seconds + _SAVING_SECONDS
        # The divisor is never 0, because a part of the limit is always for training.
        return seconds / (self._seconds - min(reserved, _MAX_RESERVED_SHARE * self._seconds))
