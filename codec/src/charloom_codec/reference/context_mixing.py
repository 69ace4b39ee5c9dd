"""Context mixing, as in PAQ and lpaq, the reference implementation of ``codec/kernels/mixing/context_mixing.h``.

Each context has a slot of 15 nodes, which describe the bits that followed it. The predictions of the nodes, two match
models and the network are mixed as logits by seven weight sets, of each of which another property of the context
selects a weight vector. A final mixer combines their outputs, three APMs refine the result, and the corrector corrects
it if the network predicts. After each bit, all components that took part in its prediction are updated.
"""

import numpy as np

from charloom_codec.model.corrector import Corrector
from charloom_codec.reference.contexts import (
    CONTEXTS,
    FULL,
    MATCH_LENGTHS,
    ORDERS,
    Match,
    TextBuffer,
    TextState,
    hash_pair,
)
from charloom_codec.reference.corrector import compute_correction
from charloom_codec.reference.memory import APMS, FIRST_ROWS, LOGIT_STEPS, SETS, WEIGHT_BITS, Memory, Slot
from charloom_codec.reference.network_prediction import NetworkPrediction
from charloom_codec.reference.state_maps import (
    BIT_HISTORY_TABLE,
    INITIAL_POINTS,
    LOGIT_LIMIT,
    ONE,
    RATES,
    clamp_logit,
    locate_in_apm,
    squash,
    stretch,
    update_point,
    update_state_map,
)

_INITIAL_RATE, _NETWORK_RATE, _FINAL_RATE = 655, 328, 100
_HALF_DECAY, _NETWORK_HALF_DECAY = 20_000, 2_000
"""Number of bytes after which half of a learning rate's decay to _FINAL_RATE has happened."""
_MAX_STEP = 32_767


class Lane:
    """State of one text in the mixture."""

    def __init__(self, start: int) -> None:
        self.start = self.position = start
        self.text = TextState(line=start, line_above=start)
        self.matches = [Match(length) for length in MATCH_LENGTHS]
        self.contexts: list[int] = []
        self.slots: list[Slot] = []
        self.bit = 0
        self.partial = 1  # the known bits of the byte, after a leading 1


class ContextMixing:
    """Predictor of the next bit.

    For each byte, the caller calls ``start_byte``, then ``predict`` and ``update`` eight times, then ``end_byte``.
    """

    def __init__(self, corrector: Corrector | None, memory: Memory, buffer: TextBuffer) -> None:
        self._corrector = corrector
        self._memory = memory
        self._buffer = buffer
        # The values of the last prediction, which ``update`` needs:
        self._inputs = np.zeros(0, np.int64)
        self._rows: list[int] = []
        self._set_outputs: list[int] = []
        self._set_weights: list[int] = []
        self._mixer_p = 0
        self._node = 0
        self._matched: list[int | None] = []
        self._network_map: int | None = None
        self._nearest_points: list[tuple[int, int]] = []
        self._corrector_logits: tuple[int, int] | None = None
        self._corrected_p = 0
        self._rate = 0

    def start_byte(self, lane: Lane, network: NetworkPrediction) -> None:
        """Prepares the prediction of the eight bits of a byte."""
        lane.contexts = lane.text.contexts(self._buffer, lane.position)
        for match, table in zip(lane.matches, self._memory.match_tables, strict=True):
            match.update(self._buffer, lane.position, lane.start, table)
        self._find_slots(lane, lane.contexts)
        network.start_byte()
        lane.bit, lane.partial = 0, 1
        self._count_byte(network)

    def predict(self, lane: Lane, network: NetworkPrediction) -> int:
        """Returns the probability that the next bit is 1, of 16 bits."""
        memory, bit, partial = self._memory, lane.bit, lane.partial
        bit_of_half = bit & 3  # a slot has the nodes of half a byte
        self._node = node = (1 << bit_of_half) - 1 + (partial & ((1 << bit_of_half) - 1))

        inputs: list[int] = []
        order = 0
        for i, slot in enumerate(lane.slots):
            state = slot.history[node]
            # A context that was never seen has no prediction, rather than one of 1/2 that a weight could amplify.
            inputs += _make_inputs(memory.histories[i][state] >> 16) if state else (0, 0)
            order += bool(state) and 0 < i < ORDERS
        inputs += [stretch(slot.p[node]) if slot.history[node] else 0 for slot in lane.slots[:FULL]]

        expected, match_class = self._add_matches(lane, inputs)
        confidence, logit_step = network.confidence, 0
        self._network_map = None
        if network.predicts():
            logit = stretch(network.p())
            logit_step = (logit + LOGIT_LIMIT) * (LOGIT_STEPS - 1) // (2 * LOGIT_LIMIT)
            self._network_map = logit_step * 64 + confidence * 8 + bit
            inputs += (logit, stretch(memory.network_maps[self._network_map] >> 16))
        else:
            inputs += (0, 0)
        inputs.append(256)  # the constant, from which a bias is learned
        self._inputs = np.array(inputs, np.int64)

        last, previous = lane.text.last4 & 0xFF, lane.text.last4 >> 8 & 0xFF
        # Each set is selected by a different property: two sets with the same one would learn the same weights.
        coarse_class = match_class if match_class < 8 else 8 if match_class < 13 else 9
        selected = (
            coarse_class * 64 + order * 8 + confidence,
            partial + 256 * network.is_likeliest(),
            last,
            (bit * 16 + order) * 8 + min(match_class // 2, 7),
            logit_step * 64 + confidence * 8 + bit,
            previous * 8 + bit,
            network.likeliest_byte(),
        )
        self._rows = [first + row for first, row in zip(FIRST_ROWS, selected, strict=True)]
        sums = memory.weights[self._rows] @ self._inputs
        # 32 bits, as the native code sums them.
        self._set_outputs = [clamp_logit(_int32(s) >> WEIGHT_BITS) for s in sums.tolist()]
        self._set_weights = memory.weights_of_sets[(order * 8 + bit) + 64 * confidence]
        total = sum(w * a for w, a in zip(self._set_weights, self._set_outputs, strict=True))
        logit = clamp_logit(total >> 16)
        self._mixer_p = squash(logit)

        p, refined = self._refine(lane, logit, expected, match_class)
        self._corrector_logits = None
        if self._corrector is not None and network.predicts():
            p = self._corrected_p = self._correct(
                lane, p, [logit, stretch(p), *map(stretch, refined)], (order, match_class, confidence)
            )
        return p

    def _add_matches(self, lane: Lane, inputs: list[int]) -> tuple[int, int]:
        """Adds the predictions of the match models to the inputs.

        Returns the byte that the longest match predicts, and 1 plus the class of its length; (0, 0) without a match
        that agrees with the known bits.
        """
        expected = match_class = 0
        self._matched = []
        for k, match in enumerate(lane.matches):
            byte = match.expected(self._buffer)
            # The known bits already contradict the predicted byte.
            if not byte or byte >> (8 - lane.bit) != lane.partial:
                inputs += (0, 0)
                self._matched.append(None)
                continue
            map_index = match.map(byte >> (7 - lane.bit) & 1, 0 if k else lane.bit)
            self._matched.append(map_index)
            inputs += _make_inputs(self._memory.matches[k][map_index] >> 16)
            if match.length_class() + 1 > match_class:
                match_class, expected = match.length_class() + 1, byte & 255
        return expected, match_class

    def _refine(self, lane: Lane, logit: int, expected: int, match_class: int) -> tuple[int, list[int]]:
        """Returns the mean of the mixer's probability and those of the APMs, and the latter, of 16 bits."""
        partial, last = lane.partial, lane.text.last4 & 0xFF
        low, weight = locate_in_apm(logit)
        apm_contexts = (
            partial | last << 8,
            hash_pair(lane.text.last4 & 0xFFFFFF, partial) & 0xFFFF,
            expected * 64 + match_class * 2,
        )
        refined = []
        for stage, context in enumerate(apm_contexts):
            points = self._memory.apms[stage].get(context, INITIAL_POINTS)
            refined.append((points[low] * (1024 - weight) + points[low + 1] * weight) >> 10)
        self._nearest_points = [(context, low + (weight >> 9)) for context in apm_contexts]
        p = (self._mixer_p + sum(refined) + 2) >> 2  # the mean, rounded
        return max(1, min(ONE - 1, p)), refined

    def _correct(self, lane: Lane, p: int, outputs: list[int], categories: tuple[int, ...]) -> int:
        """Returns a probability after the corrector.

        Args:
            lane: State of the text.
            p: Probability before the corrector.
            outputs: Logits of the final mixer, of ``p`` and of the APMs.
            categories: Orders seen, class of the match length, confidence of the network.
        """
        assert self._corrector is not None
        log_counts, slots = self._corrector.log_counts, lane.slots
        states = [slot.history[self._node] for slot in slots]
        totals = [BIT_HISTORY_TABLE.zeros[state] + BIT_HISTORY_TABLE.ones[state] for state in states]
        counts = [slot.count[self._node] for slot in slots[:FULL]]
        inputs = [*self._inputs.tolist(), *self._set_outputs, *outputs, *log_counts[totals + counts].tolist()]
        correction = clamp_logit(compute_correction(self._corrector, inputs, (lane.bit, *categories)))
        self._corrector_logits = (stretch(p), correction)
        total = sum(w * x for w, x in zip(self._memory.correction, self._corrector_logits, strict=True))
        return squash(clamp_logit(total >> 16))

    def update(self, lane: Lane, network: NetworkPrediction, bit: int) -> None:
        """Updates all components with the bit that was predicted."""
        memory, node = self._memory, self._node
        error = (bit << 16) - self._mixer_p
        steps = []
        for s in range(SETS):
            output = self._set_outputs[s]
            # Gradient steps on the coding cost: of a mixer of logits, the gradient is error times input.
            self._set_weights[s] = _int32(self._set_weights[s] + ((output * error * 8 + (1 << 20)) >> 21))
            step = (((bit << 16) - squash(output)) * self._rate) >> 10
            steps.append(max(-_MAX_STEP, min(_MAX_STEP, step)))
        changes = (np.outer(steps, self._inputs) + (1 << 14)) >> 15
        # The rows are from different sets, so none occurs twice.
        changed = memory.weights[self._rows] + changes
        memory.weights[self._rows] = np.minimum(np.maximum(changed, -32_768), 32_767)

        # In this order, because two contexts may have the same slot.
        for i, slot in enumerate(lane.slots):
            state = slot.history[node]
            if state:
                memory.histories[i][state] = update_state_map(memory.histories[i][state], bit)
            slot.history[node] = BIT_HISTORY_TABLE.next[state][bit]
        for slot in lane.slots[:FULL]:
            p, count = slot.p[node], slot.count[node]
            # ``- bit`` because a probability of 16 bits is at most 65,535.
            p += (((bit << 16) - bit - p) * RATES[count]) >> 16
            # Certainty would cost too much if the next bit differs.
            slot.p[node] = max(32, min(ONE - 33, p))
            slot.count[node] = min(count + 1, 250)
        for k, matched in enumerate(self._matched):
            if matched is not None:
                memory.matches[k][matched] = update_state_map(memory.matches[k][matched], bit)
        if self._network_map is not None:
            memory.network_maps[self._network_map] = update_state_map(memory.network_maps[self._network_map], bit)
        for stage in range(APMS):
            context, nearer = self._nearest_points[stage]
            points = memory.apms[stage].setdefault(context, INITIAL_POINTS[:])
            points[nearer] = update_point(points[nearer], bit)
        if self._corrector_logits is not None:
            error = (bit << 16) - self._corrected_p
            for i, logit in enumerate(self._corrector_logits):
                memory.correction[i] = _int32(memory.correction[i] + ((logit * error + (1 << 16)) >> 17))
        network.update(bit)
        lane.partial = lane.partial * 2 + bit
        lane.bit += 1
        # A context has one slot for each half of a byte. The hash of the second includes the first four bits.
        if lane.bit == 4:
            self._find_slots(lane, [hash_pair(context, lane.partial * 31 + 5) for context in lane.contexts])

    def end_byte(self, lane: Lane) -> int:
        """Ends a byte after its eight bits: appends it to the text and returns it."""
        byte = lane.partial & 255
        self._buffer.text[lane.position] = byte
        lane.position += 1
        lane.text.update(byte, lane.position)
        return byte

    def _find_slots(self, lane: Lane, keys: list[int]) -> None:
        tables = [self._memory.full] * FULL + [self._memory.light] * (CONTEXTS - FULL)
        lane.slots = [table.find(key) for table, key in zip(tables, keys, strict=True)]

    def _count_byte(self, network: NetworkPrediction) -> None:
        """Counts a byte, and sets the learning rate, which decays with the number of bytes.

        At the network's first prediction, its weights are initialized; as they are new, the rate rises once.
        """
        memory = self._memory
        if network.predicts() and not memory.bytes_with_network:
            memory.initialize_network_weights()
        self._rate = _compute_rate(memory.bytes_read, _INITIAL_RATE, _HALF_DECAY)
        memory.bytes_read += 1
        if network.predicts():
            self._rate = max(self._rate, _compute_rate(memory.bytes_with_network, _NETWORK_RATE, _NETWORK_HALF_DECAY))
            memory.bytes_with_network += 1


def _make_inputs(p: int) -> tuple[int, int]:
    return stretch(p), (p - ONE // 2) >> 6


def _int32(x: int) -> int:
    """Returns ``x`` wrapped around to 32 bits."""
    # Wrapping around, unlike saturation, makes a sum independent of the order of its terms.
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)


def _compute_rate(count: int, first: int, half_decay: int) -> int:
    return _FINAL_RATE + (first - _FINAL_RATE) * half_decay // (half_decay + count)
