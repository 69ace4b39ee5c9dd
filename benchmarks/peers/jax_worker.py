"""JAX worker: the whole step, including clipping and SGD, compiled over ``lax.scan`` with donated buffers."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from worker import Step, serve

_VOCABULARY = 44
_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def _cell(cell: str, hidden: int, weights: Any, state: Any, x: Any) -> Any:
    """Computes one time step; ``x`` is the input's contribution to the gates."""
    h = state[0]
    if cell == "rnn":
        return (jnp.tanh(x + h @ weights["hidden"]),)
    if cell == "gru":
        shares = h @ weights["hidden"] + weights["hidden_bias"]
        r = jax.nn.sigmoid(x[:, :hidden] + shares[:, :hidden])
        z = jax.nn.sigmoid(x[:, hidden : 2 * hidden] + shares[:, hidden : 2 * hidden])
        n = jnp.tanh(x[:, 2 * hidden :] + r * shares[:, 2 * hidden :])
        return ((1 - z) * n + z * h,)
    i, f, g, o = jnp.split(x + h @ weights["hidden"], 4, axis=1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return (jax.nn.sigmoid(o) * jnp.tanh(c), c)


def _loss(parameters: Any, ids: Any, targets: Any, states: Any, cell: str, hidden: int) -> Any:
    outputs, last = None, []
    for layer, state in zip(parameters["layers"], states, strict=True):
        shares = layer["input"][ids] if outputs is None else outputs @ layer["input"]

        def step(carry: Any, x: Any, layer: Any = layer) -> Any:
            following = _cell(cell, hidden, layer, carry, x)
            return following, following[0]

        state, outputs = jax.lax.scan(step, state, shares + layer["bias"])
        last.append(state)
    log_probabilities = jax.nn.log_softmax(outputs @ parameters["output"] + parameters["output_bias"])
    return -jnp.take_along_axis(log_probabilities, targets[..., None], -1).mean(), last


@functools.partial(jax.jit, static_argnums=(4, 5), donate_argnums=(0, 3))
def _train_step(parameters: Any, ids: Any, targets: Any, states: Any, cell: str, hidden: int) -> Any:
    (loss, last), gradients = jax.value_and_grad(_loss, has_aux=True)(parameters, ids, targets, states, cell, hidden)
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradients)))
    scale = 0.1 * jnp.minimum(1.0, 1.0 / (norm + 1e-6))
    return jax.tree.map(lambda p, g: p - scale * g, parameters, gradients), last, loss


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def _generate(parameters: Any, states: Any, key: Any, cell: str, hidden: int, steps: int) -> Any:
    def step(carry: Any, key: Any) -> Any:
        token, states = carry
        outputs, following = None, []
        for layer, state in zip(parameters["layers"], states, strict=True):
            share = layer["input"][token][None] if outputs is None else outputs @ layer["input"]
            state = _cell(cell, hidden, layer, state, share + layer["bias"])
            outputs = state[0]
            following.append(state)
        token = jax.random.categorical(key, (outputs @ parameters["output"] + parameters["output_bias"])[0])
        return (token, following), token

    return jax.lax.scan(step, (jnp.asarray(0), states), jax.random.split(key, steps))[1]


def make(row: dict[str, Any]) -> Step:
    """Returns a training step of the row's model."""
    cell, hidden = row["cell"], row["hidden"]
    draws = np.random.RandomState(0)

    def uniform(*shape: int) -> Any:
        return jnp.asarray(draws.uniform(-1, 1, shape) / hidden**0.5, dtype=jnp.float32)

    layers = [
        {
            "input": uniform(_VOCABULARY if first else hidden, _GATES[cell] * hidden),
            "hidden": uniform(hidden, _GATES[cell] * hidden),
            "bias": uniform(_GATES[cell] * hidden),
            "hidden_bias": uniform(_GATES[cell] * hidden),
        }
        for first in [True] + [False] * (row["layers"] - 1)
    ]
    parameters: Any = {"layers": layers, "output": uniform(hidden, _VOCABULARY), "output_bias": uniform(_VOCABULARY)}
    text = draws.randint(0, _VOCABULARY, (row["steps"] + 1, row["batch"]))
    ids, targets = jnp.asarray(text[:-1]), jnp.asarray(text[1:])
    parts = 2 if cell == "lstm" else 1
    states: Any = [tuple(jnp.zeros((row["batch"], hidden)) for _ in range(parts)) for _ in layers]

    if row["contestant"] == "generate":
        return lambda: _generate(parameters, states, jax.random.key(0), cell, hidden, row["steps"])

    def step() -> Any:
        nonlocal parameters, states
        parameters, states, loss = _train_step(parameters, ids, targets, states, cell, hidden)
        return loss

    return step


if __name__ == "__main__":
    serve(make, wait=lambda loss: loss.block_until_ready())
