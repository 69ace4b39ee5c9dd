"""Snapshots of repositories on the Hugging Face Hub, in the cache of its client.

Only files of given names are downloaded, and no code in them runs. ``huggingface_hub``, an extra, is imported at first
use.
"""

import contextlib
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charloom_codec.errors import ModelFolderError, describe_os_error

HUB_PREFIX = "hf:"
"""Prefix of the name of a model on the Hub."""
_PART = r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(f"{_PART}/{_PART}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_](?:[\w./+-]{0,200}[A-Za-z0-9_+-])?", re.ASCII)
_MAX_CONFIG_BYTES = 64 * 2**20
_LOG_IN = "log in with 'hf auth login'"


class HubName(NamedTuple):
    """Name of a model on the Hub.

    Attributes:
        repository: Name of the repository, USER/NAME.
        revision: Branch, tag or commit; None for the main branch.
    """

    repository: str
    revision: str | None


def is_hub_name(model: str | Path) -> bool:
    """Returns True if a model is named as on the Hub, with ``hf:``; the name may be malformed."""
    return str(model).startswith(HUB_PREFIX)


def parse_hub_name(model: str | Path) -> HubName:
    """Returns the parts of ``hf:USER/NAME[@REVISION]``. Raises ModelFolderError for a malformed name."""
    # The command line passes a Path, which has other separators on Windows.
    repository, at, revision = Path(model).as_posix().removeprefix(HUB_PREFIX).partition("@")
    if not is_repository(repository) or (at and not (_REVISION.fullmatch(revision) and ".." not in revision)):
        raise ModelFolderError(f"{model}: a model on the Hub is specified as hf:USER/NAME or hf:USER/NAME@REVISION")
    return HubName(repository, revision or None)


def is_repository(name: str) -> bool:
    """Returns True if a name has the form of a repository's, USER/NAME."""
    # The client uses -- as the separator in its cache, and the Hub accepts neither -- nor dots in succession.
    return bool(_REPOSITORY.fullmatch(name)) and "--" not in name and ".." not in name and not name.endswith(".git")


def find_repository(folder: Path) -> str | None:
    """Returns the repository whose snapshot a folder in the client's cache is; None for any other folder."""
    kind, *names = folder.parent.parent.name.split("--")
    is_snapshot = folder.parent.name == "snapshots" and kind == "models" and len(names) == 2
    return "/".join(names) if is_snapshot else None


_downloaded: dict[HubName, Path] = {}
"""Snapshots by name: a name is resolved once in a process, so that all files of a model are of one commit."""


def download_snapshot(model: str | Path, config: str, files: Sequence[str]) -> Path:
    """Returns the folder of a model's snapshot in the cache, after downloading what the cache lacks.

    Without network, the snapshot in the cache is used.

    Args:
        model: Name of the model, ``hf:USER/NAME[@REVISION]``.
        config: Name of the configuration, which is downloaded first. If it is not of a charloom model, the other files,
            which may be large, are not downloaded.
        files: Names of all files to download, if they exist.

    Raises:
        ModelFolderError: The name is malformed, ``huggingface_hub`` is not installed, or the model is not available.
    """
    name = parse_hub_name(model)
    if (known := _downloaded.get(name)) is not None and known.is_dir():
        return known
    with hub_client(str(model), shows_progress=False):
        from huggingface_hub import snapshot_download

        first = Path(snapshot_download(name.repository, revision=name.revision, allow_patterns=[config]))
        _check_config(str(model), first / config)
        # The commit instead of the revision, which may have changed since.
        options: dict[str, Any] = {"revision": first.name, "allow_patterns": list(files)}
        folder = _find_complete(name.repository, options)
    if folder is None:
        with hub_client(str(model)):
            folder = Path(snapshot_download(name.repository, **options))
    _downloaded[name] = folder
    return folder


def _find_complete(repository: str, options: Mapping[str, Any]) -> Path | None:
    """Returns the folder of a snapshot that is completely in the cache; None if there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True, **options))
    except LocalEntryNotFoundError:
        return None


def _check_config(model: str, file: Path) -> None:
    """Raises ModelFolderError if a file is the configuration of another program's model."""
    from charloom_codec.io.tensor_files import open_regular, parse_json

    try:
        with open_regular(file) as stream:
            is_ours = "format_version" in parse_json(stream.read(_MAX_CONFIG_BYTES))
    except FileNotFoundError:
        return  # compression needs no configuration; any other use reports that it is missing
    except (ValueError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise ModelFolderError(f"{model}: not a charloom model; name a repository that 'charloom push' has created")


@contextlib.contextmanager
def hub_client(name: str, *, shows_progress: bool = True) -> Iterator[None]:
    """Prepares calls of ``huggingface_hub``: its errors become a ModelFolderError, and its messages are hidden.

    Args:
        name: Name of the model, for the error.
        shows_progress: Show the client's progress bars, if standard error is a terminal.
    """
    try:
        import logging

        # Imported before the level of its messages is set, which the import sets, too.
        from huggingface_hub import constants
        from huggingface_hub.utils.tqdm import disable_progress_bars

        with contextlib.ExitStack() as until_end:
            logger = logging.getLogger("huggingface_hub")
            until_end.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
            until_end.enter_context(warnings.catch_warnings())
            # Of a full disk before its error, and of the client's use of its network library.
            warnings.filterwarnings("ignore", module="huggingface_hub")
            warnings.simplefilter("ignore", DeprecationWarning)
            is_shown = shows_progress and sys.stderr.isatty()
            if not is_shown and constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
                until_end.enter_context(disable_progress_bars())
            yield
    except ModelFolderError:
        raise
    except ImportError as error:
        if error.name != "huggingface_hub":
            raise
        raise ModelFolderError(
            f"{name}: models on the Hub require huggingface_hub",
            hint="install it with pip install 'charloom[hub]', or without PyTorch 'charloom-codec[hub]'",
        ) from None
    except Exception as error:  # errors of the client, its network library and the file system have no common base
        problem, hint = _describe_hub_error(error)
        raise ModelFolderError(f"{name}: {problem}", hint=hint) from None


def _describe_hub_error(error: Exception) -> tuple[str, str]:
    """Returns what is wrong, and what to do."""
    import httpx2
    from huggingface_hub import errors

    # The client raises a RuntimeError from the error of an upload.
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        return _describe_hub_error(error.__cause__)
    found = {
        errors.GatedRepoError: (
            "access to this repository must be granted by its owner",
            f"request access on the page of the repository, and {_LOG_IN}",
        ),
        errors.RevisionNotFoundError: ("the repository has no such revision", "check the name after @"),
        errors.RepositoryNotFoundError: (
            "no such repository, or a private one",
            f"check the name, or {_LOG_IN}",
        ),
        errors.LocalEntryNotFoundError: (
            "the Hub cannot be reached, and the model is not, or not completely, in the cache",
            "connect to the network, and unset HF_HUB_OFFLINE if it is set",
        ),
        errors.OfflineModeIsEnabled: ("the Hub cannot be reached in the offline mode", "unset HF_HUB_OFFLINE"),
    }
    for kind, description in found.items():
        if isinstance(error, kind):
            return description
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return f"the Hub refused access (status {status})", f"{_LOG_IN}, with a token that has the permission"
        return f"the Hub answered with status {status}", "try again later"
    if isinstance(error, httpx2.HTTPError):
        return f"the connection to the Hub failed ({type(error).__name__})", "try again; complete files are kept"
    if isinstance(error, OSError) and error.strerror:
        remedy = "make space, or set HF_HOME to another folder for the cache"
        return f"the files of the Hub cannot be stored ({describe_os_error(error)})", remedy
    return f"the Hub's client failed ({type(error).__name__}: {error!s:.200})", "try again"
