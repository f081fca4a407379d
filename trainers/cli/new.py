"""`bprop new`: the beginning of a module of one's own."""

import argparse
from pathlib import Path

from .command import OK, command, path_argument, print_json, takes_json

DESCRIPTION = """\
Begin a module of your own: a file with the class, a gradient test that fails until bprop is written, and a config.
"""
MORE = """\
example:
  bprop new module PowerUnit
      writes power_unit.py, test_power_unit.py and power_unit.yaml here; then
  pytest test_power_unit.py
  bprop check power_unit.yaml
  bprop train power_unit.yaml
"""


def add_to(commands) -> None:
    """Add the command to the parser's."""
    parser = command(commands, "new", run, "begin a module of your own, with its test and a config", DESCRIPTION, MORE)
    parser.add_argument("kind", choices=["module"], help="what to begin")
    parser.add_argument("name", metavar="NAME", help="the name of its class, such as PowerUnit")
    parser.add_argument(
        "--folder", type=path_argument, default=Path("."), metavar="DIR", help="where to write (default: here)"
    )
    takes_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files and say what each is for."""
    from ..new_module import new_module

    module, test, config = new_module(arguments.name, arguments.folder)
    if arguments.json:
        print_json({"module": str(module), "test": str(test), "config": str(config)})
        return OK
    print(f"{module}  the module: write its bprop")
    print(f"{test}  its gradient test, which fails until then: pytest {test}")
    print(f"{config}  a config with it: bprop check {config}")
    return OK
