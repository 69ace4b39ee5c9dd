"""Files of safetensors and JSON from any source: read completely, or refused at once."""

import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from charloom_codec.io.tensor_files import open_regular, parse_json, read_metadata, read_tensor_file


def _data() -> bytes:
    return safetensors.numpy.save({"a": np.arange(5)}, {"who": "me"})


def test_a_complete_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"12345" + _data())
    data = read_tensor_file(path, 5)
    assert data == _data()
    assert read_metadata(data) == {"who": "me"}
    assert read_metadata(safetensors.numpy.save({"a": np.arange(5)})) == {}


def test_every_other_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    data = _data()
    for wrong in [*(data[:length] for length in range(len(data))), data + b"\0"]:
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"header|does not match|Expecting|JSON|char"):
            read_tensor_file(path)


@pytest.mark.parametrize("header", [b"[]", b"5", b'{"a": 5}', b'{"a": {"data_offsets": []}}', b'{"a": NaN}'])
def test_invalid_headers(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match=r"unexpected header|is not JSON"):
        read_tensor_file(path)


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(path)


def test_json_is_standard_json() -> None:
    assert parse_json(b'{"a": [1, null]}') == {"a": [1, None]}
    for wrong in (b"NaN", b"-Infinity", b"{", b"\xff"):
        with pytest.raises(ValueError):  # noqa: PT011 - json's own messages
            parse_json(wrong)
