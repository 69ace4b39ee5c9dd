"""Execution of the notebook ``docs/lesson.ipynb``, whose outputs are saved in it."""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run_lesson(source: Path, target: Path) -> None:
    """Executes the notebook from top to bottom in a temporary folder. Raises CellExecutionError if a cell fails."""
    notebook = nbformat.read(source, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=600, coalesce_streams=True, resources={"metadata": {"path": folder}})
        client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # timestamps, which would change the file on every run
        cell.pop("execution_count", None)
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if "execution_count" in output:
                    output["execution_count"] = None
    notebook.metadata["language_info"] = {"name": "python"}
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
