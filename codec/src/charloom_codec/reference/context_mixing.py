"""Context mixing, as in PAQ and lpaq, the reference implementation of ``codec/kernels/mixing/context_mixing.h``.

It predicts the next decision of a byte (``byte_trees``), a bit. Each context has slots of 15 nodes, which describe the
bits that followed it. The predictions of the nodes, two match models and the network are mixed as logits by seven
weight sets, of each of which another property of the context selects a weight vector. A final mixer combines their
outputs, three APMs refine the result, and the corrector corrects it if the network predicts. After each bit, all
components that took part in its prediction are updated.
"""

from charloom_codec.model.corrector import Corrector
from charloom_codec.reference.byte_trees import NODE_IDS, ByteTrees, Node
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
from charloom_codec.reference.memory import APMS, LOGIT_STEPS, Memory, Slot
from charloom_codec.reference.mixer import Mixer, wrap_int32
from charloom_codec.reference.network_prediction import NetworkPrediction
from charloom_codec.reference.rules import MixingRules
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


class Lane:
    """State of one text in the mixture."""

    def __init__(self, start: int) -> None:
        self.start = self.position = start
        self.text = TextState(line=start, line_above=start)
        self.matches = [Match(length) for length in MATCH_LENGTHS]
        self.contexts: list[int] = []
        self.slots: list[Slot] = []
        self.node: Node | None = None  # of the next decision
        self.tree = 0  # number of the tree of the byte
        self.in_slots = 1  # the decisions since the slots were found, after a leading 1


class ContextMixing:
    """Predictor of the next decision of a byte.

    For each byte, the caller calls ``start_byte``, then ``predict`` and ``update`` until the latter returns the byte,
    then ``end_byte``.
    """

    def __init__(
        self, rules: MixingRules, corrector: Corrector | None, trees: ByteTrees, memory: Memory, buffer: TextBuffer
    ) -> None:
        self._rules = rules
        self._corrector = corrector
        self._trees = trees
        self._memory = memory
        self._buffer = buffer
        self._mixer = Mixer(rules, memory)
        # The values of the last prediction, which ``update`` needs:
        self._mixer_p = 0
        self._place = 0  # of the nodes in their slots
        self._matched: list[int | None] = []
        self._network_map: int | None = None
        self._nearest_points: list[tuple[int, int]] = []
        self._corrector_logits: tuple[int, int] | None = None
        self._corrected_p = 0

    def start_byte(self, lane: Lane, network: NetworkPrediction) -> None:
        """Prepares the prediction of the decisions of a byte."""
        last = lane.text.last4 & 0xFF
        lane.node, lane.tree = self._trees.after(last), self._trees.number_after(last)
        lane.contexts = lane.text.contexts(self._buffer, lane.position, lane.tree)
        for match, table in zip(lane.matches, self._memory.match_tables, strict=True):
            match.update(self._buffer, lane.position, lane.start, table)
        self._find_slots(lane, lane.contexts)
        network.start_byte()
        network.narrow(lane.node)
        self._mixer.start_byte(network_predicts=network.predicts())

    def predict(self, lane: Lane, network: NetworkPrediction) -> int:
        """Returns the probability that the next decision is 1, of 16 bits."""
        assert lane.node is not None
        memory, depth = self._memory, lane.node.depth
        self._place = place = lane.in_slots - 1

        inputs: list[int] = []
        order = 0
        for i, slot in enumerate(lane.slots):
            state = slot.history[place]
            # A context that was never seen has no prediction, rather than one of 1/2 that a weight could amplify.
            inputs += _make_inputs(memory.histories[i][state] >> 16) if state else (0, 0)
            order += bool(state) and 0 < i < ORDERS
        inputs += [stretch(slot.p[place]) if slot.history[place] else 0 for slot in lane.slots[:FULL]]

        expected, match_class = self._add_matches(lane, inputs)
        confidence, logit_step = network.confidence, 0
        self._network_map = None
        if network.predicts():
            logit = stretch(network.p())
            logit_step = (logit + LOGIT_LIMIT) * (LOGIT_STEPS - 1) // (2 * LOGIT_LIMIT)
            self._network_map = logit_step * 64 + confidence * 8 + depth
            inputs += (logit, stretch(memory.network_maps[self._network_map] >> 16))
        else:
            inputs += (0, 0)
        inputs.append(256)  # the constant, from which a bias is learned

        last, previous = lane.text.last4 & 0xFF, lane.text.last4 >> 8 & 0xFF
        # Each set is selected by a different property: two sets with the same one would learn the same weights.
        coarse_class = match_class if match_class < 8 else 8 if match_class < 13 else 9
        selected = (
            coarse_class * 64 + order * 8 + confidence,
            lane.node.id + 256 * lane.tree + NODE_IDS * network.is_likeliest(),
            last,
            (depth * 16 + order) * 8 + min(match_class // 2, 7),
            logit_step * 64 + confidence * 8 + depth,
            previous * 8 + depth,
            network.likeliest_byte(),
        )
        logit = self._mixer.mix(inputs, selected, order * 8 + depth + 64 * confidence)
        self._mixer_p = squash(logit)

        p, refined = self._refine(lane, logit, expected, match_class)
        self._corrector_logits = None
        certain = self._rules.certain
        if self._corrector is not None and network.predicts() and certain <= p <= ONE - certain:
            p = self._corrected_p = self._correct(
                lane, p, [logit, stretch(p), *map(stretch, refined)], (order, match_class, confidence)
            )
        return p

    def _add_matches(self, lane: Lane, inputs: list[int]) -> tuple[int, int]:
        """Adds the predictions of the match models to the inputs.

        Returns the byte that the longest match predicts, and 1 plus the class of its length; (0, 0) without a match
        that agrees with the known decisions.
        """
        assert lane.node is not None
        expected = match_class = 0
        self._matched = []
        for k, match in enumerate(lane.matches):
            found = match.expected(self._buffer)
            byte = found & 255
            # The known decisions already contradict the predicted byte.
            if not found or not lane.node.first <= byte < lane.node.last:
                inputs += (0, 0)
                self._matched.append(None)
                continue
            map_index = match.map(int(byte >= lane.node.middle), 0 if k else lane.node.depth)
            self._matched.append(map_index)
            inputs += _make_inputs(self._memory.matches[k][map_index] >> 16)
            if match.length_class() + 1 > match_class:
                match_class, expected = match.length_class() + 1, byte
        return expected, match_class

    def _refine(self, lane: Lane, logit: int, expected: int, match_class: int) -> tuple[int, list[int]]:
        """Returns the mean of the mixer's probability and those of the APMs, and the latter, of 16 bits."""
        assert lane.node is not None
        low, weight = locate_in_apm(logit)
        apm_contexts = (
            lane.node.id | (lane.text.last4 & 0xFF) << 8,
            hash_pair(lane.text.last4 & 0xFFFFFF, lane.node.id) & 0xFFFF,
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
        assert lane.node is not None
        log_counts, slots = self._corrector.log_counts, lane.slots
        states = [slot.history[self._place] for slot in slots]
        totals = [BIT_HISTORY_TABLE.zeros[state] + BIT_HISTORY_TABLE.ones[state] for state in states]
        counts = [slot.count[self._place] for slot in slots[:FULL]]
        inputs = [
            *self._mixer.inputs.tolist(),
            *self._mixer.set_outputs,
            *outputs,
            *log_counts[totals + counts].tolist(),
        ]
        correction = clamp_logit(compute_correction(self._corrector, inputs, (lane.node.depth, *categories)))
        self._corrector_logits = (stretch(p), correction)
        total = sum(w * x for w, x in zip(self._memory.correction, self._corrector_logits, strict=True))
        return squash(clamp_logit(total >> 16))

    def update(self, lane: Lane, network: NetworkPrediction, bit: int) -> int | None:
        """Updates all components with the decision that was predicted. Returns the byte if it was the last one."""
        memory, place = self._memory, self._place
        # The mixer learns nothing new from what it was certain of.
        error = (bit << 16) - self._mixer_p
        if abs(error) >= self._rules.certain:
            self._mixer.train(bit, error)

        # In this order, because two contexts may have the same slot.
        for i, slot in enumerate(lane.slots):
            state = slot.history[place]
            if state:
                memory.histories[i][state] = update_state_map(memory.histories[i][state], bit)
            slot.history[place] = BIT_HISTORY_TABLE.next[state][bit]
        for slot in lane.slots[:FULL]:
            p, count = slot.p[place], slot.count[place]
            # ``- bit`` because a probability of 16 bits is at most 65,535.
            p += (((bit << 16) - bit - p) * RATES[count]) >> 16
            # Certainty would cost too much if the next bit differs.
            slot.p[place] = max(32, min(ONE - 33, p))
            slot.count[place] = min(count + 1, 250)
        for k, matched in enumerate(self._matched):
            if matched is not None:
                memory.matches[k][matched] = update_state_map(memory.matches[k][matched], bit)
        if self._network_map is not None:
            memory.network_maps[self._network_map] = update_state_map(memory.network_maps[self._network_map], bit)
        for stage in range(APMS):
            context, nearer = self._nearest_points[stage]
            points = memory.apms[stage].setdefault(context, INITIAL_POINTS[:])
            points[nearer] = update_point(points[nearer], bit, self._rules.apm_rate)
        if self._corrector_logits is not None:
            error = (bit << 16) - self._corrected_p
            for i, logit in enumerate(self._corrector_logits):
                memory.correction[i] = wrap_int32(memory.correction[i] + ((logit * error + (1 << 16)) >> 17))
        assert lane.node is not None
        following = lane.node.next[bit]
        lane.in_slots = lane.in_slots * 2 + bit
        if isinstance(following, int):
            lane.in_slots = 1
            return following
        lane.node = following
        network.narrow(following)
        # A context has a slot for the first four decisions of a byte, and one for the next four after each of them.
        if lane.in_slots >= 16:
            lane.in_slots = 1
            lane.contexts = [hash_pair(context, following.id * 31 + 5) for context in lane.contexts]
            self._find_slots(lane, lane.contexts)
        return None

    def end_byte(self, lane: Lane, byte: int) -> None:
        """Appends a byte to the text, after its decisions."""
        self._buffer.text[lane.position] = byte
        lane.position += 1
        lane.text.update(byte, lane.position)

    def _find_slots(self, lane: Lane, keys: list[int]) -> None:
        tables = [self._memory.full] * FULL + [self._memory.light] * (CONTEXTS - FULL)
        lane.slots = [table.find(key) for table, key in zip(tables, keys, strict=True)]


def _make_inputs(p: int) -> tuple[int, int]:
    return stretch(p), (p - ONE // 2) >> 6
