"""Settings of Sphinx for the documentation: see build.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bprop
from docstrings import to_restructured_text

project = "bprop"
author = "the authors of bprop"
version = release = bprop.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # a page may begin a level deeper
default_role = "py:obj"  # `Linear` in a docstring is a link
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries = False
viewcode_line_numbers = True
exclude_patterns: list[str] = []

html_theme = "pydata_sphinx_theme"
html_title = f"bprop {release}"
html_static_path = [str(Path(__file__).parent / "style")]
html_css_files = ["bprop.css"]
html_js_files = ["search.js"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": [], "changelog": [], "**": ["sidebar-nav-bs"]}
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "navigation_with_keys": True,
    "show_toc_level": 2,
    "show_nav_level": 1,
    "navigation_depth": 2,
    "collapse_navigation": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}


def setup(app):
    app.connect("autodoc-process-docstring", to_restructured_text)
