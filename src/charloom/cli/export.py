"""``charloom export``."""

from pathlib import Path
from typing import Literal, TypeAlias

from charloom.cli.output_files import check_targets
from charloom.errors import SettingsError
from charloom.settings.sampling import GenerationPrecision
from charloom_codec.cli import screen
from charloom_codec.cli.options import Force, OutputFolder

Format: TypeAlias = Literal["html", "onnx"]


def export(
    model: Path,
    /,
    *,
    to: Format,
    output: OutputFolder[Path | None] = None,
    precision: GenerationPrecision | None = None,
    title: str | None = None,
    prefix: str | None = None,
    force: Force = False,
) -> None:
    """Convert a model to a web page, or to the format of other programs.

        charloom export mybook --to html
        charloom export mybook --to onnx

    An HTML file contains the model and a page that generates text with it, shows how surprising a text is, and shows
    what may come next. It works in any browser, without a network and without charloom.

    An ONNX file (opset 14) contains the network, with the state as input and output, and in its metadata the
    vocabulary. onnxruntime runs it from Python, C++, the browser and other languages; the documentation has a program
    for each of these. Requires pip install 'charloom[onnx]'.

    Parameters
    ----------
    model
        Folder of the model, or name of a model of the package or on the Hub (hf:USER/NAME).
    to
        Format of the file.
    output
        The file. Default: the name of the model with the ending .html or .onnx, in the current folder.
    precision
        For HTML, precision of the weights: float32, with the same text as `charloom generate` for the same prompt and
        seed, or int8, for a file of about a quarter of the size and slightly different text. Default: float32.
    title
        For HTML, title of the page. Default: from the name of the training text.
    prefix
        For HTML, prompt that the page starts with, of characters that the model knows. Default: the prefix of the
        training, or a line of its text.
    force
        Overwrite an existing file.
    """
    if to != "html":
        for option, value in (("--precision", precision), ("--title", title), ("--prefix", prefix)):
            if value is not None:
                raise SettingsError(f"{option} has an effect on HTML files only: omit it, or use --to html")
    # Before the model is loaded: importing PyTorch takes seconds, and wrong options are reported before that.
    target = output or Path(f"{model.resolve().name}.{to}")
    check_targets(str(model), [("--output", target)], force=force)
    from charloom.models.language_model import LanguageModel

    loaded = LanguageModel.load(model)
    if to == "html":
        from charloom.export.html import export_html
        from charloom.export.start_prefix import find_start_prefix

        start = find_start_prefix(loaded, model) if prefix is None else prefix
        export_html(loaded, target, precision=precision or "float32", title=title, prefix=start, force=force)
    else:
        from charloom.export.onnx import export_onnx

        export_onnx(loaded, target, force=force)
    screen.log().print(f"Saved {target}")
