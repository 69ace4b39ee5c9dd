"""``charloom cache``."""

import time

from charloom.cli import screen
from charloom.cli.options import Flag


def cache(*, clear: Flag = False) -> None:
    """List the long texts that are kept encoded, so that they need not be encoded again.

    A text of more than 32 MiB is encoded to a file in the cache folder when it is first trained on. One that has not
    been used for 60 days goes when another comes. CHARLOOM_CACHE names another folder.

    Parameters
    ----------
    clear
        Remove them all.
    """
    from charloom.text import encoded_texts
    from charloom.text.named_corpora import cache_folder

    out = screen.results()
    if clear:
        out.print(f"{encoded_texts.clear() / 1e6:,.1f} MB removed from {cache_folder()}")
        return
    texts = encoded_texts.cached_texts()
    rows = []
    for text in texts:
        day = time.strftime("%Y-%m-%d", time.localtime(text.used()))
        row = f"{text.size / 1e6:,.1f}", f"{text.encoded.num_ids:,}", text.encoded.unit, day, text.name
        rows.append([*map(screen.printable, row)])
    if texts:
        screen.show_table(out, ("MB", "tokens", "unit", "last used", "text"), rows, texts=(2, 3, 4))
    out.print(f"{len(texts)} texts, {sum(text.size for text in texts) / 1e6:,.1f} MB in {cache_folder()}")
