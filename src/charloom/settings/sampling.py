"""How the next character is chosen."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.errors import Argument, SettingsError
from charloom.settings.limits import check_number, check_whole

GenerationPrecision: TypeAlias = Literal["float32", "int8"]
"""What weights are while generating: as trained, or rounded to 8 bits (faster, about a hundredth of a bit worse)."""
USUAL_TEMPERATURE = 0.7
"""Of samples during training and of the command line."""


@dataclass(frozen=True)
class SamplingSettings:
    """How the next character is chosen. With no setting: greedy, the most likely one each time.

    Any of temperature, power, top_k and top_p makes it a random choice.

    Attributes:
        temperature: Divides the logits: below 1 safer, above 1 wilder, 0 greedy.
        power: The section's p^alpha, renormalised: the same as a temperature of 1 / power.
        top_k: Choose among the so many most likely characters only.
        top_p: Choose among the most likely characters that together reach this probability (nucleus sampling).
        seed: Seed of the random choice; the same seed gives the same text; a new one each time where none.
    """

    temperature: float | None = None
    power: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        check_number(self, "temperature", "power", optional=True)
        check_number(self, "top_p", maximum=1.0, above_minimum=True, optional=True)
        check_whole(self, "top_k", optional=True)
        check_whole(self, "seed", minimum=0, optional=True)
        if self.temperature is not None and self.power is not None:
            raise SettingsError(
                *(Argument("temperature"), " and ", Argument("power"), " are two names of one thing"),
                " (temperature = 1 / power): give one",
            )

    @property
    def exponent(self) -> float:
        """The power that probabilities are raised to; infinity for greedy choice."""
        if self.power is not None:
            return self.power
        if self.temperature is not None:
            return 1 / self.temperature if self.temperature > 0 else float("inf")
        return float("inf") if self.top_k is None and self.top_p is None else 1.0

    @property
    def greedy(self) -> bool:
        """Whether the choice is the most likely character each time."""
        return self.exponent == float("inf")
