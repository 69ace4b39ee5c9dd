"""``charloom cache``."""

import time
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from charloom.cli import screen


def cache(*, clear: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List the long texts that are kept encoded, so that they need not be encoded again.

    A text of more than 32 MiB is encoded to a file in the cache folder when it is first trained on. One that has not
    been used for 60 days goes when another comes. CHARLOOM_CACHE names another folder.

    Parameters
    ----------
    clear
        Remove them all.
    """
    from charloom.text import encoded_texts
    from charloom.text.cache_folder import cache_folder

    out = screen.results()
    if clear:
        out.print(f"{encoded_texts.clear() / 1e6:,.1f} MB removed from {cache_folder()}")
        return
    texts = encoded_texts.cached_texts()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("MB", justify="right")
    table.add_column("tokens", justify="right")
    table.add_column("unit")
    table.add_column("last used")
    table.add_column("text")
    for text in texts:
        day = time.strftime("%Y-%m-%d", time.localtime(text.used()))
        row = f"{text.size / 1e6:,.1f}", f"{text.encoded.num_ids:,}", text.encoded.unit, day, text.name
        table.add_row(*map(screen.printable, row))
    if texts:
        out.print(table)
    out.print(f"{len(texts)} texts, {sum(text.size for text in texts) / 1e6:,.1f} MB in {cache_folder()}")
