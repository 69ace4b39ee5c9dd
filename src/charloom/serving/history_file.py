"""Reading of ``history.jsonl`` while a run writes it: in bounded memory, whatever the file contains."""

import json
from pathlib import Path
from typing import Any

from charloom.errors import pluralize
from charloom.training.history import EpochRecord, History
from charloom_codec.io.tensor_files import open_regular

_MAX_BYTES = 16 << 20
_MAX_RECORDS = 5_000
"""Maximum number of epochs that are drawn: more would be slow, and not visible."""
_MAX_EPOCH = 10**9


def read_history(file: Path) -> tuple[History, str]:
    """Returns the records of a run, and a note of the lines that are not among them.

    Of a long run, every second, third ... epoch is returned, and the best and the last one.

    Args:
        file: The file, which need not exist.
    """
    try:
        with open_regular(file) as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return History(), ""
    except OSError as error:
        return History(), f"{file.name} cannot be read ({error.strerror or error})."
    if len(data) > _MAX_BYTES:
        return History(), f"{file.name} is larger than {_MAX_BYTES >> 20} MiB, and is not shown."
    # After the last line feed, there may be the first part of a line.
    lines = data.split(b"\n")[:-1]
    values = [found for line in lines if (found := _read_line(line)) is not None]
    # Records have a validation perplexity if, and only if, the run has a held-out part; infinity is null.
    validated = any(one.get("validation_perplexity") is not None for one in values)
    history = History()
    for one in values:
        try:
            record = EpochRecord.from_dict(one, validated=validated)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if 1 <= record.epoch <= _MAX_EPOCH:
            history.append(record)
    num_wrong = len(lines) - len(history)
    note = f"{pluralize(num_wrong, 'line')} of {file.name} cannot be read." if num_wrong else ""
    return _thin_out(history), note


def _read_line(line: bytes) -> dict[str, Any] | None:
    try:
        # A perplexity may be NaN, which Python writes.
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _thin_out(history: History) -> History:
    step = -(-len(history) // _MAX_RECORDS)
    if step <= 1:
        return history
    kept = {history[-1].epoch, history.best.epoch if history.best else 0}
    return History(record for place, record in enumerate(history) if place % step == 0 or record.epoch in kept)
