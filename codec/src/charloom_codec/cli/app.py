"""The ``charloom-codec`` command: its subcommands."""

import cyclopts

from charloom_codec.cli.command_line import CommandLine, check_tokens
from charloom_codec.cli.completion import add_install_completion
from charloom_codec.cli.compress import compress
from charloom_codec.cli.decompress import decompress
from charloom_codec.version import __version__

HELP = """Compress files with a language model; the same model decompresses them on any machine.

    charloom-codec compress FILE -m model
    charloom-codec decompress FILE.loom -m model

`charloom`, which contains these commands, trains models.
"""
COMPRESSION_USAGES = {"compress": "--model PATH [OPTIONS] FILES...", "decompress": "[OPTIONS] FILES..."}
"""Usages of the commands, without the name of the program."""
REQUIRED = {"--model": "the folder of a model"}
"""Values of the required options."""
MEMORY_REMEDIES = {
    "compress": "use a smaller input or fewer threads",
    "decompress": "use fewer threads with --threads",
}
"""Remedies for a lack of memory by command."""

app = cyclopts.App(
    name="charloom-codec",
    help=HELP,
    help_format="markdown",
    version=__version__,
    group_parameters=cyclopts.Group("Options"),
    suppress_keyboard_interrupt=False,  # CommandLine reports it, with the exit status of the signal
    config=(check_tokens,),
)
for command in (compress, decompress):
    app.command(command)
# cyclopts would show optional positional arguments as [ARGS...].
for name, usage in COMPRESSION_USAGES.items():
    app[name].usage = f"Usage: charloom-codec {name} {usage}"
add_install_completion(app)
app["--help"].help = "Show this help and exit."
app["--version"].help = "Show the version and exit."

COMMAND_LINE = CommandLine(app, REQUIRED, MEMORY_REMEDIES)


def run_command_line(arguments: list[str]) -> int:
    """Runs a command and returns its exit status, as ``CommandLine.run`` does."""
    return COMMAND_LINE.run(arguments)
