"""The ``charloom`` command with an engine that needs no model, as a program with the command's arguments."""

from pathlib import Path

from charloom.__main__ import main
from charloom_codec.engines.engine import Engine
from charloom_codec.format import opening
from fake_engines import ZlibEngine


def _open_engine(model: Path, *, fast: bool, **_: object) -> Engine:
    return ZlibEngine("fast" if fast else "mixing", start=model.name.encode())


if __name__ == "__main__":
    opening.open_engine = _open_engine  # type: ignore[assignment]
    main()
