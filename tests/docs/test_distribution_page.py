"""The cluster examples of docs/how-to/distribution.md, with stand-ins for the commands of a cluster."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from charloom import LanguageModel
from process import PATIENCE, environment

_PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "distribution.md").read_text(encoding="utf-8")
_STAND_INS = {"scontrol": "echo localhost", "srun": 'exec "$@"'}


def _block(kind: str, word: str) -> str:
    """Returns the page's only block of a kind that contains a word."""
    (found,) = [
        block for block in re.findall(rf"^```{kind}\n(.*?)^```", _PAGE, re.DOTALL | re.MULTILINE) if word in block
    ]
    return str(found)


@pytest.mark.slow
def test_slurm_script_starts_and_resumes_run(tmp_path: Path, text: str) -> None:
    """Runs the script twice on one node with two processors, as for a requeued job."""
    (tmp_path / "job.sh").write_text(_block("sh", "SBATCH"))
    (tmp_path / "mybook.txt").write_text(text)
    for name, line in _STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_NNODES": "1", "SLURM_CPUS_PER_TASK": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "localhost"}
    variables = environment(tmp_path, GLOO_SOCKET_IFNAME="lo", **slurm)
    variables["PATH"] = f"{tmp_path}:{Path(sys.executable).parent}:{variables['PATH']}"
    outputs = [
        subprocess.run(
            ["bash", "job.sh"],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert "2 processes" in outputs[0]
    assert "Nothing to do: the run ended after 20 epochs" in outputs[1]
    assert LanguageModel.load(tmp_path / "mybook").vocabulary


def test_kubernetes_job_is_valid_yaml_with_charloom_command() -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load(_block("yaml", "PyTorchJob"))
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert replicas["Worker"]["replicas"] == 3
    for replica in replicas.values():
        (container,) = replica["template"]["spec"]["containers"]
        assert container["command"][:2] == ["charloom", "train"]
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert all(word.startswith("/data") for word in container["command"] if word.startswith("/"))
        assert mounts == ["/data"]
