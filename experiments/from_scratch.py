"""Exercise: the section's model by hand, with PyTorch's layer and with charloom: equality, speed, profile."""

import inspect
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import charloom
from charloom.text.batching import draw_offset, sequential_batches
from charloom.training.truncated_bptt import train_step as charloom_step
from experiments import scratch
from experiments.page import Experiment, Results, format_table, load_text, make_figure
from experiments.scratch import ScratchModel, train_step

_HIDDENS, _BATCH, _STEPS = 256, 32, 35
_NAMES = {"scratch": "written by hand", "pytorch": "`torch.nn.RNN`", "charloom": "charloom"}
_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm")


class TwoBiases(ScratchModel):
    """The model written by hand, with the second bias that frameworks have."""

    def __init__(self, vocabulary_size: int, num_hiddens: int) -> None:
        super().__init__(vocabulary_size, num_hiddens)
        self.second_b_h = nn.Parameter(torch.zeros(num_hiddens))

    def forward(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits and the last state, as ``ScratchModel`` does."""
        outputs = []
        for inputs in nn.functional.one_hot(ids.T, self.vocabulary_size).float():
            state = torch.tanh(inputs @ self.W_xh + state @ self.W_hh + self.b_h + self.second_b_h)
            outputs.append(state @ self.W_hq + self.b_q)
        return torch.stack(outputs), state


class FrameworkModel(nn.Module):
    """The model with PyTorch's own layer."""

    def __init__(self, weights: ScratchModel) -> None:
        super().__init__()
        self.vocabulary_size = weights.vocabulary_size
        self.layer = nn.RNN(self.vocabulary_size, _HIDDENS)
        self.output = nn.Linear(_HIDDENS, self.vocabulary_size)
        _copy(weights, self.layer, self.output)

    def begin_state(self, batch_size: int) -> Tensor:
        """Returns zeros (1, batch, hidden)."""
        return torch.zeros(1, batch_size, _HIDDENS)

    def forward(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits and the last state, as ``ScratchModel`` does."""
        outputs, state = self.layer(nn.functional.one_hot(ids.T, self.vocabulary_size).float(), state)
        return self.output(outputs), state


def _copy(weights: ScratchModel, layer: nn.RNNBase, output: nn.Linear) -> None:
    """Copies the weights of ``ScratchModel`` to a layer, transposed; the second bias is set to zero."""
    with torch.no_grad():
        layer.get_parameter("weight_ih_l0").copy_(weights.W_xh.T)
        layer.get_parameter("weight_hh_l0").copy_(weights.W_hh.T)
        layer.get_parameter("bias_ih_l0").copy_(weights.b_h)
        layer.get_parameter("bias_hh_l0").zero_()
        output.weight.copy_(weights.W_hq.T)
        output.bias.copy_(weights.b_q)


Stepper = Callable[[Tensor, Tensor, Tensor], tuple[float, Tensor]]


def _steppers(text: charloom.Corpus, seed: int) -> dict[str, tuple[Stepper, Callable[[], Tensor]]]:
    """Returns a training step and a function for the initial state of each implementation, from the same weights."""
    torch.manual_seed(seed)
    by_hand = ScratchModel(len(text.vocabulary), _HIDDENS)
    two_biases = TwoBiases(len(text.vocabulary), _HIDDENS)
    two_biases.load_state_dict(by_hand.state_dict(), strict=False)
    framework = FrameworkModel(by_hand)
    model = charloom.LanguageModel(charloom.layers.RNN(len(text.vocabulary), _HIDDENS), text.vocabulary)
    _copy(by_hand, model.layer, model.output)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def of(module: ScratchModel | FrameworkModel) -> tuple[Stepper, Callable[[], Tensor]]:
        return lambda ids, targets, state: train_step(module, ids, targets, state), lambda: module.begin_state(_BATCH)

    def charloom_stepper(ids: Tensor, targets: Tensor, state: Tensor) -> tuple[float, Tensor]:
        loss, last = charloom_step(model, optimizer, ids, targets, state, 1.0)
        assert isinstance(last, Tensor)
        return loss.item(), last

    def initial_state() -> Tensor:
        state = model.begin_state(_BATCH)
        assert isinstance(state, Tensor)
        return state

    return {
        "scratch": of(by_hand),
        "pytorch": of(framework),
        "charloom": (charloom_stepper, initial_state),
        "two biases": of(two_biases),
    }


def _train(stepper: tuple[Stepper, Callable[[], Tensor]], ids: Tensor, epochs: int, seed: int) -> list[float]:
    """Returns the loss of every minibatch. Offsets depend on the seed only, for a fair comparison."""
    step, initial_state = stepper
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(epochs):
        state = initial_state()
        offset = draw_offset(len(ids), _BATCH, _STEPS, generator)
        for inputs, targets in sequential_batches(ids, _BATCH, _STEPS, offset):
            loss, state = step(inputs, targets, state)
            losses.append(loss)
    return losses


def _time(text: charloom.Corpus, rounds: int, steps: int) -> dict[str, list[float]]:
    """Returns milliseconds per step for each round; rounds alternate, after one uncounted warm-up round."""
    steppers = _steppers(text, 0)
    ids, targets = next(sequential_batches(text.ids, _BATCH, _STEPS, 0))
    milliseconds: dict[str, list[float]] = {name: [] for name in _NAMES}
    for number in range(rounds + 1):
        for name, times in milliseconds.items():
            step, initial_state = steppers[name]
            state = initial_state()
            start = time.perf_counter()
            for _ in range(steps):
                step(ids, targets, state)
            if number:
                times.append((time.perf_counter() - start) / steps * 1e3)
    return milliseconds


def _profile(text: charloom.Corpus, steps: int) -> dict[str, dict[str, float]]:
    """Returns the number of operators in a step, and the shares of time of products, other operators and overhead."""
    steppers = _steppers(text, 0)
    ids, targets = next(sequential_batches(text.ids, _BATCH, _STEPS, 0))
    found = {}
    for name in ("scratch", "pytorch"):
        step, initial_state = steppers[name]
        step(ids, targets, initial_state())
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            start = time.perf_counter()
            for _ in range(steps):
                step(ids, targets, initial_state())
            wall = time.perf_counter() - start
        events = profiled.key_averages()
        operators = [event for event in events if event.key.startswith("aten::")]
        products = sum(event.self_cpu_time_total for event in operators if event.key in _PRODUCTS) / 1e6
        others = sum(event.self_cpu_time_total for event in operators if event.key not in _PRODUCTS) / 1e6
        found[name] = {
            "operators": sum(event.count for event in operators) / steps,
            "products": products / wall,
            "others": others / wall,
            "around": max(0.0, 1 - (products + others) / wall),
        }
    return found


def _products_alone(text: charloom.Corpus, rounds: int) -> float:
    """Returns milliseconds of a step's matrix products at the rate of one large product."""
    size = 1024
    left, right = torch.rand(size, size), torch.rand(size, size)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    rate = 2 * size**3 / min(times[1:])
    # Three products of this size: forward, and one for each of the two gradients. The product with the one-hot input
    # is a table look-up and not counted.
    arithmetic = 3 * 2 * _BATCH * _STEPS * _HIDDENS * (_HIDDENS + len(text.vocabulary))
    return arithmetic / rate * 1e3


def measure(quick: bool) -> Results:
    """Measures differences of losses over seeds, perplexities, times, and a profile."""
    text = load_text("time-machine", quick, lowercase=True, collapse_whitespace=True, max_chars=10_000)
    seeds, epochs, rounds, steps = ([0], 2, 1, 3) if quick else ([0, 1, 2, 3, 4, 5], 50, 9, 30)
    runs = []
    for seed in seeds:
        steppers = _steppers(text, seed)
        losses = {name: _train(stepper, text.ids[:], epochs, seed) for name, stepper in steppers.items()}
        per_epoch = len(losses["scratch"]) // epochs
        runs.append(
            {
                "first_eight": {
                    name: max(abs(a - b) for a, b in zip(losses["two biases"][:8], of[:8], strict=True))
                    for name, of in losses.items()
                },
                "perplexity": {name: float(torch.tensor(of[-per_epoch:]).mean().exp()) for name, of in losses.items()},
            }
        )
    return {
        "seeds": seeds,
        "epochs": epochs,
        "runs": runs,
        "milliseconds": _time(text, rounds, steps),
        "profile": _profile(text, steps),
        "floor": _products_alone(text, 5 * rounds),
    }


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _difference(largest: float) -> str:
    return f"{largest:.0e}" if largest else "none"


def make_tables(results: Results) -> Mapping[str, str]:
    """Returns the handwritten code and the tables of speed, profile and equality."""
    times = results["milliseconds"]
    ratios = {name: [a / b for a, b in zip(times["scratch"], times[name], strict=True)] for name in _NAMES}
    speed = [
        [
            label,
            f"{statistics.median(times[name]):.2f}",
            "1" if name == "scratch" else f"{statistics.median(ratios[name]):.1f}",
            "" if name == "scratch" else f"{min(ratios[name]):.1f} to {max(ratios[name]):.1f}",
        ]
        for name, label in _NAMES.items()
    ]
    speed.append(["matrix products alone", f"{results['floor']:.2f}", "", ""])
    profiled = [
        [_NAMES[name], f"{of['operators']:.0f}", *(f"{of[part]:.0%}" for part in ("products", "others", "around"))]
        for name, of in results["profile"].items()
    ]
    labels = {"scratch": "written by hand", "two biases": "written by hand, two biases", "pytorch": "`torch.nn.RNN`"}
    equality = [
        [
            labels.get(name, name),
            _difference(max(run["first_eight"][name] for run in results["runs"])) if name != "two biases" else "",
            _spread([run["perplexity"][name] for run in results["runs"]]),
        ]
        for name in ("scratch", "two biases", "pytorch", "charloom")
    ]
    return {
        "code": "```python\n" + inspect.getsource(scratch).partition('"""\n\n')[2].rstrip() + "\n```",
        "speed": format_table(["", "ms per step", "speedup", "range over rounds"], speed),
        "profile": format_table(["", "operators per step", "matrix products", "other operators", "overhead"], profiled),
        "equality": format_table(
            ["", "largest difference, first 8 losses (nats)", f"perplexity after {results['epochs']} epochs"], equality
        ),
    }


def make_figures(results: Results) -> Mapping[str, Figure]:
    """Draws the time of a step, divided into its parts."""
    drawing = make_figure(6.4, 3.0)
    axes = drawing.add_subplot()
    times = {name: statistics.median(of) for name, of in results["milliseconds"].items()}
    parts = {"products": "matrix products", "others": "other operators", "around": "Python, dispatch, bookkeeping"}
    names = list(_NAMES)
    left = [0.0] * len(names)
    for part, label in parts.items():
        widths = [times[name] * results["profile"].get(name, {}).get(part, 0.0) for name in names]
        axes.barh(names, widths, left=left, label=label, height=0.6)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    ours = names.index("charloom")
    axes.barh([names[ours]], [times["charloom"]], height=0.6, label="one native call")
    for row, name in enumerate(names):
        axes.text(times[name], row, f" {times[name]:.1f} ms", va="center")
    axes.axvline(results["floor"], color="#222222", linestyle=":", linewidth=1.2, label="matrix products alone")
    axes.set_yticks(range(len(names)), [_NAMES[name].strip("`") for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, max(times.values()) * 1.18)
    axes.set_xlabel("milliseconds per training step")
    axes.grid(visible=False, axis="y")
    drawing.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return {"profile": drawing}


EXPERIMENT = Experiment(measure, make_tables, make_figures)
