"""Checks of variables, the cache folder and threads."""

from pathlib import Path

import pytest

from charloom.installation import surroundings
from charloom.installation.surroundings import (
    check_backend,
    check_cache,
    check_threads,
    find_openmp_libraries,
    num_processors,
)
from native import Switch


def test_the_backend(compute_by: Switch) -> None:
    compute_by("auto")
    assert check_backend().status == "ok"
    compute_by("pytorch")
    found = check_backend()
    assert (found.status, found.text) == ("warning", "CHARLOOM_KERNELS=pytorch selects PyTorch's own")
    compute_by("sse9")
    found = check_backend()
    assert found.status == "problem"
    assert "CHARLOOM_KERNELS=sse9: choose one of auto" in found.text


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "of" / "charloom"
    monkeypatch.setenv("CHARLOOM_CACHE", str(folder))
    assert check_cache() == ("ok", "cache", str(folder), "")
    assert list(tmp_path.iterdir()) == []
    folder.parent.write_text("")  # a file: unlike permissions, it stops root too
    found = check_cache()
    assert found.status == "problem"
    assert found.text == f"{folder} cannot be written (not a directory)"
    assert "CHARLOOM_CACHE" in found.remedy


@pytest.mark.parametrize(
    ("threads", "processors", "variable", "status"),
    [(2, 2, None, "ok"), (1, 4, None, "ok"), (8, 2, None, "warning"), (1, 4, "1", "warning"), (4, 4, "4", "ok")],
)
def test_threads(
    threads: int, processors: int, variable: str | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr(surroundings, "num_processors", lambda _: processors)
    monkeypatch.setattr(surroundings, "find_openmp_libraries", lambda _: [])
    found = check_threads()
    assert found.status == status
    assert f"{threads} thread" in found.text
    assert ("OMP_NUM_THREADS=1" in found.remedy) == (variable == "1")


def test_the_quota_of_a_container() -> None:
    everything = num_processors("")
    assert everything >= 1
    assert num_processors("max 100000\n") == everything
    assert num_processors("100000 100000\n") == 1
    assert num_processors("50000 100000\n") == 1
    assert num_processors("99900000 100000\n") == everything


def test_several_openmp_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    own = "7f00-7f01 r-xp 00000000 fe:00 1 /venv/torch/lib/libgomp.so.1\n"
    other = "7f02-7f03 r-xp 00000000 fe:00 2 /venv/charloom.libs/libgomp-a34b3233.so.1.0.0\n"
    intel = "7f04-7f05 r-xp 00000000 fe:00 3 /usr/lib/libiomp5.so\n"
    unrelated = "7f06-7f07 r-xp 00000000 fe:00 4 /usr/lib/libcompat.so.1\n7f08-7f09 rw-p 00000000 00:00 0 [heap]\n"
    assert find_openmp_libraries(own + own + unrelated) == ["/venv/torch/lib/libgomp.so.1"]
    assert len(find_openmp_libraries(own + other + intel)) == 3
    monkeypatch.setattr(surroundings, "find_openmp_libraries", lambda _: ["/a/libgomp.so.1", "/b/libgomp.so.1"])
    assert check_threads().status == "warning"
