"""Where charloom keeps what it can make, or download, again."""

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "CHARLOOM_CACHE"


def cache_folder() -> Path:
    """The folder that CHARLOOM_CACHE names; charloom's in the user's cache folder where it names none."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("charloom"))
