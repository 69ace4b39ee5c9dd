"""Files that are written whole or not at all."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path


def write_whole(contents: dict[Path, bytes], *, remove: Sequence[Path] = ()) -> None:
    """Writes files so that no reader, and no crash, meets half of one: all are complete before any is put in place.

    remove: Files that belong to what is replaced, and go when the new ones are complete.
    """
    temporaries = {target: target.with_name(f".{target.name}.{secrets.token_hex(4)}") for target in contents}
    try:
        for target, data in contents.items():
            with temporaries[target].open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for old in remove:
            old.unlink(missing_ok=True)
        for target in contents:
            temporaries[target].replace(target)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
