"""``charloom watch``."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from charloom.cli.interruption import Interruption
from charloom.errors import SettingsError, pluralize
from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag, Word
from charloom_codec.io.standard_streams import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.inference.watch_state import WatchState
    from charloom.inference.watching import LineScorer, RepeatFilter, ScoredLine
    from charloom.text.log_reader import LogReader

_FOUND_STATUS = 3
"""Exit status if at least one line was unusual."""
_SAVE_SECONDS = 60.0
_ALERTS_PER = 1000
_MAX_ALERTS_PER = 1e12
_COMPRESSED = (".gz", ".xz", ".zst", ".bz2")


def watch(
    model: Path,
    /,
    *files: Word[str],
    alerts_per: float | None = None,
    bits: float | None = None,
    repeats: Flag = False,
    as_json: Annotated[Flag, Parameter(name="--json")] = False,
    state: Path | None = None,
    from_start: Flag = False,
    no_follow: Flag = False,
) -> int:
    """Print the unusual lines of a log as they are written.

    Each line is scored by the predictor of `charloom compress`, as with `charloom evaluate --adaptive`: the network,
    mixed with context models that have read the training text and learn from each line. FILEs are followed through
    rotation and truncation, as `tail -F` does, until Ctrl-C; standard input is read to its end.

    Exit status: 0 if no line was printed, 3 if there was one (also if the reader of a pipe closes it, as head does),
    128 + n after signal n.

    Parameters
    ----------
    model
        Folder of a model that was trained on past lines of the log, or its name on the Hub (hf:USER/NAME).
    files
        Log files; - for standard input, the default. A file may be missing: it is read once it exists.
    alerts_per
        Print the lines that are as unusual as one line in N, measured on lines that were held out from training.
        Default: 1000.
    bits
        Print the lines with at least this number of bits instead.
    repeats
        Print each repetition of a message, too. By default, a message is printed again only if it is more unusual than
        before; two lines have the same message if their words without digits are the same, and the most surprising
        character of the later one is at a place that was unexpected in the earlier one, too.
    as_json
        Print JSON lines, with the positions of what is unexpected in the text.
    state
        File that stores what was learned and how far each FILE was read: at the start, every minute, and at the end.
        If it exists, the watch continues from there.
    from_start
        Read the lines that the FILEs have already, too.
    no_follow
        Read the FILEs from start to end, and exit. With --state, an incomplete last line is left for the next watch.
    """
    _check_options(files, alerts_per, bits)
    results = screen.results()
    if state is not None and state.is_symlink():
        state = state.resolve()  # the lock is that of the file, and a save does not replace the link

    from charloom.text.log_reader import LogReader

    sources = files or (STANDARD_INPUT,)

    def show(source: str, line: "ScoredLine") -> None:
        _print_line(results, source if len(sources) > 1 else "", line, as_json=as_json, by_rarity=bits is None)

    with (
        _open_state(state) as before,
        # Opened before the model is loaded: lines that are written meanwhile are read, too.
        LogReader(
            sources,
            follow=not no_follow,
            from_start=from_start,
            positions=before.positions,
            # The next watch continues before it.
            leave_incomplete=state is not None,
        ) as reader,
    ):
        alerts = _open_model(
            model, before, alerts_per=alerts_per or _ALERTS_PER, bits=bits, with_repeats=repeats, show=show
        )
        screen.messages().print(_describe(sources, alerts))
        for source in sources:
            if source != STANDARD_INPUT and not Path(source).exists():
                screen.messages().print(f"{source}: no such file; it is read once it exists")
        try:
            with _show_progress(no_follow=no_follow) as show_progress:
                status = _follow(reader, alerts, before, state, show_progress)
        except BrokenPipeError:
            # As in all commands, the reader of a pipe may close it; but status 0 means that no line was unusual.
            screen.discard(sys.stdout)
            return _FOUND_STATUS
    screen.messages().print(
        f"{pluralize(alerts.scorer.num_lines, 'line')} read, {alerts.num_shown:,} printed, "
        f"{pluralize(alerts.num_repeated, 'repetition')} not shown"
    )
    return status or (_FOUND_STATUS if alerts.num_shown else 0)


def _check_options(files: Sequence[str], alerts_per: float | None, bits: float | None) -> None:
    # The comparisons are false for NaN.
    if bits is not None and not 0 < bits < math.inf:
        raise SettingsError("it must be a finite number above 0", setting="bits", value=bits)
    if alerts_per is not None and not 1 <= alerts_per <= _MAX_ALERTS_PER:
        raise SettingsError(f"it must be from 1 to {_MAX_ALERTS_PER:g}", setting="alerts_per", value=alerts_per)
    if bits is not None and alerts_per is not None:
        raise SettingsError("--bits and --alerts-per contradict each other: omit one of them")
    for file in files:
        if Path(file).suffix in _COMPRESSED:
            raise SettingsError(
                f"{file}: compressed files are not followed: decompress it to a pipe, and omit the file"
            )


@contextmanager
def _open_state(path: Path | None) -> Iterator["WatchState"]:
    """Reads a state, which no other watch can use until the block ends; an empty one without a file."""
    from charloom.inference.watch_state import WatchState

    if path is None:
        yield WatchState()
        return
    if not path.parent.is_dir():
        raise SettingsError(f"--state {path}: the folder does not exist")
    with WatchState.open_locked(path) as state:
        yield state


def _show_progress(*, no_follow: bool) -> AbstractContextManager[Callable[..., None]]:
    # Lines on the terminal show the progress themselves, and would run into the bar.
    if no_follow and not sys.stdout.isatty():
        return screen.reading_progress("watching")
    return nullcontext(lambda *_: None)


def _follow(
    reader: "LogReader",
    alerts: "_Alerts",
    before: "WatchState",
    state: Path | None,
    show_progress: Callable[..., None],
) -> int:
    """Processes lines until the sources end or a signal arrives, and saves the state; returns the exit status."""
    from charloom.text.log_reader import absolute_path

    # A restart continues from the lines whose alerts were all printed. A watch on other files may have used this state.
    others = {absolute_path(path): place for path, place in before.positions.items() if Path(path).exists()}
    done = replace(before, score=alerts.score, positions=others | reader.positions)
    if state is not None:  # if the process is killed soon, the next one does not skip what is written meanwhile
        replace(done, reported=alerts.repeated.reported).save(state)
    saved_at = time.monotonic()
    try:
        with Interruption() as interruption:
            while not (interruption.requested or reader.is_at_end):
                lines = reader.read()
                alerts.process(lines)
                show_progress(*reader.num_bytes)
                if state is not None and lines:
                    done = replace(done, recent=alerts.scorer.recent, positions=others | reader.positions)
                if state is not None and time.monotonic() - saved_at > _SAVE_SECONDS:
                    replace(done, reported=alerts.repeated.reported).save(state)
                    saved_at = time.monotonic()
    finally:
        if state is not None:
            replace(done, reported=alerts.repeated.reported).save(state)
    return interruption.exit_status


@dataclass
class _Alerts:
    """Selects the lines to show.

    Attributes:
        scorer: Scorer of the lines.
        repeated: Messages that were shown.
        threshold: Lowest score of a line that is shown.
        score: Name of the score: rarity or bits.
        with_repeats: True to show each repetition of a message.
        show: Function that shows a line of a source.
        num_shown: Number of lines shown.
        num_repeated: Number of lines that were not shown, because their messages were.
    """

    scorer: "LineScorer"
    repeated: "RepeatFilter"
    threshold: float
    score: str
    with_repeats: bool
    show: Callable[[str, "ScoredLine"], None]
    num_shown: int = 0
    num_repeated: int = 0

    def process(self, lines: Sequence[tuple[str, bytes]]) -> None:
        """Scores the next lines, and shows those that are unusual."""
        for (source, _), line in zip(lines, self.scorer.score([data for _, data in lines]), strict=True):
            score = (line.surprisal.rarity or 0.0) if self.score == "rarity" else line.surprisal.bits
            if score < self.threshold:
                continue
            messages = line.find_messages()
            if self.with_repeats or self.repeated.is_new(messages, score):
                self.show(source, line)
                self.num_shown += 1
            else:
                self.num_repeated += 1
            self.repeated.add(messages, score)


def _open_model(
    model: Path,
    before: "WatchState",
    *,
    alerts_per: float,
    bits: float | None,
    with_repeats: bool,
    show: Callable[[str, "ScoredLine"], None],
) -> _Alerts:
    from charloom.inference.watching import LineScorer, RepeatFilter

    scorer = LineScorer(model, recent=before.recent)
    if bits is None and not scorer.knows_rarity:
        raise SettingsError(
            "a threshold needs at least 20 lines that were held out from training: pass --bits, or train the model "
            "with --validation-fraction 0.1"
        )
    score, threshold = ("rarity", math.log10(alerts_per)) if bits is None else ("bits", bits)
    # Bits and rarities cannot be compared: the messages of the other score are reported again.
    repeated = RepeatFilter(before.reported if before.score == score else None)
    return _Alerts(scorer, repeated, threshold, score, with_repeats=with_repeats, show=show)


def _describe(sources: Sequence[str], alerts: _Alerts) -> str:
    names = ", ".join("standard input" if source == STANDARD_INPUT else source for source in sources)
    threshold = alerts.threshold
    shown = f"one in {10**threshold:,.0f} or rarer" if alerts.score == "rarity" else f"of {threshold:g} bits or more"
    return f"watching {names} for lines {shown}"


def _print_line(console: Console, source: str, scored: "ScoredLine", *, as_json: bool, by_rarity: bool) -> None:
    surprisal = scored.surprisal
    line, unexpected = scored.data.rstrip(b"\r\n"), scored.find_unexpected()
    if as_json:
        row = {
            "line": surprisal.number,
            "file": source or None,
            "rarity": surprisal.rarity,
            "bits": surprisal.bits,
            "bits_per_char": surprisal.bits_per_char,
            "bits_per_word": surprisal.bits_per_word,
            "unexpected_bits": surprisal.unexpected_bits,
            "text": _decode(line),
            # Positions of characters, not of bytes.
            "unexpected": [[len(_decode(line[:start])), len(_decode(line[:end]))] for start, end in unexpected],
        }
        sys.stdout.write(json.dumps({name: value for name, value in row.items() if value is not None}) + "\n")
        sys.stdout.flush()
        return
    score = f"rarity {surprisal.rarity or 0:.1f}" if by_rarity else f"{surprisal.bits:.0f} bits"
    text = Text(f"[{score}] {screen.printable(source)}{': ' if source else ''}")
    done = 0
    for start, end in unexpected:
        text.append(screen.printable(_decode(line[done:start])))
        found = screen.printable(_decode(line[start:end]))
        if not found and console.is_terminal:  # the end of the line
            found = r"\n"
        text.append(found, style="bold red" if found.strip() else "on red")  # a space is visible by its background
        done = end
    text.append(screen.printable(_decode(line[done:])))
    console.print(text)


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
