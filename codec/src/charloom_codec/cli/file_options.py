"""The options of ``compress`` and ``decompress``, and the input files that they select."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from charloom_codec.cli.options import Flag, OutputFile
from charloom_codec.errors import CharloomWarning, SettingsError
from charloom_codec.io.standard_streams import STANDARD_INPUT

SUFFIX = ".loom"


@dataclass(frozen=True)
class FileOptions:
    """Options of ``compress`` and ``decompress``.

    Attributes:
        output: Output file, for a single input file; - for standard output.
        stdout: Write to standard output, and keep the input files.
        keep: Keep the input files. This is the default; the option exists for scripts written for other compressors.
        remove: Delete each input file after its output is complete.
        recursive: Process the files in folders, too.
        suffix: Suffix of compressed files.
        test: Verify compressed files by decompressing them; nothing is written.
        list_files: List compressed files with their sizes, mode and model; nothing is decompressed.
        quiet: Show neither progress nor warnings.
        verbose: Show the sizes of each file.
        threads: Number of threads, each of which needs its own memory. The output does not depend on this number.
            Default: 2, or 1 if only one core is available.
    """

    output: OutputFile = None
    stdout: Annotated[Flag, Parameter(name=["--stdout", "-c"])] = False
    keep: Annotated[Flag, Parameter(name=["--keep", "-k"])] = False
    remove: Annotated[Flag, Parameter(name=["--remove", "--rm"])] = False
    recursive: Annotated[Flag, Parameter(name=["--recursive", "-r"])] = False
    suffix: Annotated[str, Parameter(name=["--suffix", "-S"])] = SUFFIX
    test: Annotated[Flag, Parameter(name=["--test", "-t"])] = False
    list_files: Annotated[Flag, Parameter(name=["--list", "-l"])] = False
    quiet: Annotated[Flag, Parameter(name=["--quiet", "-q"])] = False
    verbose: Annotated[Flag, Parameter(name=["--verbose", "-v"])] = False
    threads: Annotated[int | None, Parameter(name=["--threads", "-T"])] = None

    def check(self, files: Sequence[str]) -> None:
        """Raises SettingsError if options contradict each other or the number of files."""
        if self.output is not None and len(files) > 1:
            raise SettingsError(
                f"--output names a single file, but there are {len(files)} input files: pass a single input file, or "
                "omit --output"
            )
        if self.output == "":
            raise SettingsError("--output is empty: pass a file name, or - for standard output")
        if self.remove and (self.stdout or self.output == STANDARD_INPUT):
            raise SettingsError("--remove requires an output file: omit --remove, or choose a file with --output")
        contradictions = {
            "--keep and --remove": self.keep and self.remove,
            "--output and --stdout": self.output is not None and self.stdout,
            "--output and --recursive": self.output is not None and self.recursive,
            "--test and --list": self.test and self.list_files,
            "--quiet and --verbose": self.quiet and self.verbose,
        }
        for options, is_present in contradictions.items():
            if is_present:
                raise SettingsError(f"{options} contradict each other: omit one of them")
        for option, is_set in {"--test": self.test, "--list": self.list_files}.items():
            if is_set and (self.remove or self.stdout or self.output is not None):
                raise SettingsError(f"{option} writes no file: omit --output, --stdout and --remove")
        # A suffix with a folder would write elsewhere; without a suffix, a file would be its own output.
        if not self.suffix or os.sep in self.suffix:
            raise SettingsError("--suffix must be a part of a file name, such as .loom")

    def apply(self) -> None:
        """Applies ``quiet`` to warnings, for the rest of the command."""
        if self.quiet:
            warnings.simplefilter("ignore", CharloomWarning)

    def select(self, files: Sequence[str], *, compressed: bool) -> list[str]:
        """Returns the input files: those of the command line, or standard input; with ``recursive``, those in folders.

        Args:
            files: Arguments of the command.
            compressed: True to select the compressed files of folders, False for all others.

        Raises:
            SettingsError: There are no arguments, and standard input is a terminal.
        """
        if not files:
            # A person who types only the name of the command expects help, not a command that waits.
            if sys.stdin.isatty():
                raise SettingsError("no input file: pass one or more, or - for standard input")
            return [STANDARD_INPUT]
        if not self.recursive:
            return list(files)
        found: list[str] = []
        for file in files:
            found += self._walk(file, compressed=compressed) if Path(file).is_dir() else [file]
        return found

    def _walk(self, folder: str, *, compressed: bool) -> Iterator[str]:
        """Yields the files in a folder and its subfolders in sorted order, without links and special files."""
        # A link may lead out of the folder, or back into it.
        for path, folders, names in os.walk(folder, onerror=_fail):
            folders.sort()
            for name in sorted(names):
                file = Path(path, name)
                if name.endswith(self.suffix) == compressed and file.is_file() and not file.is_symlink():
                    yield str(file)

    def remove_suffix(self, file: str) -> str | None:
        """Returns the name of the original; None if the name of the file lacks the suffix."""
        # A file named .loom would leave an empty name.
        if not file.endswith(self.suffix) or Path(file).name == self.suffix:
            return None
        return file.removesuffix(self.suffix)


def _fail(error: OSError) -> None:
    """Raises the error of a folder that cannot be listed: its files must not be left out unnoticed."""
    raise error
