"""The text that ``charloom train`` passes to a priming: the ends of a text that may exceed memory."""

import pytest

from charloom import TrainingSettings, corpus_from
from charloom.runs.folder import texts_for_codec
from charloom_codec.model import priming
from charloom_codec.model.priming import Priming


@pytest.mark.parametrize("room", [1, 50, 99, 100, 1000, 100_000])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("unit", ["char", "byte"])
def test_the_ends_give_the_same_priming_as_the_whole(
    unit: str, fraction: float, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(priming, "MAX_PRIMING", room)
    text = "né \U0001f600 語\n" * 100
    corpus = corpus_from(text, unit=unit)  # type: ignore[arg-type] # one of the two
    whole = text if unit == "char" else text.encode()
    at = len(whole) - int(len(whole) * fraction)
    trained_on, held_out = (part if isinstance(part, bytes) else part.encode() for part in (whole[:at], whole[at:]))
    ends = texts_for_codec(corpus, TrainingSettings(validation_fraction=fraction))
    assert Priming.from_texts(*ends) == Priming.from_texts(trained_on, held_out)
    assert all(len(end) <= 4 * room for end in ends)
