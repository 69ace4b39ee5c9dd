"""Trees of decisions: every byte has a path, without a text they are the bits, with one the paths are short."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from charloom_codec.reference.byte_trees import DEPTHS, ByteTrees, Node, make_tree


def _paths(root: Node) -> dict[int, list[int]]:
    """Returns the decisions that lead to each byte; checks the nodes."""
    paths: dict[int, list[int]] = {}
    ids = set()

    def visit(at: Node | int, path: list[int]) -> None:
        if isinstance(at, int):
            paths[at] = path
            return
        assert 0 <= at.first < at.middle < at.last <= 256
        assert at.depth == min(len(path), DEPTHS - 1)
        ids.add(at.id)
        for bit, (first, last) in enumerate(((at.first, at.middle), (at.middle, at.last))):
            part = at.next[bit]
            assert (part.first, part.last) == (first, last) if isinstance(part, Node) else part == first == last - 1
            visit(part, [*path, bit])

    visit(root, [])
    assert len(ids) == 255
    assert all(0 < number < 256 for number in ids)
    return paths


def test_without_a_text_the_decisions_are_the_bits() -> None:
    trees = ByteTrees(None)
    for before in range(256):
        assert trees.number_after(before) == 0
    paths = _paths(trees.after(0))
    assert paths == {byte: [byte >> i & 1 for i in range(7, -1, -1)] for byte in range(256)}
    at: Node | int = trees.after(0)
    for bit, number in ((1, 0b11), (0, 0b110), (1, 0b1101)):
        assert isinstance(at, Node)
        at = at.next[bit]
        assert isinstance(at, Node)
        assert at.id == number


def _kind(byte: int) -> str:
    for kind, is_kind in {
        "digit": str.isdigit,
        "upper": str.isupper,
        "lower": str.islower,
        "space": str.isspace,
    }.items():
        if 32 <= byte < 128 and is_kind(chr(byte)):
            return kind
    return "control" if byte < 32 else "other" if byte < 128 else "above"


@given(st.lists(st.integers(0, 2**40), min_size=256, max_size=256) | st.just([0] * 256))
def test_nodes_divide_weights_equally_if_possible_between_classes(weights: list[int]) -> None:
    sums = list(itertools.accumulate((weight + 1 for weight in weights), initial=0))

    def check(at: Node | int) -> None:
        if isinstance(at, int):
            return
        smaller = [min(sums[m] - sums[at.first], sums[at.last] - sums[m]) for m in range(at.first + 1, at.last)]
        between = [
            size
            for m, size in enumerate(smaller, at.first + 1)
            if _kind(m - 1) != _kind(m) and size * 16 >= sums[at.last] - sums[at.first]
        ]
        found = smaller[at.middle - at.first - 1]
        assert found == max(between or smaller)
        if between:
            assert _kind(at.middle - 1) != _kind(at.middle)
        else:
            assert smaller.index(found) == at.middle - at.first - 1, "the first of equal ones"
        for part in at.next:
            check(part)

    root = make_tree(weights)
    assert sorted(_paths(root)) == list(range(256))
    check(root)


@given(st.binary(max_size=300))
def test_frequent_bytes_have_short_paths(text: bytes) -> None:
    trees = ByteTrees(text)
    numbers = {trees.number_after(before): trees.after(before) for before in range(256)}
    assert sorted(numbers) == list(range(7))
    for root in numbers.values():
        assert sorted(_paths(root)) == list(range(256))
    # One byte after a class, again and again, takes few decisions there.
    paths = _paths(ByteTrees(text + b"7q" * 2000).after(ord("5")))
    assert len(paths[ord("q")]) <= 3


def test_the_text_before_the_first_byte_is_a_line_feed() -> None:
    found = [len(_paths(ByteTrees(b"q" + b"." * 2000).after(ord(before)))[ord("q")]) for before in "\n "]
    assert found[0] < found[1]
