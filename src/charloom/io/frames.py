"""Tables as pandas' DataFrames; pandas is imported only when one is made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from charloom.errors import CharloomError

if TYPE_CHECKING:
    from pandas import DataFrame


def make_frame(columns: Mapping[str, Any]) -> "DataFrame":
    """Returns a DataFrame of columns by name, sequences or arrays of one length.

    Raises:
        CharloomError: pandas is not installed.
    """
    try:
        from pandas import DataFrame  # large, and not a dependency
    except ImportError:
        raise CharloomError("a DataFrame requires pandas; install it with pip install pandas") from None
    return DataFrame(dict(columns))
