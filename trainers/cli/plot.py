"""`bprop plot`: plots of runs."""

import argparse
import sys
from pathlib import Path

from ..files.suggest import format_suggestion
from .command import OK, add_imports_option, add_json_option, add_parser, parse_path, print_json

DESCRIPTION = """\
Draw runs as PNG files, into the run folder, with matplotlib (pip install 'bprop[plot]').

plots:
  curves      loss and metrics by epoch, and the learning rate; of several runs, one over the other
  weights     the first layer's weights as images, for models of images
  features    one sample: the input, what every layer makes of it, and the output
  confusion   which classes are taken for which: counts and shares
  mistakes    the images that are classified most wrongly
  regression  predictions against targets, and residuals
  density     the density that MixtureDensity or GaussianNLL predict, over one input
  alignment   the angle and the ratio between a learning rule's updates and the gradient, by layer
"""
MORE = """\
examples:
  bprop plot runs/x
      all plots that fit the model and its data
  bprop plot runs/x curves confusion
  bprop plot runs/x features --sample 7
  bprop plot runs/digits_mlp-* --out plots
      the learning curves of several runs, named by what differs in their configs
  bprop plot --augment mnist_cnn 'augment=[{Elastic: {alpha: 20}}]'
      what the augmentation of a config makes of its images
"""


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "plot", run, "draw learning curves, weights, features, mistakes", DESCRIPTION, MORE)
    what = "run folders, then names of plots (default: all that fit), or dataset.NAME.key=value"
    parser.add_argument("words", nargs="*", metavar="RUN|PICTURE", help=what)
    parser.add_argument("--augment", metavar="CONFIG", help="draw the augmentation of a config, with its overrides")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="whose features are drawn (default: 0)")
    parser.add_argument("--part", choices=["train", "valid", "test"], help="of the data (default: test)")
    parser.add_argument("--weights", type=parse_path, metavar="FILE", help="other weights than model.safetensors")
    parser.add_argument("--out", type=parse_path, metavar="DIR", help="folder to write to (default: the run's)")
    add_imports_option(parser)
    add_json_option(parser)
    parser.set_defaults(overrides=[])  # words that follow an option


def run(arguments: argparse.Namespace) -> int:
    """Draw, and print the names of the files."""
    from ...datasets.files.paths import expand_path
    from ..plots import PLOTS, plot_augment, plot_runs

    words = [*arguments.words, *arguments.overrides]
    if arguments.augment is not None:
        if wrong := [word for word in words if "=" not in word]:
            arguments.parser.error(f"--augment takes a config and overrides of it alone, not {wrong[0]}")
        print_outcome(arguments, [plot_augment(arguments.augment, words, arguments.out)], {})
        return OK
    plots = [word for word in words if word in PLOTS]
    overrides = [word for word in words if word.startswith("dataset") and "=" in word]
    folders = [expand_path(word) for word in words if word not in plots and word not in overrides]
    if not folders:
        arguments.parser.error("there is no run, expected a run folder before the names of plots")
    for folder in folders:
        if not folder.exists():
            raise FileNotFoundError(
                f"there is neither a folder nor a plot {folder}{format_suggestion(folder, PLOTS)}; "
                f"plots: {', '.join(PLOTS)}"
            )
    paths, omitted = plot_runs(
        folders,
        plots,
        arguments.out,
        sample=arguments.sample,
        part=arguments.part,
        weights=arguments.weights,
        overrides=overrides,
    )
    print_outcome(arguments, paths, omitted)
    return OK


def print_outcome(arguments: argparse.Namespace, paths: list[Path], omitted: dict[str, str]) -> None:
    """Print which files were drawn, and what was left out, and why."""
    if arguments.json:
        print_json({"drawn": [str(path) for path in paths], "left_out": omitted})
        return
    for path in paths:
        print(path)
    for reason in dict.fromkeys(omitted.values()):
        names = ", ".join(name for name in omitted if omitted[name] == reason)
        print(f"left out {names}: {reason}", file=sys.stderr)
