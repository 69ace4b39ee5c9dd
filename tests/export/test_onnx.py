"""``export_onnx``: onnxruntime computes the same logits as charloom; the metadata; the file."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import charloom
from charloom import InputError, LanguageModel, SettingsError, Vocabulary
from charloom.settings.model import ModelSettings
from onnx_session import OnnxSession, assert_equal_in_onnx, exported, onnxruntime

_VOCABULARY = Vocabulary("abcdefghi\n")
_CELLS: list[dict[str, Any]] = [
    {"cell": "rnn"},
    {"cell": "rnn", "nonlinearity": "relu"},
    {"cell": "gru"},
    {"cell": "lstm"},
]
_INPUTS: dict[str, dict[str, Any]] = {
    "one-hot": {},
    "embedding": {"embedding_size": 7},
    "tied": {"embedding_size": 16, "tied_output": True},
}


def _model(vocabulary: Vocabulary = _VOCABULARY, **options: Any) -> LanguageModel:
    """Returns a model with larger weights than a new one's, so that logits are those of a trained model."""
    model = charloom.build_model(vocabulary, ModelSettings(hidden_size=16, init_sigma=0.2, **options), seed=3)
    with torch.no_grad():
        model.output.bias.normal_()
        for name, weight in model.layer.named_parameters():
            if "bias" in name:
                weight.normal_(std=0.3)
    return model


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("options", [cell | inputs for cell in _CELLS for inputs in _INPUTS.values()], ids=str)
def test_logits_of_1000_steps_are_equal(options: dict[str, Any], layers: int, tmp_path: Path) -> None:
    model = _model(num_layers=layers, **options)
    ids = torch.randint(len(_VOCABULARY), (2, 1000), generator=torch.Generator().manual_seed(1))
    steps = [ids[:, i : i + 1] for i in range(100)]  # one call per step, as in generation, then long ones
    assert_equal_in_onnx(model, exported(model, tmp_path), *steps, ids[:, 100:250], ids[:, 250:])


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[LanguageModel, OnnxSession]]:
    folder = tmp_path_factory.mktemp("sessions")
    models = [_model(num_layers=2, **cell, **inputs) for cell in _CELLS for inputs in _INPUTS.values()]
    return [(model, exported(model, folder)) for model in models]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_batch_and_length(data: st.DataObject, sessions: list[tuple[LanguageModel, OnnxSession]]) -> None:
    model, session = data.draw(st.sampled_from(sessions))
    batch = data.draw(st.integers(1, 9))
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    chunks = [torch.randint(len(_VOCABULARY), (batch, length), generator=generator) for length in lengths]
    assert_equal_in_onnx(model, session, *chunks)


def test_dropout_and_precision_are_those_of_evaluation_in_float32(tmp_path: Path) -> None:
    model = _model(cell="lstm", num_layers=2, dropout=0.5).train()
    model.precision = "bfloat16"
    session = exported(model, tmp_path)
    assert model.training
    assert model.layer.training
    model.precision = "float32"
    assert_equal_in_onnx(model, session, torch.randint(len(_VOCABULARY), (3, 20)))


def test_a_layer_without_bias(tmp_path: Path) -> None:
    model = LanguageModel(charloom.layers.GRU(len(_VOCABULARY), 8, bias=False), _VOCABULARY)
    assert_equal_in_onnx(model, exported(model, tmp_path), torch.randint(len(_VOCABULARY), (3, 20)))


@pytest.mark.parametrize("inputs", ["one-hot", "embedding"])
@pytest.mark.parametrize("wrong", [-1, -len(_VOCABULARY), len(_VOCABULARY), 2**40, -(2**40)])
def test_ids_out_of_the_vocabulary_are_errors(inputs: str, wrong: int, tmp_path: Path) -> None:
    session = exported(_model(cell="gru", **_INPUTS[inputs]), tmp_path)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="out of data bounds"):
        session(torch.tensor([[0, wrong]]))


@pytest.mark.parametrize("unit", ["char", "byte"])
def test_the_metadata_suffices_to_generate(unit: str, char_model: Path, byte_model: Path, tmp_path: Path) -> None:
    model = LanguageModel.load(char_model if unit == "char" else byte_model)
    session = exported(model, tmp_path)
    vocabulary = json.loads(session.metadata["vocabulary"])
    assert Vocabulary.from_json(vocabulary) == model.vocabulary
    characters = vocabulary["characters"]
    tokens: Any = [bytes([value]) for value in range(256)] if characters is None else ["<unk>", *characters]
    prefix: Any = b"\x01\x02" if unit == "byte" else "the quick"
    ids = [tokens.index(prefix[i : i + 1]) for i in range(len(prefix))]
    text, state, first = prefix, None, 0 if unit == "byte" else 1
    for _ in range(100):
        logits, state = session(torch.tensor([ids]), state)
        ids = [first + int(logits[-1, 0, first:].argmax())]
        text += tokens[ids[0]]
    assert text == charloom.generate(model, prefix, 100)


def test_the_metadata_names_version_cell_and_sizes(tmp_path: Path) -> None:
    metadata = exported(_model(cell="rnn", nonlinearity="relu", num_layers=2), tmp_path).metadata
    assert metadata.pop("vocabulary").isascii()
    assert metadata == {
        "charloom": charloom.__version__,
        "cell": "rnn",
        "nonlinearity": "relu",
        "input_size": "11",
        "hidden_size": "16",
        "num_layers": "2",
        "num_directions": "1",
    }


def test_any_character_can_be_in_the_vocabulary(tmp_path: Path) -> None:
    vocabulary = Vocabulary('a\x00"\\é\U0001f600\ud800', clean_up=charloom.CleanUp(lowercase=True))
    session = exported(_model(vocabulary, cell="gru"), tmp_path)
    assert Vocabulary.from_json(json.loads(session.metadata["vocabulary"])) == vocabulary


def test_existing_files(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_text("mine")
    with pytest.raises(InputError, match="already exists; use force=True to overwrite it"):
        charloom.export_onnx(_model(), file)
    assert file.read_text() == "mine"
    charloom.export_onnx(_model(), str(file), force=True)
    assert OnnxSession(file).metadata
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("path", ["none/model.onnx", "", "a\0b"])
def test_files_that_cannot_be_written(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        charloom.export_onnx(_model(), path)
    with pytest.raises(InputError):
        charloom.export_onnx(_model(), path, force=True)
    assert not [*tmp_path.iterdir()]


def test_more_than_a_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(parameter.nbytes for parameter in _model().parameters())
    monkeypatch.setattr("charloom.export.onnx._MAX_BYTES", size)
    charloom.export_onnx(_model(), tmp_path / "model.onnx")
    monkeypatch.setattr("charloom.export.onnx._MAX_BYTES", size - 1)
    with pytest.raises(InputError, match=f"the weights take {size:,} bytes: an ONNX file cannot hold more than"):
        charloom.export_onnx(_model(), tmp_path / "larger.onnx")
    assert not (tmp_path / "larger.onnx").exists()


def test_the_package_onnx_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import charloom.export

    exported(nn.GRU(2, 3), tmp_path)  # which imports the module
    monkeypatch.delattr(charloom.export, "onnx_graph")
    monkeypatch.delitem(sys.modules, "charloom.export.onnx_graph")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SettingsError) as caught:
        charloom.export_onnx(nn.GRU(2, 3), tmp_path / "other.onnx")
    assert str(caught.value) == "onnx is not installed; install it with pip install 'charloom[onnx]'"
