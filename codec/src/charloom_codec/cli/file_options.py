"""The options of ``compress`` and ``decompress``, and the input files that they select."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag, OutputFile
from charloom_codec.errors import CharloomWarning, SettingsError, describe_os_error
from charloom_codec.io.standard_streams import STANDARD_INPUT

SUFFIX = ".loom"
_MODEL_VARIABLE = "CHARLOOM_MODEL"


@dataclass(frozen=True)
class FileOptions:
    """Options of ``compress`` and ``decompress``.

    Attributes:
        decompress: Decompress. The command 'decompress' needs no such option, and accepts it.
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
        threads: Number of threads, each of which needs its own memory; 0 for the number of cores. The output does not
            depend on it. Default: 2, or 1 if only one core is available.
    """

    decompress: Annotated[Flag, Parameter(name=["--decompress", "-d"])] = False
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

    @property
    def num_threads(self) -> int | None:
        """Number of threads; None for the default."""
        return (os.cpu_count() or 1) if self.threads == 0 else self.threads

    def apply(self) -> None:
        """Applies ``quiet`` to warnings, for the rest of the command."""
        if self.quiet:
            warnings.simplefilter("ignore", CharloomWarning)

    def select(self, files: Sequence[str], *, compressed: bool) -> tuple[list[str], int]:
        """Returns the input files, and the exit status so far: 1 if a folder cannot be read, which is reported.

        Args:
            files: Arguments of the command; none for standard input.
            compressed: True to select the compressed files of folders, which have the suffix; False for all others.

        Raises:
            SettingsError: There are no arguments, and standard input is a terminal.
        """
        if not files:
            # A person who types only the name of the command expects help, not a command that waits.
            if sys.stdin.isatty():
                raise SettingsError("no input file: pass one or more, or - for standard input")
            return [STANDARD_INPUT], 0
        found: list[str] = []
        failed: list[OSError] = []
        for file in files:
            in_folder = self.recursive and Path(file).is_dir()
            found += self._walk(file, failed, compressed=compressed) if in_folder else [file]
        for error in failed:
            screen.show_error(f"{error.filename}: {describe_os_error(error)}")
        return found, int(bool(failed))

    def _walk(self, folder: str, failed: list[OSError], *, compressed: bool) -> Iterator[str]:
        """Yields the files in a folder and its subfolders in sorted order, without links and special files."""
        # A link may lead out of the folder, or back into it.
        for path, folders, names in os.walk(folder, onerror=failed.append):
            folders.sort()
            for name in sorted(names):
                # Not pathlib, which drops the "./" of a file that is named "-", as standard input is.
                file = os.path.join(path, name)  # noqa: PTH118
                if Path(file).is_symlink() or not Path(file).is_file():
                    continue
                has_suffix = name.endswith(self.suffix)
                if has_suffix if compressed else not (has_suffix and _is_compressed(file)):
                    yield file

    def remove_suffix(self, file: str) -> str | None:
        """Returns the name of the original; None if the name of the file lacks the suffix."""
        # A file named .loom would leave an empty name.
        if not file.endswith(self.suffix) or Path(file).name == self.suffix:
            return None
        return file.removesuffix(self.suffix)


def _is_compressed(file: str) -> bool:
    """Returns True for a file that charloom compressed, and False if it cannot be read, which is reported later."""
    from charloom_codec.format.container import HEADER_BYTES, is_compressed

    try:
        with Path(file).open("rb") as stream:
            return is_compressed(stream.read(HEADER_BYTES))
    except OSError:
        return False


def find_default_model() -> Path | None:
    """Returns the model that the environment names; None if it names none."""
    name = os.environ.get(_MODEL_VARIABLE)
    return Path(name) if name else None
