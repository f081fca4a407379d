"""`bprop schema`: the JSON Schema of configs, for editors."""

import argparse

from .command import OK, add_parser, can_write_utf8

DESCRIPTION = """\
Print the JSON Schema of configs, by which an editor completes and checks them while they are written.
"""
MORE = """\
example:
  bprop schema > bprop.schema.json
      and as the first line of a config, for editors with the YAML language server (VS Code, Neovim, Emacs...):
        # yaml-language-server: $schema=bprop.schema.json
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    add_parser(commands, "schema", run, "print the JSON Schema of configs, for editors", DESCRIPTION, MORE)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    import json
    import sys

    from ..configs.schema import make_config_schema

    print(json.dumps(make_config_schema(), indent=2, ensure_ascii=not can_write_utf8(sys.stdout)))
    return OK
