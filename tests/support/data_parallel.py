"""Two processes under ``DistributedDataParallel`` or FSDP (gloo) and one with the whole batch: equal results.

This is a module because the processes import it by name.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import charloom
from charloom.training.truncated_bptt import clip_gradients

Results: TypeAlias = dict[str, Tensor]
Wrap: TypeAlias = Callable[[nn.Module], Any]
Share: TypeAlias = Callable[[Tensor, int], Tensor]
"""A function that returns this process' part of a tensor along the batch dimension."""

PROCESSES = 2
_CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class _Classifier(nn.Module):
    """A user's model with layers inside, and one unused part."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.layer = cell(5, 6, 2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 3)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        head: Tensor = self.head(self.layer(x)[0][:, -1])
        return head


class _Loss(nn.Module):
    """A module whose forward returns the loss, as DistributedDataParallel requires."""

    def __init__(self, model: charloom.LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, targets: Tensor, state: Any) -> Any:
        return self.model.loss(ids, targets, state)


def _gradients(module: nn.Module) -> Results:
    return {name.removeprefix("module."): p.grad for name, p in module.named_parameters() if p.grad is not None}


def _model(cell: Any, embedding: int | None = 16) -> charloom.LanguageModel:
    settings = charloom.ModelSettings(
        cell=cell, hidden_size=16, num_layers=2, embedding_size=embedding, tied_output=embedding == 16, init_sigma=0
    )
    return charloom.build_model(charloom.Vocabulary.of_text("abcdefghij"), settings)


def _text(share: Share) -> tuple[Tensor, Tensor]:
    ids = torch.randint(11, (8, 13), generator=torch.Generator().manual_seed(2))
    return share(ids[:, :-1], 0), share(ids[:, 1:], 0)


def layers_of_any_model(cell: str, wrap: Wrap, share: Share) -> Results:
    """Returns gradients of a model with accelerated layers, accumulated over two batches."""
    torch.manual_seed(1)
    module = wrap(charloom.accelerate(_Classifier(_CELLS[cell])))
    for _ in range(2):
        x = torch.randn(8, 7, 5)
        module(share(x, 0)).square().mean().backward()
    return _gradients(module)


def sharded_layers(cell: str, _: Wrap, share: Share) -> Results:
    """Returns gradients of a model whose weights are sharded over the processes and gathered for each call."""
    torch.manual_seed(1)
    module: Any = charloom.accelerate(_Classifier(_CELLS[cell]))
    if distributed.is_initialized():
        mesh = init_device_mesh("cpu", (PROCESSES,))
        for part in (module.layer, module):
            fully_shard(part, mesh=mesh)
    module(share(torch.randn(8, 7, 5), 0)).square().mean().backward()
    return {name: getattr(g, "full_tensor", lambda g=g: g)() for name, g in _gradients(module).items()}


def whole_step(cell: str, wrap: Wrap, share: Share) -> Results:
    """Returns weights after three clipped training steps that carry the state; one weight is frozen."""
    model = _model(cell, None if cell == "gru" else 16)
    model.get_parameter("layer.bias_hh_l1").requires_grad_(False)
    module = wrap(_Loss(model))
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 1.0)
    state: Any = None
    for _ in range(3):
        optimizer.zero_grad()
        loss, state = module(*_text(share), state)
        loss.backward()
        clip_gradients(list(module.parameters()), 0.5)
        optimizer.step()
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def whole_step_without_autograd(cell: str, _: Wrap, share: Share) -> Results:
    """Calls ``backpropagate`` in each process, and averages the gradients by hand."""
    model = _model(cell)
    model.backpropagate(*_text(share))
    gradients = _gradients(model)
    if distributed.is_initialized():
        for gradient in gradients.values():
            distributed.all_reduce(gradient)
            gradient /= PROCESSES
    return gradients


WORK: dict[str, Callable[[str, Wrap, Share], Results]] = {
    "layers": layers_of_any_model,
    "sharded layers": sharded_layers,
    "step": whole_step,
    "backpropagate": whole_step_without_autograd,
}


def alone() -> dict[tuple[str, str], Results]:
    """Does all the work in this process on whole batches."""
    return {
        (name, cell): run(cell, lambda module: module, lambda whole, _: whole)
        for name, run in WORK.items()
        for cell in _CELLS
    }


def run_process(rank: int, folder: str) -> None:
    """Does all the work on the process' share; the first one writes the results, which are the same in all."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # otherwise gloo asks the network for this machine's name
    meeting = (Path(folder) / "meeting").as_uri()
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=PROCESSES)

    def share(tensor: Tensor, dimension: int) -> Tensor:
        return tensor.chunk(PROCESSES, dimension)[rank]

    def wrap(module: nn.Module) -> Any:
        return DistributedDataParallel(module, find_unused_parameters=isinstance(module, _Classifier))

    results = {(name, cell): run(cell, wrap, share) for name, run in WORK.items() for cell in _CELLS}
    results["refused", ""] = {"refused": torch.tensor(_is_refused())}
    torch.save(results, Path(folder) / f"results-{rank}")
    distributed.destroy_process_group()


def _is_refused() -> bool:
    """Returns True if ``backpropagate`` raises an error when DistributedDataParallel would not see its gradients."""

    class Wrong(_Loss):
        def forward(self, ids: Tensor, targets: Tensor, state: Any) -> Any:
            return self.model.backpropagate(ids, targets, state)

    module = DistributedDataParallel(Wrong(_model("gru")))
    try:
        module(*_text(lambda t, _: t), None)
    except charloom.InputError as error:
        return "DistributedDataParallel" in str(error)
    return False
