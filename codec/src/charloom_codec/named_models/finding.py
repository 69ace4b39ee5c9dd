"""The folders of models that are part of the package."""

from collections.abc import Mapping
from pathlib import Path

NAMED_MODELS: Mapping[str, tuple[str, ...]] = {"english": ("english-1",)}
"""Folders by name, the current version first. Earlier versions are for decompression: a file names its model by a
fingerprint, so that a folder that was published must never change."""


def find_versions(model: str | Path, packaged: Path = Path(__file__).parent) -> list[Path]:
    """Returns the folders of a model, the current version first: that at the path or, by name, those of the package.

    Args:
        model: Path of a folder, which takes precedence if it exists, or the name of a model, with or without a version.
        packaged: Folder of the package that has the files.
    """
    path = Path(model)
    name = str(model)
    versions = NAMED_MODELS.get(name, (name,) if name in find_all_names() else ())
    if not versions or path.is_dir():
        return [path]
    return [packaged / version for version in versions]


def find_folder(model: str | Path, packaged: Path = Path(__file__).parent) -> Path:
    """Returns the folder of a model, the current version if it is named; arguments as for ``find_versions``."""
    return find_versions(model, packaged)[0]


def find_all_names() -> list[str]:
    """Returns the names of all versions of all models of the package."""
    return [version for versions in NAMED_MODELS.values() for version in versions]
