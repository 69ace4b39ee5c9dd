"""The folders of models that are part of the package."""

from collections.abc import Mapping
from pathlib import Path

NAMED_MODELS: Mapping[str, tuple[str, ...]] = {"english": ("english-1",)}
"""Folders by name, the current version first. Earlier versions are for decompression: a file names its model by a
fingerprint, so that a folder that was published must never change."""

_FILES = ("config.json", "codec.safetensors")
"""Files by which a folder is a model: one of the same name that has none, such as a folder of texts, hides nothing."""
_FINGERPRINTS: Mapping[str, tuple[str, ...]] = {
    "english-1": ("b5a1ff5f04e9badd", "88cff0275dfd51dc", "5968020bf894dd91", "c9a5d73379c8539c", "578173fdc0871257"),
}
"""First 8 bytes of the fingerprints of a folder's engines, by folder: fast; and each version of the mixture, with and
without the priming. With this list, no folder is read for a file of another model."""


def find_compressor(fingerprint: bytes, packaged: Path = Path(__file__).parent) -> Path | None:
    """Returns the folder of the package whose model compressed a file; None if it was another model.

    Args:
        fingerprint: First 8 bytes of the fingerprint of the file's engine.
        packaged: Folder of the package that has the files.
    """
    for name, fingerprints in _FINGERPRINTS.items():
        if fingerprint.hex() in fingerprints:
            return packaged / name
    return None


def find_folder(model: str | Path, packaged: Path = Path(__file__).parent) -> Path:
    """Returns the folder of a model: that at the path or, by name, that of the package, by default the current version.

    Args:
        model: Path of a model folder, which takes precedence, or the name of a model, with or without a version.
        packaged: Folder of the package that has the files.
    """
    path, (version, *_) = Path(model), NAMED_MODELS.get(str(model), (str(model),))
    if version not in find_all_names() or any((path / file).exists() for file in _FILES):
        return path
    return packaged / version


def find_all_names() -> list[str]:
    """Returns the names of all versions of all models of the package."""
    return [version for versions in NAMED_MODELS.values() for version in versions]
