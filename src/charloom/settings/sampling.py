"""Settings for sampling the next character."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.errors import Argument, SettingsError
from charloom.settings.limits import check_int, check_number

GenerationPrecision: TypeAlias = Literal["float32", "int8"]
"""Precision of weights in generation: as trained, or rounded to 8 bits (faster, 0.01 bits per character worse)."""
DEFAULT_TEMPERATURE = 0.7
"""Temperature of samples during training and of the command line."""


@dataclass(frozen=True)
class SamplingSettings:
    """Settings of sampling the next character.

    Without any of temperature, power, top_k and top_p, generation is greedy: it takes the most likely character.

    Attributes:
        temperature: Divisor of the logits: less than 1 for more predictable, more than 1 for more varied text; 0 is
            greedy.
        power: Exponent alpha: sample from p^alpha, renormalized; the same as a temperature of 1 / alpha.
        top_k: Number of most likely characters to sample from.
        top_p: Sample from the most likely characters whose probabilities add up to this value (nucleus sampling).
        seed: Seed of the random-number generator; the same seed gives the same text. Default: a new seed for each
            call.
    """

    temperature: float | None = None
    power: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        check_number(self, "temperature", "power", optional=True)
        check_number(self, "top_p", maximum=1.0, above_minimum=True, optional=True)
        check_int(self, "top_k", optional=True)
        check_int(self, "seed", minimum=0, optional=True)
        if self.temperature is not None and self.power is not None:
            raise SettingsError(
                *(Argument("temperature"), " and ", Argument("power"), " set the same quantity"),
                " (temperature = 1 / power): pass only one of them",
            )

    @property
    def exponent(self) -> float:
        """Exponent of the probabilities; infinity for greedy generation."""
        if self.power is not None:
            return self.power
        if self.temperature is not None:
            # A temperature of 0 is the limit of this quotient.
            return 1 / self.temperature if self.temperature > 0 else float("inf")
        # top_k and top_p restrict the distribution, so they imply sampling, with the probabilities unchanged.
        return float("inf") if self.top_k is None and self.top_p is None else 1.0

    @property
    def greedy(self) -> bool:
        """True if the most likely character is always chosen."""
        return self.exponent == float("inf")
