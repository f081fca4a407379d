"""`bprop generate`: text by a run's model."""

import argparse

from .command import OK, add_json_option, add_parser, add_run_argument, parse_path, print_json

DESCRIPTION = """\
Print the prompt, and text by which a run's model continues it, as it is generated.

The run is of a TextDataset or a NamesDataset, whose vocabulary lies in the run folder. Words begin anew after each
line's end. The same seed gives the same text.
"""
MORE = """\
examples:
  bprop generate runs/shakespeare_gpt --prompt "ROMEO:"
  bprop generate runs/shakespeare_gpt --temperature 0.8 --top-k 20 --length 2000
  bprop generate runs/names_gpt --seed 3 --length 100
  bprop generate runs/names_gpt --prompt em --beams 4
      the most probable continuation
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "generate", run, "continue a text by a run's model", DESCRIPTION, MORE)
    add_run_argument(parser)
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what the text begins with (default: nothing)")
    parser.add_argument("--length", type=int, default=500, metavar="N", help="how many tokens (default: 500)")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="below 1 prefers probable tokens, 0 takes the most probable (default: 1)",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K most probable tokens alone")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw from the most probable ones of P in all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random numbers (default: 0)")
    parser.add_argument("--beams", type=int, metavar="N", help="search the most probable text by N beams instead")
    parser.add_argument("--weights", type=parse_path, metavar="FILE", help="other weights than model.safetensors")
    add_json_option(parser, "print prompt and text as JSON, when all is generated")


def run(arguments: argparse.Namespace) -> int:
    """Generate, and print the text piece by piece."""
    from ..generation.generator import Generator, generate

    generator = Generator.load(arguments.run, arguments.weights)
    options = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p", "seed")}
    if arguments.json or arguments.beams is not None:
        text = generate(generator, arguments.prompt, arguments.length, beams=arguments.beams, **options)
        if arguments.json:
            print_json({"prompt": arguments.prompt, "text": text})
        else:
            print(arguments.prompt + text.rstrip("\n"))
        return OK
    pieces = generator.stream(arguments.prompt, arguments.length, **options)
    print(arguments.prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
    return OK
