"""Writing of exported files."""

from pathlib import Path

from charloom.errors import CharloomError, InputError, describe_os_error
from charloom_codec.io.atomic import atomic_file


def write_export(path: Path, content: bytes, *, force: bool) -> None:
    """Writes a file atomically.

    Args:
        path: Path of the file.
        content: Its content.
        force: Overwrite an existing file.

    Raises:
        InputError: The file exists, or cannot be written.
    """
    try:
        with atomic_file(path, overwrite=force) as file:
            file.write(content)
    except CharloomError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be written ({describe_os_error(error)})") from error
