"""The folders of models that are named: those that are part of the package, and those on the Hub."""

from collections.abc import Mapping
from pathlib import Path

from charloom_codec.io.hub import download_snapshot, is_hub_name

NAMED_MODELS: Mapping[str, tuple[str, ...]] = {"english": ("english-1",)}
"""Folders by name, the current version first. Earlier versions are for decompression: a file names its model by a
fingerprint, so that a folder that was published must never change."""

_FILES = ("config.json", "codec.safetensors")
"""Files by which a folder is a model: one of the same name that has none, such as a folder of texts, hides nothing."""
HUB_FILES = (*_FILES, "model.safetensors", "priming.safetensors", "history.jsonl", "history.png", "README.md")
"""Files of a model on the Hub. No other file of its repository is uploaded or downloaded."""
_FINGERPRINTS: Mapping[str, tuple[str, ...]] = {
    "english-1": (
        "b5a1ff5f04e9badd",
        *("340a2870b4006b74", "90f4ec91d7fa707e"),
        *("88cff0275dfd51dc", "5968020bf894dd91"),
        *("c9a5d73379c8539c", "578173fdc0871257"),
    ),
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
    """Returns the folder of a model: that at the path or, by name, of the package or of a snapshot from the Hub.

    Args:
        model: Path of a model folder, which takes precedence; the name of a model of the package, with or without a
            version, by default the current one; or ``hf:USER/NAME[@REVISION]``, which is downloaded if necessary.
        packaged: Folder of the package that has the files.

    Raises:
        ModelFolderError: A model on the Hub is not available, or its name is malformed.
    """
    path, (version, *_) = Path(model), NAMED_MODELS.get(str(model), (str(model),))
    is_packaged = version in find_all_names()
    if not (is_packaged or is_hub_name(model)) or any((path / file).exists() for file in _FILES):
        return path
    return packaged / version if is_packaged else download_snapshot(model, _FILES[0], HUB_FILES)


def find_all_names() -> list[str]:
    """Returns the names of all versions of all models of the package."""
    return [version for versions in NAMED_MODELS.values() for version in versions]
