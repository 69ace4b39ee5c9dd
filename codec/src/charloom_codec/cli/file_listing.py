"""The table of ``--list``: sizes, mode and model of compressed files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from charloom_codec.cli import screen
from charloom_codec.cli.compressed_files import describe_file, open_input, report_errors

if TYPE_CHECKING:
    from charloom_codec.listing import Member

_HEADINGS = ("compressed", "original", "ratio", "mode", "records", "model", "check", "name")


def list_files(files: Sequence[str], *, verbose: bool) -> int:
    """Prints a row for each file, and the sums of several files; returns the exit status.

    Args:
        files: Compressed files; ``-`` for standard input.
        verbose: True for a row for each of the files that were joined to one.
    """
    # Imported here: it imports NumPy, for which "charloom --help" must not wait.
    from charloom_codec.listing import list_members

    rows: list[tuple[str, ...]] = []
    listed: list[Member] = []
    status = num_listed = 0
    for file in files:
        with report_errors(file) as outcome, open_input(file) as (stream, _):
            members = list(list_members(stream))
            listed += members
            num_listed += 1
            name = screen.printable_name(describe_file(file))
            rows += [_format_row([member], name) for member in members] if verbose else [_format_row(members, name)]
        status = max(status, outcome.status)
    if num_listed > 1:
        rows.append(_format_row(listed, f"{num_listed:,} files"))
    if rows:
        screen.show_table(screen.results(), _HEADINGS, rows, texts=(3, 5, 6, 7))
    return status


def _format_row(members: Sequence["Member"], name: str) -> tuple[str, ...]:
    """Returns the cells of a row for members together; cells that have no common value are empty."""
    compressed = sum(member.compressed_bytes for member in members)
    originals = [member.original_bytes for member in members]
    records = [member.num_records for member in members if member.num_records is not None]
    original = None if None in originals else sum(number for number in originals if number is not None)
    return (
        f"{compressed:,}",
        "?" if original is None else f"{original:,}",
        f"{original / compressed:.3f}" if original and compressed else "",
        _only({"stored" if member.is_stored else member.mode for member in members}),
        f"{sum(records):,}" if records else "",
        _only({"" if member.is_stored else member.fingerprint.hex() for member in members}),
        f"{members[0].checksum:08x}" if len(members) == 1 else "",
        name,
    )


def _only(values: set[str]) -> str:
    """Returns the only value; an empty string if there are several, or none."""
    return values.pop() if len(values) == 1 else ""
