"""Options and arguments that several commands have: one name and one type for each meaning."""

from typing import Annotated, TypeAlias, TypeVar

from cyclopts import Parameter

_T = TypeVar("_T")

Word: TypeAlias = Annotated[_T, Parameter(allow_leading_hyphen=True)]
"""A text that may begin with a hyphen, such as - for standard input."""
Flag: TypeAlias = Annotated[bool, Parameter(negative="")]
"""Off unless given; it has no --no- form."""
Force: TypeAlias = Annotated[bool, Parameter(name=["--force", "-f"], negative="")]
OutputFile: TypeAlias = Annotated[str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)]
"""A file; - for standard output."""
OutputFolder: TypeAlias = Annotated[_T, Parameter(name=["--output", "-o"])]
ModelOption: TypeAlias = Annotated[_T, Parameter(name=["--model", "-m"])]
"""The model's folder, for commands that take any number of files, or files that need no model."""
