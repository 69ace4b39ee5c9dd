"""``charloom evaluate``: actionable messages, and JSON that any terminal can show."""

import json
from pathlib import Path

import pytest

from process import run

pytestmark = pytest.mark.slow


def test_invalid_standard_input_is_named(char_model: Path, tmp_path: Path) -> None:
    message = run(tmp_path, "evaluate", char_model, "-", stdin=b"the \xff").error()
    assert message.startswith("standard input: ")


def test_json_lines_on_a_terminal_without_unicode(char_model: Path, tmp_path: Path) -> None:
    result = run(
        tmp_path,
        *("evaluate", char_model, "-", "--by-char", "--unknown", "unk"),
        stdin="th\u00e9\u6f22".encode(),
        PYTHONIOENCODING="ascii",
    )
    assert result.status == 0, result
    assert "".join(json.loads(line)["text"] for line in result.out.splitlines()) == "th\u00e9\u6f22"
