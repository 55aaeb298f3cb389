"""The documentation as a site: ``make docs`` writes it to ``build/docs``, to be read from disk or from a server."""

from __future__ import annotations

import sys
from pathlib import Path

import emotion

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside this file

project = "emotion"
author = "the emotion developers"
version = release = emotion.__version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "site_extension",
]
exclude_patterns = ["results/*/report.md"]
nitpicky = True
#: Types of Python and of other packages, whose documentation is not looked up: the build needs no network.
nitpick_ignore_regex = [("py:.*", r"(?!emotion\.).*")]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 4
myst_links_external_new_tab = True

autodoc_mock_imports = ["keras", "tensorflow"]  # seconds, for two docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "emotion"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"  # site_extension.py; MathJax would be loaded from a server
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d5fa8", "color-brand-content": "#1d5fa8"},
    "dark_css_variables": {"color-brand-primary": "#8ab8ee", "color-brand-content": "#8ab8ee"},
}
