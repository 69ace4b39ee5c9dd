import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import charloom
from charloom import (
    CharloomWarning,
    Corpus,
    InputError,
    LanguageModel,
    ModelSettings,
    SettingsError,
    TrainingDivergedError,
    TrainingSettings,
    build_model,
    corpus_from,
    evaluate,
    load_corpus,
    train,
)
from charloom.training.events import EpochEnded, Event, SampleDrawn, StepEnded
from charloom.training.truncated_bptt import train_step

_QUICK = TrainingSettings(
    batch_size=4, num_steps=10, epochs=3, optimizer="adamw", learning_rate=0.01, device="cpu", sample_every=0
)


@pytest.fixture
def corpus(text: str, tmp_path: Path) -> Corpus:
    file = tmp_path / "text.txt"
    file.write_text(text, encoding="utf-8")
    return load_corpus(file)


def _model(corpus: Corpus, **options: Any) -> LanguageModel:
    settings: dict[str, Any] = {"cell": "gru", "hidden_size": 16} | options
    return build_model(corpus.vocabulary, ModelSettings(**settings), seed=1)


def _with(**changes: Any) -> TrainingSettings:
    return TrainingSettings(**vars(_QUICK) | changes)


def test_training_reduces_the_perplexity(corpus: Corpus) -> None:
    """From a uniform guess; the history equals an evaluation."""
    model = _model(corpus)
    before = evaluate(model, corpus.text).perplexity
    assert before == pytest.approx(len(corpus.vocabulary), rel=0.05)
    history = train(model, corpus, _with(epochs=8))
    after = evaluate(model, corpus.text).perplexity
    assert after < before / 3
    assert [record.epoch for record in history] == list(range(1, 9))
    assert history[-1].perplexity < history[0].perplexity
    assert history[-1].perplexity == pytest.approx(after, rel=0.3)
    assert not model.training


def test_overfits() -> None:
    """The section's second exercise: with enough units and epochs it memorizes a short text."""
    text = "Sphinx of black quartz, judge my vow. Pack my box with five dozen liquor jugs. Waltz, bad nymph!"
    corpus = load_corpus_of(text)
    model = _model(corpus, hidden_size=64)
    history = train(model, corpus, _with(batch_size=2, epochs=150))
    assert history[-1].perplexity < 1.1
    assert charloom.generate(model, text[:10], 30) == text[:40]


def load_corpus_of(text: str | bytes) -> Corpus:
    return corpus_from(text, name="made", unit="char" if isinstance(text, str) else "byte")


@pytest.mark.parametrize("partitioning", ["sequential", "random"])
def test_same_seed_same_model(partitioning: str, corpus: Corpus) -> None:
    """Including dropout; another seed is another run; the caller's random state is unchanged."""
    settings = _with(partitioning=partitioning, epochs=2)
    runs = []
    torch.manual_seed(1)
    before = torch.get_rng_state()
    for seed in (5, 5, 6):
        model = _model(corpus, dropout=0.3, embedding_size=8)
        train(model, corpus, TrainingSettings(**vars(settings) | {"seed": seed}))
        runs.append(model.output.weight)
        torch.rand(3)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_is_carried_or_not(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequential: zero at an epoch's start, then the last minibatch's final state, detached. Random: always zero."""
    seen: list[torch.Tensor] = []
    original = LanguageModel.backpropagate

    def spy(self: LanguageModel, ids: Any, targets: Any, state: Any = None) -> Any:
        last: Any
        loss, last = original(self, ids, targets, state)
        seen.extend([state.clone(), last.clone()])
        assert not state.requires_grad
        return loss, last

    monkeypatch.setattr(LanguageModel, "backpropagate", spy)
    train(_model(corpus), corpus, _with(epochs=1))
    started, ended = seen[::2], seen[1::2]
    assert not started[0].any()
    assert all(torch.equal(b, e) for b, e in zip(started[1:], ended, strict=False))
    seen.clear()
    train(_model(corpus), corpus, _with(epochs=1, partitioning="random"))
    assert not torch.stack(seen[::2]).any()


def test_clipping_to_a_global_norm(corpus: Corpus) -> None:
    """One step of SGD changes the weights by learning rate times clipped gradient."""
    model = _model(corpus, init_sigma=1.0)
    inputs, targets = corpus.ids[:40].view(4, 10), corpus.ids[1:41].view(4, 10)
    loss, _ = model.loss(inputs, targets)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    assert norm > 0.1
    before = [p.detach().clone() for p in model.parameters()]
    step_loss, _ = train_step(
        model, torch.optim.SGD(model.parameters(), lr=0.5), inputs, targets, model.begin_state(4), 0.1
    )
    assert step_loss.item() == pytest.approx(loss.item())
    for parameter, start, gradient in zip(model.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(parameter, start - 0.5 * 0.1 * gradient / norm, rtol=1e-4, atol=1e-6)


def test_validation_is_held_out(corpus: Corpus) -> None:
    """The last quarter of the text is another language: training never reads it, so its perplexity is high."""
    text = ("abcd" * 300) + "".join("dcba" for _ in range(100))
    made = load_corpus_of(text)
    with pytest.warns(CharloomWarning, match="validation perplexity was best after epoch"):
        history = train(_model(made), made, _with(validation_fraction=0.25, epochs=12))
    last = history[-1]
    assert last.validation_perplexity is not None
    assert last.perplexity < 1.5 < 3 < last.validation_perplexity
    assert train(_model(corpus), corpus, _with(epochs=1))[0].validation_perplexity is None


def test_a_diverging_run_ends_with_the_last_good_weights(corpus: Corpus) -> None:
    """The weights are broken in the second epoch, as by too large a step."""
    model = _model(corpus)
    good: list[torch.Tensor] = []

    def break_it(event: Event) -> None:
        if isinstance(event, EpochEnded):
            good.append(model.output.weight.detach().clone())
        elif isinstance(event, StepEnded) and event.epoch == 2:
            nn.init.constant_(model.output.weight, math.nan)

    with pytest.raises(TrainingDivergedError, match=r"epoch 2.*learning_rate"):
        train(model, corpus, _QUICK, listeners=[break_it])
    assert torch.equal(model.output.weight, good[0])
    assert model.provenance["results"]["epoch"] == 1


def test_provenance_describes_the_training(corpus: Corpus, tmp_path: Path) -> None:
    model = _model(corpus)
    history = train(model, corpus, _with(prefix=("It was",)))
    model.save(tmp_path / "model")
    provenance = LanguageModel.load(tmp_path / "model").provenance
    assert provenance["corpus"] == {"name": "text.txt", "sha256": corpus.fingerprint, "num_chars": len(corpus.ids)}
    assert provenance["training"]["learning_rate"] == 0.01
    assert provenance["results"]["perplexity"] == history[-1].perplexity
    assert provenance["prefix"] == ["It was"]


def test_samples_without_a_known_prefix(corpus: Corpus) -> None:
    """A prefix with unknown characters is named, and the start of the text replaces it."""
    texts: list[str] = []

    def keep(event: Event) -> None:
        if isinstance(event, SampleDrawn):
            texts.append(event.text)

    with pytest.warns(CharloomWarning, match="漢"):
        train(_model(corpus), corpus, _with(epochs=1, sample_every=1, prefix=("漢",)), listeners=[keep])
    assert len(texts) == 1
    assert texts[0].startswith(str(corpus.text[:20]))


def test_bytes(tmp_path: Path) -> None:
    corpus = load_corpus_of(bytes(range(256)) * 4)
    texts: list[str] = []
    listeners: Sequence[Any] = [lambda e: texts.append(e.text) if isinstance(e, SampleDrawn) else None]
    model = _model(corpus, hidden_size=32)
    train(model, corpus, _with(epochs=30, sample_every=30, learning_rate=0.02), listeners=listeners)
    assert texts[0].startswith(" !\"#$%&'()*+,-./01234567")  # from the printable part of them
    assert charloom.generate(model, b"\x10", 5) == b"\x10\x11\x12\x13\x14\x15"
    model.save(tmp_path)  # the prefixes are not UTF-8, and are saved nevertheless
    assert len(LanguageModel.load(tmp_path).vocabulary) == 256


def test_refusals(corpus: Corpus) -> None:
    model = _model(corpus)
    with pytest.raises(InputError, match="different vocabularies"):
        train(model, load_corpus_of("another text" * 50), _QUICK)
    with pytest.raises(SettingsError, match=r"a minibatch of 400 x 10 needs 4001"):
        train(model, corpus, _with(batch_size=400))
    with pytest.raises(SettingsError, match="validation_fraction"):
        train(model, corpus, _with(validation_fraction=1e-9))
    with pytest.raises(SettingsError, match="device is 'abacus'"):
        train(model, corpus, _with(device="abacus"))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_a_gpu(corpus: Corpus, tmp_path: Path, precision: str) -> None:
    """Trained on the GPU, saved, used on the CPU, trained further on the GPU."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    train(model := _model(corpus), corpus, how := _with(device="auto", sample_every=1, precision=precision))
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("cuda", torch.float32)}
    on_gpu = evaluate(model, corpus.text)
    text = charloom.generate(model, "It was", 30)
    model.save(tmp_path)
    loaded = LanguageModel.load(tmp_path)
    assert evaluate(loaded, corpus.text).total_nats == pytest.approx(on_gpu.total_nats, rel=1e-4)
    assert charloom.generate(loaded, "It was", 30) == text
    assert evaluate(loaded.to("cuda"), corpus.text).total_nats == pytest.approx(on_gpu.total_nats, rel=1e-6)
    assert train(loaded, corpus, how)[-1].perplexity < on_gpu.perplexity * 1.5


@pytest.mark.slow
def test_the_perplexity_of_the_section(corpora: Path) -> None:
    """500 epochs of the recipe: the original ends at 1.17 to 1.2 (the last epoch fluctuates)."""
    recipe = charloom.load_recipe("section")
    corpus = load_corpus(corpora / "timemachine.txt", **vars(recipe.corpus))
    model = build_model(corpus.vocabulary, recipe.model)
    assert train(model, corpus, recipe.training)[-1].perplexity < 1.3


def test_a_wild_run_can_be_saved(corpus: Corpus, tmp_path: Path) -> None:
    """One warning is shown. A perplexity that no float holds is null in the folder: JSON has no infinity."""
    model = _model(corpus)
    nn.init.constant_(model.output.bias, 0.0)
    with torch.no_grad():
        model.output.bias[1] = 1e6
    with pytest.warns(
        CharloomWarning,
        match=r"perplexity is inf after epoch 1, far above 29, the perplexity of a uniform .* lower learning_rate",
    ) as caught:
        history = train(model, corpus, _with(epochs=2, learning_rate=1e-9))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert history[0].perplexity == math.inf
    model.save(tmp_path)
    assert LanguageModel.load(tmp_path).provenance["results"]["perplexity"] is None
