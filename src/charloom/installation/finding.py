"""The result of a check of the installation."""

from typing import Literal, NamedTuple, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """The result of a check.

    Attributes:
        status: ``ok``; ``warning`` if charloom works, but is slower or larger than necessary; ``problem`` if a part of
            it does not work, or computes wrong results.
        subject: Subject of the check, in one or two words.
        text: Facts that were found, in one line.
        remedy: Instructions that correct a warning or a problem; empty for ``ok``, and if the text contains them.
    """

    status: Status
    subject: str
    text: str
    remedy: str = ""
