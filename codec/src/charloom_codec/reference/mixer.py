"""The mixer, as in PAQ and lpaq, and its learning rate.

The reference implementation of ``mixer.h`` and ``learning_rate.h`` in ``codec/kernels/mixing``.
"""

from collections.abc import Sequence

import numpy as np

from charloom_codec.reference.memory import FIRST_ROWS, WEIGHT_BITS, Memory
from charloom_codec.reference.rules import MixingRules
from charloom_codec.reference.state_maps import clamp_logit, squash

_HALF_DECAY, _NETWORK_HALF_DECAY = 20_000, 2_000
"""Number of bytes after which half of a learning rate's decay has happened."""
_MAX_STEP = 32_767


class Mixer:
    """Mixer of the logits of all inputs: by weight sets, whose outputs the final weights mix.

    Attributes:
        inputs: Logits of the last prediction.
        set_outputs: Logits of the weight sets.
    """

    def __init__(self, rules: MixingRules, memory: Memory) -> None:
        self._rules = rules
        self._memory = memory
        self._rate = 0
        self._rows: list[int] = []
        self._final_weights: list[int] = []
        self.inputs = np.zeros(0, np.int64)
        self.set_outputs: list[int] = []

    def mix(self, inputs: Sequence[int], selected: Sequence[int], final: int) -> int:
        """Returns a logit.

        Args:
            inputs: Logits to mix, (INPUTS,).
            selected: Weight vector of each set, (SETS,).
            final: Vector of the final weights.
        """
        self.inputs = np.array(inputs, np.int64)
        self._rows = [first + row for first, row in zip(FIRST_ROWS, selected, strict=True)]
        self._final_weights = self._memory.weights_of_sets[final]
        sums = self._memory.weights[self._rows] @ self.inputs
        # 32 bits, as the native code sums them.
        self.set_outputs = [clamp_logit(wrap_int32(s) >> WEIGHT_BITS) for s in sums.tolist()]
        total = sum(w * x for w, x in zip(self._final_weights, self.set_outputs, strict=True))
        return clamp_logit(total >> 16)

    def train(self, bit: int, error: int) -> None:
        """Trains the weights that took part in the last prediction, whose error was ``error``."""
        steps = []
        for s, output in enumerate(self.set_outputs):
            # Gradient steps on the coding cost: of a mixer of logits, the gradient is error times input.
            change = (output * error * 8 + (1 << 20)) >> 21
            self._final_weights[s] = wrap_int32(self._final_weights[s] + change)
            step = (((bit << 16) - squash(output)) * self._rate) >> 10
            steps.append(max(-_MAX_STEP, min(_MAX_STEP, step)))
        changes = (np.outer(steps, self.inputs) + (1 << 14)) >> 15
        # The rows are from different sets, so none occurs twice.
        changed = self._memory.weights[self._rows] + changes
        self._memory.weights[self._rows] = np.minimum(np.maximum(changed, -32_768), 32_767)

    def start_byte(self, *, network_predicts: bool) -> None:
        """Counts a byte, and sets the learning rate, which decays with the number of bytes.

        At the network's first prediction, its weights are initialized; as they are new, the rate rises once.
        """
        memory = self._memory
        if network_predicts and not memory.bytes_with_network:
            memory.initialize_network_weights()
        self._rate = self._decay(memory.bytes_read, self._rules.first_rate, _HALF_DECAY)
        memory.bytes_read += 1
        if network_predicts:
            of_network = self._decay(memory.bytes_with_network, self._rules.network_rate, _NETWORK_HALF_DECAY)
            self._rate = max(self._rate, of_network)
            memory.bytes_with_network += 1

    def _decay(self, count: int, first: int, half_decay: int) -> int:
        last = self._rules.last_rate
        return last + (first - last) * half_decay // (half_decay + count)


def wrap_int32(x: int) -> int:
    """Returns ``x`` wrapped around to 32 bits."""
    # Wrapping around, unlike saturation, makes a sum independent of the order of its terms.
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)
