"""MXNet worker (1.9.1, Gluon): the section's own code, hybridized; its oneDNN computes ``rnn`` layers in fused form."""

from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn, rnn
from worker import Step, serve

_VOCABULARY = 44


def make(row: dict[str, Any]) -> Step:
    """Returns a training step of the row's model."""
    cells = {"rnn": rnn.RNN, "gru": rnn.GRU, "lstm": rnn.LSTM}
    layer = cells[row["cell"]](row["hidden"], row["layers"], **({"activation": "tanh"} if row["cell"] == "rnn" else {}))
    output = nn.Dense(_VOCABULARY, flatten=False)
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
    for part in (layer, output, loss_of):
        part.initialize()
        part.hybridize(static_alloc=True)
    text = mx.nd.random.randint(0, _VOCABULARY, (row["steps"] + 1, row["batch"]))
    ids, targets = text[:-1], text[1:]
    state = layer.begin_state(batch_size=row["batch"])
    parameters = [*layer.collect_params().values(), *output.collect_params().values()]

    def step() -> Any:
        nonlocal state
        with autograd.record():
            outputs, last = layer(nd.one_hot(ids, _VOCABULARY), state)
            loss = loss_of(output(outputs).reshape((-1, _VOCABULARY)), targets.reshape((-1,))).mean()
        loss.backward()
        gluon.utils.clip_global_norm([p.grad() for p in parameters], 1.0)
        for parameter in parameters:
            parameter.data()[:] = parameter.data() - 0.1 * parameter.grad()
        state = [part.detach() for part in last]
        return loss

    return step


if __name__ == "__main__":
    serve(make, wait=lambda loss: (loss.asscalar(), nd.waitall()))
