"""Where results go: what is refused before minutes are spent on them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from charloom.errors import SettingsError
from charloom.io.plots import PictureFormat
from charloom.text.sources import STANDARD_INPUT


def picture_format(plot: Path) -> PictureFormat:
    """The format that a picture's name asks for. Raises SettingsError for one that cannot be drawn."""
    *others, last = known = get_args(PictureFormat)
    if (ending := plot.suffix.lower().removeprefix(".")) not in known:
        raise SettingsError(f"--plot {plot}: its name must end in .{', .'.join(others)} or .{last}")
    return cast(PictureFormat, ending)


def check_targets(
    file: str, targets: Sequence[tuple[str, Path]], folder: tuple[str, Path] | None = None, *, force: bool
) -> None:
    """Raises SettingsError if a result cannot go to its place, or would overwrite another, or the input ``file``."""
    read = Path("/dev/stdin" if file == STANDARD_INPUT else file)
    before: list[tuple[str, Path]] = []
    for option, target in [*targets, *([folder] if folder else [])]:
        if _is_same(read, target):
            raise SettingsError(f"{target}: the input is the output; name another file with {option}")
        for other, taken in before:
            if _is_same(taken, target):
                raise SettingsError(f"{target}: {other} and {option} name the same file; name two")
        before.append((option, target))
        if (option, target) != folder:
            _check_target(option, target, force)
        elif target.exists() and not force:
            raise SettingsError(f"{target}: there already; --force overwrites it, another name keeps it")
        elif target.exists() and not target.is_dir():
            raise SettingsError(f"{target}: a file; name a folder with {option}")


def _check_target(option: str, target: Path, force: bool) -> None:
    if target.is_dir():
        raise SettingsError(f"{target}: a folder; name a file")
    there = target.exists() or target.is_symlink()
    if there and not force:
        raise SettingsError(f"{target}: there is a file already; --force overwrites it, another name keeps it")
    if target.exists() and not target.is_file():  # a file would take the place of /dev/null
        raise SettingsError(f"{target}: not a file that can be replaced; name another with {option}")
    if not target.parent.is_dir():
        raise SettingsError(f"{target.parent}: no such folder; make it first, or name another place")
    if not os.access(target.parent, os.W_OK):
        raise SettingsError(f"{target.parent}: cannot be written to; name another place with {option}")


def _is_same(one: Path, other: Path) -> bool:
    """Tells if both names are one file's, or will be."""
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()
