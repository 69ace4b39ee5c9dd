"""The decisions that a byte is coded by, the reference implementation of ``codec/kernels/mixing/byte_tree.h``.

A tree's inner nodes divide a range of bytes in two. Context mixing predicts each decision on the way from the root to
the byte. In PAQ, the decisions are the eight bits of the byte; a tree that is balanced by the frequencies of the bytes
needs about five.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

CLASSES = 7
"""Number of classes of a byte."""
NODE_IDS = CLASSES * 256
"""Number of ids of the nodes of all trees."""
DEPTHS = 8
_SCALE, _PRIOR = 64, 20
_MIN_SHARE = 16
_CLASS_STARTS = frozenset((*b" !0:A[a{", 128))
"""First bytes of classes: space, digits, capitals, lower case, bytes above ASCII, and punctuation between them."""


@dataclass(frozen=True)
class Node:
    """Range of bytes, of which a decision selects a part.

    Attributes:
        first: First byte of the range.
        middle: First byte of the upper part, which the decision 1 selects.
        last: End of the range, exclusive.
        id: Number below 256, unique in its tree.
        depth: Number of decisions before this one, at most DEPTHS - 1.
        next: The node, or the byte, after each decision.
    """

    first: int
    middle: int
    last: int
    id: int
    depth: int
    next: tuple["Node | int", "Node | int"]


def make_tree(weights: Sequence[int] | None) -> Node:
    """Returns the root of a tree.

    Args:
        weights: Weight of each byte, (256,). Each node divides the weights, 1 added to each, as equally as possible,
            but between two classes if each part has at least 1/16 of them. None for the tree of the bits of a byte.
    """
    sums = list(itertools.accumulate((weight + 1 for weight in weights or [0] * 256), initial=0))

    def make_node(first: int, last: int, depth: int) -> Node | int:
        if last - first == 1:
            return first
        # Of parts that are equally good, max takes the first.
        smaller = {at: min(sums[at] - sums[first], sums[last] - sums[at]) for at in range(first + 1, last)}
        # A context often determines the class, but not the byte.
        between = [at for at in smaller if at in _CLASS_STARTS and smaller[at] * _MIN_SHARE >= sums[last] - sums[first]]
        middle = max((between if weights else None) or smaller, key=smaller.__getitem__)
        # The id of a node of the bits: the known bits after a leading 1.
        number = middle if weights else (256 + first) // (last - first)
        parts = make_node(first, middle, depth + 1), make_node(middle, last, depth + 1)
        return Node(first, middle, last, number, min(depth, DEPTHS - 1), parts)

    root = make_node(0, 256, 0)
    assert isinstance(root, Node)
    return root


class ByteTrees:
    """Trees of a text: one for each class of the byte before."""

    def __init__(self, text: bytes | None) -> None:
        """Initializes the trees.

        Args:
            text: Text with whose frequencies of bytes, after each class, the trees are balanced; the frequencies in the
                whole text have the weight of 20 bytes. None for trees of the bits.
        """
        self._is_balanced = text is not None
        if text is None:
            self._trees = [make_tree(None)] * CLASSES
            return
        of_class = [[0] * 256 for _ in range(CLASSES)]
        of_all = [0] * 256
        for before, byte in itertools.pairwise(b"\n" + text):
            of_class[_class_of(before)][byte] += 1
            of_all[byte] += 1
        prior = [_SCALE * _PRIOR * count // max(len(text), 1) for count in of_all]
        self._trees = [
            make_tree([_SCALE * count + more for count, more in zip(counts, prior, strict=True)]) for counts in of_class
        ]

    def after(self, byte: int) -> Node:
        """Returns the root of the tree after a byte."""
        return self._trees[_class_of(byte)]

    def number_after(self, byte: int) -> int:
        """Returns the number of the tree after a byte; 0 if all trees are equal."""
        return _class_of(byte) if self._is_balanced else 0


def _class_of(byte: int) -> int:
    """Returns the class of a byte: digits, space, line feed, capitals, vowels, consonants, and all others."""
    if ord("0") <= byte <= ord("9"):
        return 0
    if byte in b" \n":
        return 1 + b" \n".index(byte)
    if ord("A") <= byte <= ord("Z"):
        return 3
    if byte in b"aeiou":
        return 4
    return 5 if ord("a") <= byte <= ord("z") else 6
