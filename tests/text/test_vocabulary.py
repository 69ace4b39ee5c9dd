import itertools
import json
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from charloom import CharloomError, CleanUp, InputError, UnknownCharacterError, Vocabulary

_TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("ab \n"), max_size=40)


def test_order_of_a_text() -> None:
    vocabulary = Vocabulary.of_text("abba c b")
    assert vocabulary.tokens == ("<unk>", "b", " ", "a", "c")
    assert len(vocabulary) == 5
    assert vocabulary.unit == "char"
    assert vocabulary.unknown_id == 0


@given(text=_TEXTS)
def test_unknown_first_then_falling_frequency_then_by_character(text: str) -> None:
    first, *characters = Vocabulary.of_text(text).tokens
    assert first == "<unk>"
    counts = Counter(text)
    assert set(characters) == set(counts)
    ranks = [(-counts[str(character)], str(character)) for character in characters]
    assert all(one < next_one for one, next_one in itertools.pairwise(ranks))


@given(text=_TEXTS)
@example(text="")
@example(text="\U0010ffff\x00𝄞é")
def test_decode_inverts_encode(text: str) -> None:
    vocabulary = Vocabulary.of_text(text)
    ids = vocabulary.encode(text)
    assert ids.dtype == torch.int64
    assert ids.shape == (len(text),)
    assert [vocabulary.tokens[i] for i in ids.tolist()] == list(text)
    assert vocabulary.decode(ids) == vocabulary.decode(ids.tolist()) == text


@given(data=st.binary(max_size=40))
def test_bytes_are_their_own_ids(data: bytes) -> None:
    vocabulary = Vocabulary()
    ids = vocabulary.encode(data)
    assert ids.dtype == torch.int64
    assert ids.tolist() == list(data)
    assert vocabulary.decode(ids) == data


def test_bytes_have_every_value() -> None:
    vocabulary = Vocabulary()
    assert vocabulary.unit == "byte"
    assert vocabulary.tokens == tuple(bytes([value]) for value in range(256))
    assert vocabulary.unknown_id is None


def test_bytes_take_text_as_utf8() -> None:
    vocabulary = Vocabulary()
    assert vocabulary.encode("né\n").tolist() == list("né\n".encode())
    # As a command line passes a byte that is not UTF-8.
    assert vocabulary.encode("\udcff").tolist() == [255]


def test_text_with_lone_surrogates_is_refused_by_bytes() -> None:
    with pytest.raises(CharloomError, match="ud800"):
        Vocabulary().encode("a\ud800")


def test_characters_do_not_take_bytes() -> None:
    with pytest.raises(InputError, match="of characters"):
        Vocabulary("ab").encode(b"ab")


def test_unknown_characters_are_named_with_their_places() -> None:
    with pytest.raises(
        UnknownCharacterError,
        match=r"'\\n' \(position 1\), 'é' \(U\+00E9, position 3\); pass unknown='unk' to .*unknown='skip' to skip them",
    ):
        Vocabulary("ab").encode("a\nbé\n")


def test_only_the_first_few_unknown_characters_are_named() -> None:
    with pytest.raises(UnknownCharacterError, match=r"'1' \(position 0\).*'5' \(position 4\) and 3 more;") as caught:
        Vocabulary("ab").encode("12345678")
    assert "'6'" not in str(caught.value)


def test_unknown_characters_are_found_after_normalization() -> None:
    vocabulary = Vocabulary.of_text("ab", CleanUp(lowercase=True))
    assert vocabulary.find_unknown("CaXcB\u2603x\ud83d") == ["c", "x", "\u2603", "\ud83d"]
    assert Vocabulary().find_unknown("\u2603") == []


def test_unknown_characters_as_unk_or_omitted() -> None:
    vocabulary = Vocabulary("ab")
    assert vocabulary.encode("xa\udcffby", "unk").tolist() == [0, 1, 0, 2, 0]
    assert vocabulary.encode("xa\udcffby", "skip").tolist() == [1, 2]
    assert vocabulary.decode([0, 1]) == "<unk>a"
    with pytest.raises(UnknownCharacterError, match=r"'\\udcff' \(U\+DCFF, position 0\)"):
        vocabulary.encode("\udcff")


def test_an_empty_vocabulary() -> None:
    vocabulary = Vocabulary([])
    assert vocabulary.tokens == ("<unk>",)
    assert vocabulary.encode("").tolist() == []
    assert vocabulary.encode("ab", "unk").tolist() == [0, 0]
    assert vocabulary.encode("ab", "skip").tolist() == []
    with pytest.raises(UnknownCharacterError, match="'a'"):
        vocabulary.encode("ab")


@given(known=_TEXTS, text=_TEXTS)
def test_all_policies_agree_on_known_characters(known: str, text: str) -> None:
    vocabulary = Vocabulary.of_text(known)
    as_unk = vocabulary.encode(text, "unk").tolist()
    assert [i == 0 for i in as_unk] == [character not in known for character in text]
    assert vocabulary.encode(text, "skip").tolist() == [i for i in as_unk if i]
    if 0 in as_unk:
        with pytest.raises(UnknownCharacterError):
            vocabulary.encode(text)
    else:
        assert vocabulary.encode(text).tolist() == as_unk


@pytest.mark.parametrize("vocabulary", [Vocabulary("ab"), Vocabulary()], ids=["char", "byte"])
def test_an_unknown_policy_is_refused(vocabulary: Vocabulary) -> None:
    policy: Any = "ignore"
    with pytest.raises(ValueError, match=r"'ignore'.*refuse, unk, skip"):
        vocabulary.encode("a", policy)


def test_a_text_is_cleaned_as_the_training_text_was() -> None:
    clean_up = CleanUp(lowercase=True, collapse_whitespace=True)
    vocabulary = Vocabulary.of_text("ab ", clean_up)
    assert vocabulary.decode(vocabulary.encode("A\n\n  B")) == "a b"
    assert Vocabulary(clean_up=clean_up).encode("A\n\n  B").tolist() == list(b"a b")


@pytest.mark.parametrize("characters", [["ab"], [""], ["a", "b", "a"], ["<unk>"]])
def test_only_distinct_single_characters_are_accepted(characters: list[str]) -> None:
    with pytest.raises(ValueError, match="distinct single characters"):
        Vocabulary(characters)


@given(
    vocabulary=st.builds(
        Vocabulary,
        st.none() | _TEXTS.map(lambda text: sorted(set(text))),
        clean_up=st.builds(CleanUp, st.booleans(), st.booleans()),
    )
)
def test_json_round_trip(vocabulary: Vocabulary) -> None:
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert (again.tokens, again.unit, again.clean_up) == (vocabulary.tokens, vocabulary.unit, vocabulary.clean_up)


def test_equal_only_if_they_encode_alike() -> None:
    assert Vocabulary("ab") == Vocabulary(["a", "b"])
    others = [Vocabulary("ba"), Vocabulary("abc"), Vocabulary("ab", clean_up=CleanUp(lowercase=True)), Vocabulary()]
    assert all(Vocabulary("ab") != other for other in others)
    assert Vocabulary("ab") != ("<unk>", "a", "b")


_JSON = {"unit": "char", "characters": ["a", "b"], "clean_up": {"lowercase": True, "collapse_whitespace": False}}


@pytest.mark.parametrize(
    "changes",
    [
        {"characters": None},
        {"unit": "byte"},
        {"unit": "word"},
        {"unit": "word", "characters": None},
        {"characters": ["a", "a"]},
        {"characters": ["ab"]},
        {"characters": ["a", 5]},
        {"characters": 5},
        {"clean_up": None},
        {"clean_up": {"lowercase": "yes"}},
        {"clean_up": {"lowercase": None}},
        {"clean_up": {"stem": True}},
    ],
    ids=str,
)
def test_wrong_json_is_refused(changes: dict[str, Any]) -> None:
    assert Vocabulary.from_json(_JSON).tokens == ("<unk>", "a", "b")
    with pytest.raises((KeyError, TypeError, ValueError)):
        Vocabulary.from_json({**_JSON, **changes})


@pytest.mark.parametrize("missing", list(_JSON))
def test_json_with_a_part_missing_is_refused(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        Vocabulary.from_json({key: value for key, value in _JSON.items() if key != missing})
