"""Gradients of DistributedDataParallel in two real processes equal those of one process on the whole batch."""

import warnings

import pytest
import torch
from torch.multiprocessing.spawn import start_processes

import data_parallel

_Results = dict[tuple[str, str], data_parallel.Results]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[_Results]:
    folder = tmp_path_factory.mktemp("processes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in the children they are no errors, and later Pythons warn of the fork
        # Forked, as a new process takes seconds to import PyTorch.
        start_processes(  # type: ignore[no-untyped-call]
            data_parallel.run_process, (str(folder),), data_parallel.PROCESSES, start_method="fork"
        )
    return [torch.load(folder / f"results-{rank}") for rank in range(data_parallel.PROCESSES)]


@pytest.fixture(scope="module")
def expected() -> _Results:
    return data_parallel.alone()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("work", list(data_parallel.WORK))
def test_equals_one_process(work: str, cell: str, results: list[_Results], expected: _Results) -> None:
    wanted = expected[work, cell]
    assert wanted
    for found in results:
        assert found[work, cell].keys() == wanted.keys()
        for name, tensor in found[work, cell].items():
            torch.testing.assert_close(tensor, wanted[name], rtol=1e-5, atol=1e-6)


def test_gradients_that_would_not_be_reduced_are_refused(results: list[_Results]) -> None:
    assert all(found["refused", ""]["refused"] for found in results)
