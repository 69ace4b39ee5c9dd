"""``charloom push``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from charloom.errors import SettingsError
from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag
from charloom_codec.io.hub import HUB_PREFIX, is_repository


def push(
    model: Path,
    repository: str,
    /,
    *,
    license: str | None = None,  # noqa: A002 - the name of the option
    priming: Annotated[bool | None, Parameter(name="--with-priming", negative="--without-priming")] = None,
    language: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    private: Flag = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: Flag = False,
) -> None:
    """Upload a model to the Hugging Face Hub.

        charloom push mybook USER/mybook --license cc-by-4.0
        charloom generate hf:USER/mybook

    Uploads the weights, the files for compression, the history with its plot, and a model card that states what the
    folder knows of the model; no checkpoints. Requires pip install 'charloom[hub]', and once 'hf auth login'.

    The priming contains the end of the training text, at most 1 MiB: on a terminal, charloom asks whether to upload it.
    Without it, files are compressed a few percent worse, and not to the same bytes as with the folder.

    Parameters
    ----------
    model
        Folder of the model.
    repository
        Name of the repository, USER/NAME, which is created if necessary.
    license
        Identifier of the license, such as mit, apache-2.0, cc-by-4.0 or other. Default: asked for on a terminal.
    priming
        Upload the priming, or not. Default: asked for on a terminal.
    language
        Code of the language of the training text, such as en; repeat the option for several.
    private
        Create a private repository.
    revision
        Branch, which is created if necessary. Default: main.
    message
        Message of the commit.
    dry_run
        Print the files and their sizes, and the model card; upload nothing.
    """
    from charloom.hub.upload import check_metadata, prepare_upload

    if not is_repository(repository.removeprefix(HUB_PREFIX)):
        raise SettingsError(f"the repository is {repository!r}: it must be USER/NAME")
    if license is None:
        license = _ask(  # noqa: A001
            "License of the model (such as mit, apache-2.0, cc-by-4.0, other): ", "--license is missing: pass one"
        )
    check_metadata(license, language)
    if priming is None and (size := _measure_priming(model)):
        answer = _ask(
            f"The priming contains the end of the training text ({size:,} bytes), which everyone who can read the "
            "repository could read. Upload it? [y/N] ",
            f"the priming contains the end of the training text ({size:,} bytes): pass --with-priming to upload it, or "
            "--without-priming",
        )
        priming = answer.lower() in ("y", "yes")
    upload = prepare_upload(model, repository, license=license, include_priming=priming, language=language)
    if dry_run:
        rows = [(name, f"{len(content):,} bytes") for name, content in sorted(upload.files.items())]
        screen.show_table(screen.results(), ("", ""), rows)
        screen.results().print(f"\n{screen.printable(upload.files['README.md'].decode())}", end="")
        return
    address = upload.send(private=private, revision=revision, message=message)
    screen.log().print(f"Uploaded to hf:{upload.repository}: {screen.printable(address)}")


def _measure_priming(model: Path) -> int:
    """Returns the length in bytes of the text in the priming; 0 if there is none."""
    from charloom_codec.model.priming import Priming
    from charloom_codec.named_models.finding import find_folder

    return len(Priming.load(find_folder(model)).text)


def _ask(question: str, problem: str) -> str:
    """Returns the answer to a question on the terminal. Raises SettingsError if there is no terminal or no answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(problem)
    screen.messages().print(question, end="")
    if not (line := sys.stdin.readline()):
        raise SettingsError(problem)
    return line.strip()
