"""Sphinx configuration of the site: Markdown pages, and a reference from docstrings. Built by scripts/docs."""

import charloom
from charloom.cli.app import app

project = "charloom"
author = "the charloom authors"
copyright = "2026, the charloom authors"
version = release = charloom.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "cyclopts.ext.sphinx",
]
# The extension replaces the first word, "Usage:", with "charloom" and the name of the command.
for name in app:
    if usage := app[name].usage:
        app[name].usage = usage.replace(f" charloom {name}", "")

exclude_patterns = ["requirements.txt"]

nb_execution_mode = "off"  # scripts/pages executes the notebook; the site shows its saved outputs
nb_merge_streams = True
myst_heading_anchors = 3
highlight_language = "sh"
smartquotes = False  # they would turn the two dashes of an option into one

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "charloom"
html_static_path = ["static"]
html_favicon = "static/favicon.svg"
html_css_files = ["site.css"]
html_show_sphinx = False
# No page links to the indices; the site has a search.
html_use_index = html_domain_indices = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b4f8a", "color-brand-content": "#0b4f8a"},
    "dark_css_variables": {"color-brand-primary": "#6fb1ea", "color-brand-content": "#6fb1ea"},
}
copybutton_prompt_text = "$ "
