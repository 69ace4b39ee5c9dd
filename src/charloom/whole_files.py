"""Files that are written whole or not at all."""

import os
from pathlib import Path


def write_whole(contents: dict[Path, bytes]) -> None:
    """Writes files so that no reader, and no crash, meets half of one: all are complete before any is put in place."""
    temporaries = {target: target.with_name(f".{target.name}.{os.getpid()}") for target in contents}
    try:
        for target, data in contents.items():
            with temporaries[target].open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for target in contents:
            temporaries[target].replace(target)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
