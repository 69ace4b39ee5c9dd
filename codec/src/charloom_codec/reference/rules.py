"""Constants that differ between the versions of the mixing engine, as in ``codec/kernels/mixing/rules.h``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MixingRules:
    """Rules of one or several versions.

    Attributes:
        has_balanced_trees: Whether the trees of bytes are balanced by frequencies, not those of the bits.
        first_rate: Learning rate of the mixer at the first byte.
        network_rate: Learning rate of the mixer at the first byte that the network predicts.
        last_rate: Limit of the learning rates.
        apm_rate: Rate of the APMs, of 256.
        certain: A probability below this, of 2^16, or as close to 1, is certain: if that of the mean of all stages is,
            it is not corrected; if that of the mixer is and was right, the mixer does not learn from it. 0 if none is.
    """

    has_balanced_trees: bool
    first_rate: int
    network_rate: int
    last_rate: int
    apm_rate: int
    certain: int


_EIGHT_BITS = MixingRules(False, 655, 328, 100, 4, 0)
MIXING_RULES = {1: _EIGHT_BITS, 2: _EIGHT_BITS, 3: MixingRules(True, 1146, 574, 175, 6, 512)}
"""Rules of each version. Earlier versions are for decoding only."""
