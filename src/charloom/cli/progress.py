"""A progress bar for the library's callbacks, in a notebook or on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from charloom.io import markup
from charloom_codec.arguments import check_type
from charloom_codec.cli import screen

_REFRESHES_PER_SECOND = 4
"""Redraws of the bar; each reads the loss, which waits for a GPU."""


def show_progress(description: str = "progress") -> AbstractContextManager[Callable[..., None]]:
    """Shows a progress bar during a ``with`` statement, in the cell of a notebook or on a terminal.

    The bar of a notebook stays after its end; that of a terminal is removed. Other outputs, such as files, show no bar.

    Args:
        description: Text before the bar.

    Returns:
        A context manager. Its value is a function to pass as ``progress``, or as one of the ``listeners`` of ``train``
        and ``sweep``.

    Raises:
        InputError: The description is not a str.
    """
    check_type(str, description=description)
    return _show_progress(description)


@contextmanager
def _show_progress(description: str) -> Iterator[Callable[..., None]]:
    cell = _open_cell(description)
    if cell is not None:
        yield _Reporter(lambda share, figures: cell.update(_CellBar(description, share, figures)))
        return
    with screen.work_progress(screen.messages(), "{task.description}", figures=True) as bar:
        task = bar.add_task(screen.printable(description), total=None, figures="")

        def show(share: float | None, figures: str) -> None:
            bar.update(task, completed=share or 0.0, total=None if share is None else 1.0, figures=figures)

        yield _Reporter(show)


class _Reporter:
    """A callback that accepts the arguments of every callback of the library, and shows some of the calls."""

    def __init__(self, show: Callable[[float | None, str], None]) -> None:
        self._show = show
        self._shown_at = float("-inf")

    def __call__(self, *progress: Any) -> None:
        """Shows an event of a training or a sweep, a share, or an amount and its total."""
        # Imported here: these modules import PyTorch, which every caller has imported already.
        from charloom.inference.surprisal import perplexity_of
        from charloom.sweeps.events import SweepProgressed
        from charloom.training.events import StepEnded

        first, *total = progress
        share: float | None
        if total:
            share = first / total[0] if total[0] else None
        elif isinstance(first, StepEnded):
            share = first.run_fraction
        elif isinstance(first, SweepProgressed):
            share = first.fraction
        elif isinstance(first, int | float):
            share = float(first)
        else:
            return  # other events do not advance the whole
        now = time.monotonic()
        # The end is shown in any case.
        if now - self._shown_at >= 1 / _REFRESHES_PER_SECOND or (share is not None and share >= 1):
            self._shown_at = now
            if isinstance(first, StepEnded):
                figures = f"epoch {first.epoch}, perplexity {perplexity_of(float(first.mean_loss)):.2f}"
            else:
                figures = f"{first:,}" if share is None else ""
            self._show(share, figures)


class _CellBar:
    """The bar in a notebook's cell."""

    def __init__(self, description: str, share: float | None, figures: str) -> None:
        self._text = " ".join(filter(None, ["" if share is None else f"{share:.0%}", figures]))
        self._description = description
        # Without a value, a browser shows that work is in progress.
        self._value = "" if share is None else f' value="{share:.4f}"'

    def __repr__(self) -> str:
        return f"{self._description}: {self._text}"

    def _repr_html_(self) -> str:
        bar = markup.Markup(f'<progress max="1"{self._value} style="width:20em;margin:0 0.6em"></progress>')
        return markup.join(markup.as_markup(self._description), bar, markup.as_markup(self._text))


def _open_cell(description: str) -> Any:
    """Returns a handle of an output that can be replaced; None outside of a notebook."""
    # A notebook has imported IPython; a terminal need not.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    # The shell of a terminal has no kernel, and shows the text of a display only.
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display(_CellBar(description, None, ""), display_id=True)
