"""`bprop new`: a template of a custom module, or of another part of an experiment."""

import argparse
from pathlib import Path

from .command import OK, add_json_option, add_parser, parse_path, print_json

KINDS = ("module", "loss", "optimizer", "rule", "schedule", "callback", "metric", "augmentation", "dataset")
DESCRIPTION = """\
Begin a class of your own: a file with it, a test, and a config. A module's gradient test fails until its bprop is
written; the other parts are small complete examples to be changed.
"""
MORE = """\
example:
  bprop new module PowerUnit
      writes power_unit.py, test_power_unit.py and power_unit.yaml here; then
  pytest test_power_unit.py
  bprop check power_unit.yaml
  bprop train power_unit.yaml
  bprop new loss LogCosh
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(
        commands, "new", run, "begin a module or another part of your own, with its test", DESCRIPTION, MORE
    )
    parser.add_argument("kind", choices=KINDS, help="what to begin")
    parser.add_argument("name", metavar="NAME", help="the name of its class, such as PowerUnit")
    parser.add_argument(
        "--folder", type=parse_path, default=Path("."), metavar="DIR", help="where to write (default: here)"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files, and print what each is for."""
    from ..tools.module_template import write_module_template

    path, test, config = write_module_template(arguments.name, arguments.folder, arguments.kind)
    if arguments.json:
        print_json({arguments.kind: str(path), "test": str(test), "config": str(config)})
        return OK
    if arguments.kind == "module":
        print(f"{path}  the module: write its bprop")
        print(f"{test}  its gradient test, which fails until then: pytest {test}")
        print(f"{config}  a config with it: bprop check {config}")
    else:
        print(f"{path}  the {arguments.kind}, an example: change it")
        print(f"{test}  its test: pytest {test}")
        print(f"{config}  a config with it: bprop train {config}")
    return OK
