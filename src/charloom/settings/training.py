"""Settings of training."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.errors import Argument, SettingsError
from charloom.settings.limits import check_number, check_switch, check_whole, check_word
from charloom.settings.model import Precision

Partitioning: TypeAlias = Literal["sequential", "random"]
Optimizer: TypeAlias = Literal["sgd", "adamw"]
Schedule: TypeAlias = Literal["constant", "cosine", "step"]

WITHOUT_EFFECT = (
    *("report_every", "sample_every", "prefix", "sample_chars"),
    *("checkpoint_minutes", "checkpoint_steps", "keep_checkpoints"),
)
"""Settings of what is shown of a run, and kept while it goes on: nothing of what is learnt depends on them."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; the defaults are the section's.

    Attributes:
        batch_size: Sequences in a minibatch.
        accumulate: Minibatches whose gradients make one step of the optimizer: as a batch so many times as large, in
            the memory of one.
        num_steps: Characters in a sequence: how far back-propagation reaches.
        epochs: Passes over the training text.
        partitioning: sequential: neighbouring minibatches follow each other in the text, and the state is carried,
            detached; random: sequences in random order, each from a zero state.
        optimizer: SGD or AdamW.
        learning_rate: Step size of the optimizer.
        weight_decay: At each step, weights shrink by this times the step size. Where not given: 0.01 with adamw, 0
            with sgd.
        schedule: How the step size goes on: constant; cosine, falling to nothing along half a cosine until the last
            epoch; or step, multiplied by the decay factor every so many epochs.
        warm_up_epochs: Epochs through which the step size rises to its full height; may be a fraction. Where not
            given: half an epoch with cosine, else none.
        decay_every: Epochs from one step of the schedule step to the next.
        decay_factor: What each of them multiplies the step size by.
        clip_norm: Gradients are scaled down to this global norm where theirs is larger; 0 for no clipping.
        validation_fraction: Share of the text, at its end, that is kept out of training to validate on.
        patience: Epochs without a better validation perplexity after which training stops; never where none.
        keep_best: End with the weights of the epoch that was best in validation, not with the last. Where not given:
            if there is a patience.
        seed: Seed of initial weights, offsets, order and dropout.
        device: Where to compute, in PyTorch's words (cpu, cuda, cuda:1, ...); auto takes a GPU when there is one.
        threads: Processor threads; PyTorch's choice where not given.
        precision: What is multiplied: float32, or bfloat16 with float32 weights. Fast on processors with AMX or
            AVX512_BF16, and on GPUs, where PyTorch's autocast computes it.
        report_every: Epochs from one line of results to the next.
        sample_every: Epochs from one round of samples to the next; 0 for none.
        prefix: What the samples begin with (the option is repeated for each); the beginning of the text where empty.
        sample_chars: Characters in a sample, after its prefix.
        checkpoint_minutes: Minutes from one checkpoint to the next; 0 for none by time.
        checkpoint_steps: Minibatches from one checkpoint to the next; none by number where not given.
        keep_checkpoints: Checkpoints that are kept while training goes on. Each has the weights of the epoch that was
            best in validation too.
    """

    batch_size: int = 32
    accumulate: int = 1
    num_steps: int = 35
    epochs: int = 500
    partitioning: Partitioning = "sequential"
    optimizer: Optimizer = "sgd"
    learning_rate: float = 1.0
    weight_decay: float | None = None
    schedule: Schedule = "constant"
    warm_up_epochs: float | None = None
    decay_every: int = 10
    decay_factor: float = 0.5
    clip_norm: float = 1.0
    validation_fraction: float = 0.0
    patience: int | None = None
    keep_best: bool | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    precision: Precision = "float32"
    report_every: int = 50
    sample_every: int = 100
    prefix: tuple[str, ...] = ()
    sample_chars: int = 50
    checkpoint_minutes: float = 5.0
    checkpoint_steps: int | None = None
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        check_word(self, partitioning=Partitioning, optimizer=Optimizer, schedule=Schedule, precision=Precision)
        check_whole(self, "batch_size", "accumulate", "num_steps", "epochs", "report_every", "sample_chars")
        check_whole(self, "decay_every", "keep_checkpoints")
        check_whole(self, "patience", "checkpoint_steps", optional=True)
        check_whole(self, "threads", maximum=1024, optional=True)  # PyTorch crashes on very many
        check_whole(self, "seed", "sample_every", minimum=0)
        check_number(self, "learning_rate", maximum=1e30, above_minimum=True)  # PyTorch computes in float32
        check_number(self, "clip_norm", "checkpoint_minutes")
        check_number(self, "weight_decay", "warm_up_epochs", optional=True)
        check_number(self, "decay_factor", maximum=1.0, above_minimum=True)
        check_number(self, "validation_fraction", maximum=0.9)
        check_switch(self, "keep_best", optional=True)
        if not self.validation_fraction and (self.patience is not None or self.keep_best):
            name = "patience" if self.patience is not None else "keep_best"
            raise SettingsError(
                *("goes by validation, and no text is kept out to validate on: set ", Argument("validation_fraction")),
                ", as to 0.1",
                setting=name,
            )
        if not isinstance(self.device, str) or not self.device:
            raise SettingsError("it must be a name, such as auto or cpu", setting="device", value=self.device)
        # A text would pass for a list of one-letter prefixes.
        listed = isinstance(self.prefix, (list, tuple))
        if not listed or not all(isinstance(prefix, str) and prefix for prefix in self.prefix):
            raise SettingsError(
                "it must be a list of texts, each of one character or more", setting="prefix", value=self.prefix
            )
        object.__setattr__(self, "prefix", tuple(self.prefix))

    @property
    def rows(self) -> int:
        """Sequences that one step of the optimizer is made of; the lanes of sequential partitioning."""
        return self.batch_size * self.accumulate

    @property
    def ends_with_best(self) -> bool:
        """True if the model ends with the weights of its best epoch."""
        return self.patience is not None if self.keep_best is None else self.keep_best
