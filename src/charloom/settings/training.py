"""Settings for training."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.errors import Argument, SettingsError
from charloom.settings.limits import check_bool, check_int, check_number, check_str
from charloom.settings.model import Precision

Partitioning: TypeAlias = Literal["sequential", "random"]
Optimizer: TypeAlias = Literal["sgd", "adamw"]
Schedule: TypeAlias = Literal["constant", "cosine", "step"]

WITHOUT_EFFECT = (
    *("report_every", "sample_every", "prefix", "sample_chars"),
    *("checkpoint_minutes", "checkpoint_steps", "keep_checkpoints"),
)
"""Settings of display and checkpoints, which do not affect the trained weights."""


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of training; the defaults are those of the recipe ``section``.

    Attributes:
        batch_size: Number of sequences in a minibatch.
        gradient_accumulation_steps: Number of minibatches whose gradients are accumulated for one optimizer step: the
            effect of a larger batch with the memory of a smaller one.
        num_steps: Sequence length, in characters or bytes; also the truncation length of backpropagation through time.
        epochs: Number of passes over the training text.
        minutes: Time limit of the run, over all resumptions, in minutes, including validation and saving. The run ends
            at this limit, even within an epoch, or after the number of epochs, whichever comes first; the cosine
            schedule reaches zero then. Default: no limit.
        partitioning: Partitioning of the text into minibatches: sequential (consecutive minibatches are adjacent in the
            text, and the state is carried over, detached) or random (sequences in random order, each from a zero
            state).
        optimizer: SGD or AdamW.
        learning_rate: Learning rate of the optimizer.
        weight_decay: Decoupled weight decay per unit of learning rate. Default: 0.01 with adamw, 0 with sgd.
        schedule: Learning-rate schedule: constant; cosine, which decreases to zero over the run; or step, which
            multiplies the rate by the decay factor every few epochs.
        warmup_epochs: Number of epochs over which the learning rate increases linearly from near zero; may be a
            fraction. Default: half an epoch with the cosine schedule, at most 5% of a time limit; otherwise none.
        decay_every: Number of epochs between decreases of the learning rate (step schedule).
        decay_factor: Factor by which the learning rate is multiplied at each decrease (step schedule).
        clip_norm: Maximum global norm of the gradients; larger gradients are scaled down. 0 disables clipping.
        validation_fraction: Fraction of the text, at its end, that is held out for validation.
        patience: Number of epochs without an improvement in validation perplexity after which training stops early.
            Default: no early stopping.
        keep_best: Keep the weights of the epoch with the best validation perplexity instead of those of the last epoch.
            Default: on if patience is set.
        seed: Seed for the initial weights, the random offset of each epoch, the order of sequences, and dropout.
        device: Device to train on, as PyTorch names it (cpu, cuda, cuda:1, ...); auto uses a GPU if available.
        threads: Number of threads for the kernels and for PyTorch's own operations. Default: PyTorch's number of
            threads for the kernels, and one for PyTorch's own operations if the native kernels are installed.
        precision: Precision of matrix products: float32, or bfloat16 with float32 weights, which is fast on CPUs with
            AMX or AVX512_BF16. On GPUs, bfloat16 uses PyTorch's autocast.
        report_every: Report results every N epochs.
        sample_every: Generate samples every N epochs; 0 disables samples.
        prefix: Prefix of the samples; repeat the option for several prefixes. Default: the start of the first non-blank
            line of the text.
        sample_chars: Number of characters to generate for each sample.
        checkpoint_minutes: Save a checkpoint every N minutes; 0 disables checkpoints by time.
        checkpoint_steps: Save a checkpoint every N optimizer steps. Default: checkpoints by time only.
        keep_checkpoints: Number of checkpoints to keep during training. Each also contains the weights of the epoch
            with the best validation perplexity.
    """

    batch_size: int = 32
    gradient_accumulation_steps: int = 1
    num_steps: int = 35
    epochs: int = 500
    minutes: float | None = None
    partitioning: Partitioning = "sequential"
    optimizer: Optimizer = "sgd"
    learning_rate: float = 1.0
    weight_decay: float | None = None
    schedule: Schedule = "constant"
    warmup_epochs: float | None = None
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
        check_str(self, partitioning=Partitioning, optimizer=Optimizer, schedule=Schedule, precision=Precision)
        check_int(
            self, "batch_size", "gradient_accumulation_steps", "num_steps", "epochs", "report_every", "sample_chars"
        )
        check_int(self, "decay_every", "keep_checkpoints")
        check_int(self, "patience", "checkpoint_steps", optional=True)
        check_int(self, "threads", maximum=1024, optional=True)  # PyTorch crashes on very many
        check_int(self, "seed", "sample_every", minimum=0)
        check_number(self, "learning_rate", maximum=1e30, above_minimum=True)  # PyTorch computes in float32
        check_number(self, "clip_norm", "checkpoint_minutes")
        check_number(self, "weight_decay", "warmup_epochs", optional=True)
        check_number(self, "minutes", above_minimum=True, optional=True)
        # A factor of 0 would end learning at the first decrease, and one above 1 would be an increase.
        check_number(self, "decay_factor", maximum=1.0, above_minimum=True)
        # Some of the text must be left to train on.
        check_number(self, "validation_fraction", maximum=0.9)
        check_bool(self, "keep_best", optional=True)
        # Without a validation text there is no best epoch: training would ignore these settings.
        if not self.validation_fraction and (self.patience is not None or self.keep_best):
            name = "patience" if self.patience is not None else "keep_best"
            raise SettingsError(
                *("requires a validation text: set ", Argument("validation_fraction"), ", for example to 0.1"),
                setting=name,
            )
        if not isinstance(self.device, str) or not self.device:
            raise SettingsError("it must be a name, such as auto or cpu", setting="device", value=self.device)
        # A str is a sequence of one-character prefixes, which is never meant.
        is_list = isinstance(self.prefix, (list, tuple))
        if not is_list or not all(isinstance(prefix, str) for prefix in self.prefix):
            raise SettingsError("it must be a list of non-empty strings", setting="prefix", value=self.prefix)
        if "" in self.prefix:
            raise SettingsError(
                "must not contain an empty string: pass at least one character, or omit this setting", setting="prefix"
            )
        # The dataclass is frozen, and a list in it would not be hashable.
        object.__setattr__(self, "prefix", tuple(self.prefix))

    @property
    def rows(self) -> int:
        """Number of sequences per optimizer step: the batch size times the gradient accumulation steps."""
        return self.batch_size * self.gradient_accumulation_steps

    @property
    def ends_with_best(self) -> bool:
        """True if training keeps the weights of the best epoch."""
        return self.patience is not None if self.keep_best is None else self.keep_best
