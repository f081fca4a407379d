"""`bprop show`: a training step of a model, every number of it, as a page for a browser."""

import argparse
import sys
from pathlib import Path

from .command import (
    OK,
    add_imports_option,
    add_json_option,
    add_overrides_argument,
    add_parser,
    parse_path,
    print_json,
)

DESCRIPTION = """\
Write a page that shows a training step of a model on one sample: forward, loss, backward and update, module by
module and line by line, with the source of each method and its numbers. Of a run folder the model is the trained one.

It is one HTML file, which needs no network and no server.
"""
MORE = """\
examples:
  bprop show digits_mlp --open
  bprop show my.yaml --sample 7 --output my.html
  bprop show runs/x --part test
"""
STEPS = 30
PATIENCE = 4.0  # seconds: a page of a large model takes two


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "show", run, "show a training step, line by line, in a browser", DESCRIPTION, MORE)
    parser.add_argument(
        "config", metavar="CONFIG|RUN", help="a YAML file, the name of a config of bprop, or a run folder"
    )
    add_overrides_argument(parser)
    add_imports_option(parser)
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="row of the part (default: 0)")
    parser.add_argument("--part", choices=["train", "valid", "test"], help="of the data (default: train)")
    what = f"of a short training of a config, whose norms are shown (default: {STEPS}; 0: none)"
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=what)
    parser.add_argument("--output", type=parse_path, metavar="FILE", help="write it there (default: NAME.html)")
    parser.add_argument("--open", action="store_true", help="show it in a browser")
    add_json_option(parser, "print its sizes as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and print where it is."""
    from ..files.atomic_files import check_file_path
    from ..progress.progress_bar import print_if_slow
    from ..show.page import measure_page
    from ..show.show import show_config

    text = "recording; what is compiled for it is kept, and the next page finds it"
    path = arguments.output or choose_path(arguments.config)
    check_file_path(path)  # before the work
    with print_if_slow(text, patience=PATIENCE):
        page = show_config(
            arguments.config, arguments.overrides, sample=arguments.sample, part=arguments.part, steps=arguments.steps
        )
    page.save(path)
    if arguments.json:
        print_json({"page": str(path), **measure_page(page)})
    else:
        print(path)
    if arguments.open and not page.open(path):
        print(f"bprop: there is no browser to open {path} in", file=sys.stderr)
    return OK


def choose_path(source: str) -> Path:
    """Choose the file: show.html in a run folder, NAME.html here for a config."""
    folder = Path(source)
    return folder / "show.html" if folder.is_dir() else Path(f"{folder.stem}.html")
