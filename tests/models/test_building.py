"""A model with an extended vocabulary predicts as before, and gets new weights for new characters only."""

import pytest
import torch

from charloom import CleanUp, InputError, ModelSettings, Vocabulary, build_model, extend_model

_VOCABULARY = Vocabulary(["a", "b", "c"])
_LONGER = _VOCABULARY.extended("cxay\u6f22")
_KINDS = [
    ModelSettings(hidden_size=5),
    ModelSettings(hidden_size=5, nonlinearity="relu", num_layers=2, dropout=0.2),
    ModelSettings(cell="gru", hidden_size=5, embedding_size=3, dropout=0.1),
    ModelSettings(cell="lstm", hidden_size=5, embedding_size=5, tied_output=True),
]


def test_a_longer_vocabulary() -> None:
    assert _LONGER.tokens == ("<unk>", "a", "b", "c", "x", "y", "\u6f22")
    assert Vocabulary().extended("x") == Vocabulary()


@pytest.mark.parametrize(
    "other",
    [
        Vocabulary(["b", "a", "c"]),
        Vocabulary(["a", "b"]),
        Vocabulary(["a", "b", "x", "c"]),
        Vocabulary(),
        Vocabulary(["a", "b", "c", "d"], clean_up=CleanUp(lowercase=True)),
    ],
)
def test_another_vocabulary_is_refused(other: Vocabulary) -> None:
    with pytest.raises(InputError, match="vocabulary must start with all tokens of the model's"):
        extend_model(build_model(_VOCABULARY, ModelSettings(hidden_size=5)), other)


@pytest.mark.parametrize("settings", _KINDS)
def test_the_old_characters_keep_their_logits(settings: ModelSettings) -> None:
    model = build_model(_VOCABULARY, settings, seed=1).eval()
    longer = extend_model(model, _LONGER, seed=2).eval()
    ids = torch.randint(len(_VOCABULARY), (2, 7))
    logits, extended = model(ids)[0].detach(), longer(ids)[0].detach()
    torch.testing.assert_close(extended[..., : len(_VOCABULARY)], logits)
    assert longer.tied_output == model.tied_output
    assert longer.settings == model.settings
    # The new characters are distinguished, and can be read.
    assert len(set(extended[0, 0, len(_VOCABULARY) :].tolist())) == 3
    assert not torch.equal(longer(torch.full((1, 1), 4))[0], longer(torch.full((1, 1), 5))[0])
    longer.loss(torch.randint(7, (2, 5)), torch.randint(7, (2, 5)))[0].backward()  # type: ignore[no-untyped-call]


def test_new_weights_are_initialized_as_in_a_new_model() -> None:
    """With the given standard deviation; the same seed gives the same weights."""
    model = build_model(_VOCABULARY, ModelSettings(hidden_size=500, init_sigma=1.0))
    wide, again, other = (extend_model(model, _LONGER, init_sigma=0.01, seed=seed) for seed in (1, 1, 2))
    rows = wide.output.weight[len(_VOCABULARY) :]
    assert 0.008 < float(rows.detach().std()) < 0.012
    assert not wide.output.bias[len(_VOCABULARY) :].any()
    assert torch.equal(rows, again.output.weight[len(_VOCABULARY) :])
    assert not torch.equal(rows, other.output.weight[len(_VOCABULARY) :])


@pytest.mark.parametrize("settings", _KINDS)
def test_a_models_settings_build_an_equal_model(settings: ModelSettings) -> None:
    model = build_model(_VOCABULARY, settings)
    like = build_model(_VOCABULARY, model.settings)
    assert {name: t.shape for name, t in like.state_dict().items()} == {
        name: t.shape for name, t in model.state_dict().items()
    }
    assert like.dropout.p == model.dropout.p
