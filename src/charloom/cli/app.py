"""The ``charloom`` command: its subcommands."""

import cyclopts

from charloom.cli.cache import cache
from charloom.cli.compress import compress
from charloom.cli.doctor import doctor
from charloom.cli.evaluate import evaluate
from charloom.cli.export import export
from charloom.cli.forecast import forecast
from charloom.cli.generate import generate
from charloom.cli.info import info
from charloom.cli.push import push
from charloom.cli.recipes import recipe_defaults, recipes
from charloom.cli.serve import serve
from charloom.cli.sweep import sweep
from charloom.cli.train import train
from charloom.cli.watch import watch
from charloom_codec.cli.app import COMPRESSION_USAGES, MEMORY_REMEDIES, REQUIRED
from charloom_codec.cli.command_line import CommandLine, check_tokens
from charloom_codec.cli.completion import add_install_completion
from charloom_codec.cli.decompress import decompress
from charloom_codec.version import __version__

HELP = """Train recurrent language models on your own text, on an ordinary CPU.

Train a model, generate text, measure the perplexity of a text, and compress files:

    charloom train --output model
    charloom generate model --prefix "time traveller"
    charloom evaluate model FILE
    charloom compress FILE -m model

Forecast a numeric series with networks of the same recurrent layers:

    charloom forecast FILE.csv --column NAME --horizon 24
"""


_COMMANDS = (
    train,
    sweep,
    generate,
    evaluate,
    watch,
    compress,
    decompress,
    forecast,
    export,
    push,
    serve,
    info,
    doctor,
    recipes,
    cache,
)
_REQUIRED = {**REQUIRED, "--output": "a folder for the results", "--to": "a format"}
"""Values of the required options."""
_LESS_TRAINING = "decrease --hidden-size, --batch-size or --num-steps, or use less text"
_MEMORY_REMEDIES = {
    **dict.fromkeys(("train", "sweep"), _LESS_TRAINING),
    **MEMORY_REMEDIES,
    "forecast": "decrease --num-paths or --horizon",
    "generate": "decrease --num-samples or --num-chars",
}
"""Remedies for a lack of memory by command; each names only options that the command has."""


app = cyclopts.App(
    name="charloom",
    help=HELP,
    help_format="markdown",
    version=__version__,
    group_parameters=cyclopts.Group("Options"),
    suppress_keyboard_interrupt=False,  # run_command_line reports it, with the exit status of the signal
    config=(check_tokens, recipe_defaults),
)
for command in _COMMANDS:
    app.command(command)
# cyclopts would show optional positional arguments as [ARGS...].
for name, usage in {
    "train": "[OPTIONS] [CORPUS...]",
    "sweep": "--output PATH [OPTIONS] [CORPUS...]",
    **COMPRESSION_USAGES,
    "watch": "MODEL [OPTIONS] [FILES...]",
    "serve": "[OPTIONS] MODELS...",
    "info": "[MODEL]",
    "recipes": "[NAME]",
}.items():
    app[name].usage = f"Usage: charloom {name} {usage}"
add_install_completion(app)
app["--help"].help = "Show this help and exit."
app["--version"].help = "Show the version and exit."


COMMAND_LINE = CommandLine(app, _REQUIRED, _MEMORY_REMEDIES)


def run_command_line(arguments: list[str]) -> int:
    """Runs a command and returns its exit status. An error is reported in one line on standard error.

    Returns:
        0 if the command succeeded, 1 if it failed, 2 if an option or an argument is wrong, 3 if ``watch`` printed
        lines, 128 + n if signal n stopped it.
    """
    return COMMAND_LINE.run(arguments)
