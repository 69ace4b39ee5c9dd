"""How a model is trained."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.errors import SettingsError
from charloom.settings.limits import check_number, check_whole, check_word
from charloom.settings.model import Precision

Partitioning: TypeAlias = Literal["sequential", "random"]
Optimizer: TypeAlias = Literal["sgd", "adamw"]
Schedule: TypeAlias = Literal["constant", "cosine"]


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; the defaults are the section's.

    Attributes:
        batch_size: Sequences in a minibatch.
        num_steps: Characters in a sequence: how far back-propagation reaches.
        epochs: Passes over the training text.
        partitioning: sequential: neighbouring minibatches follow each other in the text, and the state is carried,
            detached; random: sequences in random order, each from a zero state.
        optimizer: SGD or AdamW.
        learning_rate: Step size of the optimizer.
        schedule: How the step size goes on: constant; or cosine, rising through the first half epoch and falling to
            nothing along half a cosine until the last.
        clip_norm: Gradients are scaled down to this global norm where theirs is larger; 0 for no clipping.
        validation_fraction: Share of the text, at its end, that is kept out of training to validate on.
        seed: Seed of initial weights, offsets, order and dropout.
        device: Where to compute, in PyTorch's words (cpu, cuda, cuda:1, ...); auto takes a GPU when there is one.
        threads: Processor threads; PyTorch's choice where not given.
        precision: What the native kernels multiply: float32, or bfloat16 with float32 weights and sums (fast on
            processors with AMX or AVX512_BF16; CPU only).
        report_every: Epochs from one line of results to the next.
        sample_every: Epochs from one round of samples to the next; 0 for none.
        prefixes: What the samples begin with (the option is repeated for each); the beginning of the text where empty.
        sample_chars: Characters in a sample, after its prefix.
    """

    batch_size: int = 32
    num_steps: int = 35
    epochs: int = 500
    partitioning: Partitioning = "sequential"
    optimizer: Optimizer = "sgd"
    learning_rate: float = 1.0
    schedule: Schedule = "constant"
    clip_norm: float = 1.0
    validation_fraction: float = 0.0
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    precision: Precision = "float32"
    report_every: int = 50
    sample_every: int = 100
    prefixes: tuple[str, ...] = ()
    sample_chars: int = 50

    def __post_init__(self) -> None:
        check_word(self, partitioning=Partitioning, optimizer=Optimizer, schedule=Schedule, precision=Precision)
        check_whole(self, "batch_size", "num_steps", "epochs", "report_every", "sample_chars")
        check_whole(self, "threads", maximum=1024, optional=True)  # PyTorch crashes on very many
        check_whole(self, "seed", "sample_every", minimum=0)
        check_number(self, "learning_rate", maximum=1e30, above_minimum=True)  # PyTorch computes in float32
        check_number(self, "clip_norm")
        check_number(self, "validation_fraction", maximum=0.9)
        if not isinstance(self.device, str) or not self.device:
            raise SettingsError(f"device is {self.device!r}: it must be a name, such as auto or cpu")
        # A text would pass for a list of one-letter prefixes.
        listed = isinstance(self.prefixes, (list, tuple))
        if not listed or not all(isinstance(prefix, str) and prefix for prefix in self.prefixes):
            raise SettingsError(
                f"prefixes is {self.prefixes!r}: it must be a list of texts, each of one character or more"
            )
        object.__setattr__(self, "prefixes", tuple(self.prefixes))
