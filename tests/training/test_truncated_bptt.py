import pytest
import torch

from charloom import ModelSettings, TrainingSettings, Vocabulary, build_model, corpus_from
from charloom.training.truncated_bptt import make_optimizer, train_epoch, train_step


@pytest.mark.parametrize("feature", ["nothing", "momentum", "a hook", "a scheduler", "another class"])
def test_features_of_the_optimizer_are_applied(feature: str) -> None:
    """SGD is a native call; momentum, hooks, schedulers and subclasses must not be ignored by it."""

    class Own(torch.optim.SGD):
        pass

    results, calls = [], 0
    for by_hand in (False, True):
        torch.manual_seed(0)
        model = build_model(Vocabulary.of_text("abc"), ModelSettings("rnn", hidden_size=8))
        kind = Own if feature == "another class" else torch.optim.SGD
        optimizer = kind(model.parameters(), lr=0.5, momentum=0.9 if feature == "momentum" else 0.0)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5) if feature == "a scheduler" else None

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        if feature == "a hook":
            optimizer.register_step_post_hook(count)
        ids = torch.randint(3, (2, 6))
        state = model.begin_state(2)
        for _ in range(3):
            if by_hand:
                optimizer.zero_grad()
                loss, state = model.loss(ids[:, :-1], ids[:, 1:], state)
                loss.backward()  # type: ignore[no-untyped-call] # torch's
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
                optimizer.step()
            else:
                _, state = train_step(model, optimizer, ids[:, :-1], ids[:, 1:], state, 0.1)
            if scheduler is not None:
                scheduler.step()
        results.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-7)
    assert calls == (6 if feature == "a hook" else 0)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("odd", ["weights", "gradients"])
def test_updates_do_not_depend_on_memory_layout(optimizer: str, odd: str) -> None:
    corpus = corpus_from("the time traveller smiled round at us. " * 8)
    settings = TrainingSettings(
        optimizer=optimizer,  # type: ignore[arg-type]
        weight_decay=0.1,
        batch_size=2,
        num_steps=8,
        learning_rate=0.05,
    )

    def trained(transposed: bool) -> list[torch.Tensor]:
        model = build_model(corpus.vocabulary, ModelSettings(cell="gru", hidden_size=16), seed=1)
        for parameter in model.parameters():
            if transposed and odd == "weights":
                parameter.data = parameter.data.t().contiguous().t()
            elif transposed:
                parameter.register_post_accumulate_grad_hook(_transpose_gradient)  # type: ignore[no-untyped-call]
        generator = torch.Generator().manual_seed(1)
        for _ in train_epoch(model, make_optimizer(model.parameters(), settings), corpus.ids, settings, generator):
            pass
        return [p.detach().contiguous() for p in model.parameters()]

    for one, other in zip(trained(False), trained(True), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def _transpose_gradient(parameter: torch.Tensor) -> None:
    assert parameter.grad is not None
    parameter.grad = parameter.grad.t().contiguous().t()
