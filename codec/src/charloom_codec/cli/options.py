"""Types of the options and arguments that several commands share."""

from typing import Annotated, TypeAlias, TypeVar

from cyclopts import Group, Parameter

_T = TypeVar("_T")

Word: TypeAlias = Annotated[_T, Parameter(allow_leading_hyphen=True)]
"""A value that may start with a hyphen, such as - for standard input."""
Flag: TypeAlias = Annotated[bool, Parameter(negative="", show_default=False)]
"""A bool that is False by default and has no option --no-..."""
Force: TypeAlias = Annotated[bool, Parameter(name=["--force", "-f"], negative="", show_default=False)]
OutputFile: TypeAlias = Annotated[str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)]
"""An output file; - for standard output."""
OutputFolder: TypeAlias = Annotated[_T, Parameter(name=["--output", "-o"])]
ModelOption: TypeAlias = Annotated[_T, Parameter(name=["--model", "-m"])]
"""Folder of a model, as an option, for commands whose positional arguments are files."""


def settings_parameter(group: str) -> Parameter:
    """Returns the parameter of a settings class, whose fields become options in a group of the help."""
    # Without negative_iterable=(), cyclopts would add an option --empty-prefix.
    return Parameter(name="*", group=Group(group), negative_iterable=(), show_default=_describe_default)


def _describe_default(value: object) -> str | None:
    """Formats a default value for the help; None to show none."""
    # The description of such an option states its default in words.
    return None if value is None or value == () else str(value)
