"""``charloom cache``."""

import time

from charloom.errors import pluralize
from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag


def cache(*, clear: Flag = False) -> None:
    """List the cached texts.

    The first training run on a text whose token ids take more than 32 MiB writes them to a file in the cache folder;
    later runs read this file instead of the text. A file that has not been used for 60 days is removed when another is
    added. Set the environment variable CHARLOOM_CACHE to use another folder.

    Parameters
    ----------
    clear
        Remove all cached texts.
    """
    # Imported here: importing PyTorch takes seconds, for which "charloom --help" must not wait.
    from charloom.text import encoded_texts
    from charloom.text.named_corpora import cache_folder

    out = screen.results()
    if clear:
        out.print(f"Removed {encoded_texts.clear() / 1e6:,.1f} MB from {cache_folder()}")
        return
    texts = encoded_texts.cached_texts()
    rows = []
    for text in texts:
        day = time.strftime("%Y-%m-%d", time.localtime(text.last_used()))
        row = f"{text.size / 1e6:,.1f}", f"{text.encoded.num_ids:,}", text.encoded.unit, day, text.name
        rows.append([*map(screen.printable, row)])  # a file name may contain control characters
    # Without rows, the table would be a line of headings.
    if texts:
        screen.show_table(out, ("MB", "tokens", "unit", "last used", "text"), rows, texts=(2, 3, 4))
    out.print(
        f"{pluralize(len(texts), 'cached text')}, {sum(text.size for text in texts) / 1e6:,.1f} MB in {cache_folder()}"
    )
