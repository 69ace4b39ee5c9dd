"""Keras worker (Keras 3 on TensorFlow): the step as one graph, with the state carried over, which ``fit`` cannot do."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers
from worker import Step, serve

_VOCABULARY = 44


def make(row: dict[str, Any]) -> Step:
    """Returns a training step of the row's model."""
    tf.config.threading.set_intra_op_parallelism_threads(row["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    cells = {"rnn": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}
    stack = [cells[row["cell"]](row["hidden"], return_sequences=True, return_state=True) for _ in range(row["layers"])]
    output = layers.Dense(_VOCABULARY)
    text = tf.random.uniform((row["batch"], row["steps"] + 1), maxval=_VOCABULARY, dtype=tf.int32)
    parts = 2 if row["cell"] == "lstm" else 1
    states = [[tf.zeros((row["batch"], row["hidden"])) for _ in range(parts)] for _ in stack]

    def loss_and_states(states: Any) -> Any:
        x = tf.one_hot(text[:, :-1], _VOCABULARY)
        last = []
        for layer, state in zip(stack, states, strict=True):
            x, *state = layer(x, initial_state=state)
            last.append(state)
        loss = keras.losses.sparse_categorical_crossentropy(text[:, 1:], output(x), from_logits=True)
        return tf.reduce_mean(loss), last

    loss_and_states(states)  # creates the weights
    weights = [v.value for layer in [*stack, output] for v in layer.trainable_variables]

    @tf.function
    def train_step(states: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, last = loss_and_states(states)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), 1.0)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(0.1 * gradient)
        return loss, last

    def step() -> Any:
        nonlocal states
        loss, states = train_step(states)
        return loss

    return step


if __name__ == "__main__":
    serve(make, wait=lambda loss: loss.numpy())
