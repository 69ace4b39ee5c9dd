"""Checks of output files, made before the computation so that a wrong name does not cost minutes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from charloom.errors import SettingsError
from charloom.io.plots import PictureFormat
from charloom_codec.io.standard_streams import STANDARD_INPUT


def picture_format(plot: Path) -> PictureFormat:
    """Returns the format of a picture from its file name. Raises SettingsError for an unsupported format."""
    *others, last = known = get_args(PictureFormat)
    if (ending := plot.suffix.lower().removeprefix(".")) not in known:
        raise SettingsError(f"--plot {plot}: the file name must end in .{', .'.join(others)} or .{last}")
    return cast(PictureFormat, ending)


def check_targets(
    file: str, targets: Sequence[tuple[str, Path]], folder: tuple[str, Path] | None = None, *, force: bool
) -> None:
    """Raises SettingsError if an output cannot be written, or would overwrite another output or the input.

    Args:
        file: Input file; ``-`` for standard input.
        targets: Output files, each with its option.
        folder: Output folder with its option.
        force: Allow existing outputs.
    """
    # A shell may have redirected standard input from one of the outputs; /dev/stdin resolves to that file.
    read = Path("/dev/stdin" if file == STANDARD_INPUT else file)
    before: list[tuple[str, Path]] = []
    for option, target in [*targets, *([folder] if folder else [])]:
        if _is_same(read, target):
            raise SettingsError(f"{target}: this is the input file; choose another file with {option}")
        for other, taken in before:
            if _is_same(taken, target):
                raise SettingsError(f"{target}: {other} and {option} name the same file; choose two different files")
        before.append((option, target))
        if (option, target) != folder:
            _check_target(option, target, force)
        elif target.exists() and not force:
            raise SettingsError(
                f"{target}: the folder already exists; use --force to overwrite it, or choose another folder with "
                f"{option}"
            )
        elif target.exists() and not target.is_dir():
            raise SettingsError(f"{target}: this is a file; choose a folder with {option}")


def _check_target(option: str, target: Path, force: bool) -> None:
    if target.is_dir():
        raise SettingsError(f"{target}: this is a folder; choose a file with {option}")
    is_present = target.exists() or target.is_symlink()  # exists() is False for a broken link
    if is_present and not force:
        raise SettingsError(
            f"{target}: the file already exists; use --force to overwrite it, or choose another file with {option}"
        )
    if target.exists() and not target.is_file():  # an atomic write would replace /dev/null with a file
        raise SettingsError(f"{target}: not a regular file; choose another file with {option}")
    if not target.parent.is_dir():
        raise SettingsError(f"{target.parent}: no such folder; create it, or choose another file with {option}")
    if not os.access(target.parent, os.W_OK):
        raise SettingsError(f"{target.parent}: the folder is not writable; choose another file with {option}")


def _is_same(one: Path, other: Path) -> bool:
    """Returns True if both paths are, or would become, the same file."""
    try:
        # Compares the files, not the names: a link, or another spelling of a path, may name the same one.
        return one.samefile(other)
    except OSError:  # one does not exist yet
        return one.resolve() == other.resolve()
