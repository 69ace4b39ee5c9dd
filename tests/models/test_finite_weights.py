"""Weights that are not finite are neither saved nor used, and training never ends with them."""

import hashlib
import json
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch

from charloom import (
    CharloomError,
    Codec,
    Corpus,
    InputError,
    LanguageModel,
    ModelFolderError,
    ModelSettings,
    RecordCodec,
    TrainingDivergedError,
    TrainingSettings,
    build_model,
    corpus_from,
    evaluate,
    generate,
    generate_samples,
    prepare_codec,
    train,
)
from charloom.training.events import Event, StepEnded, StopTraining
from process import call

_BAD = [math.nan, math.inf, -math.inf]


@pytest.fixture
def corpus() -> Corpus:
    return corpus_from("a fox and a dog\n" * 20, name="made")


def _model(corpus: Corpus) -> LanguageModel:
    return build_model(corpus.vocabulary, ModelSettings("lstm", hidden_size=8, embedding_size=8, tied_output=True))


@pytest.mark.parametrize("bad", _BAD)
@pytest.mark.parametrize("name", [name for name, _ in _model(corpus_from("ab")).named_parameters()])
def test_a_single_nan_or_infinity_is_refused(name: str, bad: float, corpus: Corpus, tmp_path: Path) -> None:
    model = _model(corpus)
    model.save(tmp_path)
    with torch.no_grad():
        model.get_parameter(name).flatten()[-1] = bad
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    settings = TrainingSettings(batch_size=2, num_steps=8, epochs=1)
    for use in (
        lambda: generate(model, "a", 3),
        lambda: generate_samples(model, "a", 3, num_samples=2),
        lambda: evaluate(model, "a fox"),
        lambda: Codec(model).compress(b"a fox"),
        lambda: RecordCodec(model),
        lambda: prepare_codec(tmp_path, model),
        lambda: model.save(tmp_path),
        lambda: train(model, corpus, settings),
    ):
        remedy = "; train again with a lower learning_rate, or a lower clip_norm above 0$"
        with pytest.raises(InputError, match=rf"the tensor {name} contains NaN or infinite.*{remedy}"):
            use()
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_with_one_is_refused_by_every_command(corpus: Corpus, tmp_path: Path) -> None:
    """Another program, or an earlier version, may have written such a folder."""
    model, folder = _model(corpus), tmp_path / "model"
    model.save(folder)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors["layer.bias_hh_l0"][3] = math.nan
    data = safetensors.torch.save(tensors)
    (folder / "model.safetensors").write_bytes(data)
    config = json.loads((folder / "config.json").read_text())
    config["weights_sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFolderError, match=r"model: the tensor layer\.bias_hh_l0 contains NaN"):
        LanguageModel.load(folder)
    (tmp_path / "text").write_text("a fox and a dog\n" * 20)
    for words in (
        "generate model",
        "evaluate model text",
        "info model",
        "compress text -m model",
        "compress text -m model --report",
        "train text --init-from model --output other",
    ):
        assert "layer.bias_hh_l0 contains NaN" in call(tmp_path, *words.split()).error()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "text"]


@pytest.mark.parametrize("spoiled_at", [1, 8, 9])
@pytest.mark.parametrize("stop", [True, False])
def test_training_never_ends_with_one(spoiled_at: int, stop: bool, corpus: Corpus) -> None:
    """At any step, whether or not the run is stopped there: the last step of epoch 1 is the 9th."""
    model = _model(corpus)

    def spoil(event: Event) -> None:
        if isinstance(event, StepEnded) and event.steps == spoiled_at:
            with torch.no_grad():
                model.output.bias[0] = math.nan
            if stop:
                raise StopTraining

    settings = TrainingSettings(batch_size=2, num_steps=16, epochs=2, sample_every=0)
    with pytest.raises(TrainingDivergedError, match="in epoch 1"):
        train(model, corpus, settings, listeners=[spoil])
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_a_diverging_run_leaves_the_model_that_it_would_replace(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a fox and a dog\n" * 50)
    options = ["--hidden-size", "8", "--batch-size", "2", "--num-steps", "16", "--epochs", "2", "--output", "model"]
    call(tmp_path, "train", "text", *options).done()
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    wild = ["--learning-rate", "1e30", "--force"]
    for clipping, remedy in (
        ([], "lower --learning-rate or --clip-norm; the model has"),
        (["--clip-norm", "0"], "lower --learning-rate, or set --clip-norm, for example to 1; the model has"),
    ):
        assert f"in epoch 1: {remedy}" in call(tmp_path, "train", "text", *options, *wild, *clipping).error()
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before


def test_weights_that_overflow_in_computation(corpus: Corpus) -> None:
    model = _model(corpus)
    with torch.no_grad():
        for parameter in model.output.parameters():
            parameter.fill_(3e38)
        model.layer.get_parameter("bias_hh_l0").fill_(3e38)
    with pytest.raises(CharloomError, match="not finite"):
        generate(model, "a", 3)
    with pytest.raises(CharloomError, match="not finite"):
        evaluate(model, "a fox")
