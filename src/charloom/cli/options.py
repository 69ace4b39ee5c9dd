"""Types of the options and arguments that several commands share."""

from typing import Annotated, TypeAlias, TypeVar

from cyclopts import Parameter

_T = TypeVar("_T")

Word: TypeAlias = Annotated[_T, Parameter(allow_leading_hyphen=True)]
"""A value that may start with a hyphen, such as - for standard input."""
Flag: TypeAlias = Annotated[bool, Parameter(negative="")]
"""A bool that is False by default and has no option --no-..."""
Force: TypeAlias = Annotated[bool, Parameter(name=["--force", "-f"], negative="")]
OutputFile: TypeAlias = Annotated[str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)]
"""An output file; - for standard output."""
OutputFolder: TypeAlias = Annotated[_T, Parameter(name=["--output", "-o"])]
ModelOption: TypeAlias = Annotated[_T, Parameter(name=["--model", "-m"])]
"""Folder of a model, as an option, for commands whose positional arguments are files."""
