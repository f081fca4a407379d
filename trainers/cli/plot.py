"""`bprop plot`: plots of runs."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from ..files.suggest import format_suggestion
from .command import OK, add_format_option, add_imports_option, add_json_option, add_parser, parse_path, print_json

DESCRIPTION = """\
Draw runs as PNG or SVG files, into the run folder, with matplotlib (pip install 'bprop[plot]').

plots:
  curves      loss and metrics by epoch, and the learning rate; of several runs, one over the other
  weights     the first layer's weights as images, for models of images
  features    one sample: the input, what every layer makes of it, and the output
  confusion   which classes are taken for which: counts and shares
  mistakes    the images that are classified most wrongly
  regression  predictions against targets, and residuals
  density     the density that MixtureDensity or GaussianNLL predict, over one input
  alignment   the angle and the ratio between a learning rule's updates and the gradient, by layer
  space       the plane of the inputs beside the one that the last hidden layer makes of it, coloured by class
  matrices    the weights of later layers, as matrices
  states      of a model of sequences: what its layers make of each step of one sequence
  attention   how much each step of a sequence attends to each other one, by layer and head
  embeddings  the vectors of tokens, in the plane of their two leading principal components
  patterns    of an energy-based net: patterns recalled from noise, or images completed from a half
  samples     what it draws itself: Gibbs chains, shares of states, images for each label
  energy      free energies of training and held-out data, by epoch; the energy of recalls, by update

Of the folder of a sweep: a metric against a key that differs between its runs, or against a figure such as parameters.
"""
MORE = """\
examples:
  bprop plot runs/x
      all plots that fit the model and its data
  bprop plot runs/x curves confusion
  bprop plot runs/x features --sample 7
  bprop plot runs/x features --sample 0,3,12
      several samples, a row each
  bprop plot runs/digits_mlp-* --out plots
      the learning curves of several runs, named by what differs in their configs
  bprop plot runs/sweep
  bprop plot runs/sweep --metric test_accuracy --x parameters --lines depth
      a metric of all runs of a sweep, against the number of parameters, a line for each depth
  bprop plot runs/sweep curves
      the learning curves of its runs
  bprop plot --augment mnist_cnn 'augment=[{Elastic: {alpha: 20}}]'
      what the augmentation of a config makes of its images
"""
OF_A_RUN = ("sample", "part", "weights")  # options
OF_A_SWEEP = ("metric", "x", "lines")


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "plot", run, "draw learning curves, weights, features, mistakes", DESCRIPTION, MORE)
    what = "folders of runs or of a sweep, then names of plots (default: all that fit), or dataset.NAME.key=value"
    parser.add_argument("words", nargs="*", metavar="RUN|PICTURE", help=what)
    parser.add_argument("--augment", metavar="CONFIG", help="draw the augmentation of a config, with its overrides")
    parser.add_argument(
        "--sample", type=parse_samples, metavar="N[,N...]", help="whose features are drawn (default: 0)"
    )
    parser.add_argument("--part", choices=["train", "valid", "test"], help="of the data (default: test)")
    parser.add_argument("--weights", type=parse_path, metavar="FILE", help="other weights than model.safetensors")
    parser.add_argument("--metric", metavar="NAME", help="of a sweep: what is drawn (default: of the test part)")
    parser.add_argument("--x", metavar="KEY", help="of a sweep: against which key, or figure such as parameters")
    parser.add_argument(
        "--lines", action="append", metavar="KEY", help="of a sweep: a line for each value of this key; may be repeated"
    )
    parser.add_argument("--out", type=parse_path, metavar="DIR", help="folder to write to (default: the run's)")
    add_format_option(parser)
    add_imports_option(parser)
    add_json_option(parser)
    parser.set_defaults(overrides=[])  # words that follow an option


def run(arguments: argparse.Namespace) -> int:
    """Draw, and print the names of the files."""
    from ...datasets.files.paths import expand_path
    from ..plots import PLOTS, plot_augment, plot_runs, plot_sweep
    from ..runs.sweep_results import is_sweep, list_run_folders

    words = [*arguments.words, *arguments.overrides]
    if arguments.augment is not None:
        if wrong := [word for word in words if "=" not in word]:
            arguments.parser.error(f"--augment takes a config and overrides of it alone, not {wrong[0]}")
        refuse_options(arguments, [*OF_A_RUN, *OF_A_SWEEP], "--augment takes")
        print_outcome(arguments, [plot_augment(arguments.augment, words, arguments.out, kind=arguments.format)], {})
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
    if sweeps := [folder for folder in folders if is_sweep(folder)]:
        if len(folders) > 1:
            raise ValueError(f"plot: {sweeps[0]} is the folder of a sweep, expected it alone")
        if wrong := [name for name in plots if name != "curves"] + overrides:
            raise ValueError(f"plot: {wrong[0]} of a sweep, expected its folder, or that and curves")
        if not plots:
            refuse_options(arguments, OF_A_RUN, f"{sweeps[0]} is the folder of a sweep, which takes")
            names = {name: getattr(arguments, name) for name in ("metric", "x")}
            path = plot_sweep(sweeps[0], arguments.out, lines=arguments.lines or (), kind=arguments.format, **names)
            print_outcome(arguments, [path], {})
            return OK
        arguments.out = arguments.out or sweeps[0]
        folders = list_run_folders(sweeps[0])
    refuse_options(arguments, OF_A_SWEEP, f"the plots of {folders[0]} take")
    paths, omitted = plot_runs(
        folders,
        plots,
        arguments.out,
        samples=arguments.sample or [0],
        part=arguments.part,
        weights=arguments.weights,
        overrides=overrides,
        kind=arguments.format,
    )
    print_outcome(arguments, paths, omitted)
    return OK


def parse_samples(text: str) -> list[int]:
    """Parse `3` or `3,7,9`."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers, such as 0,3") from None


def refuse_options(arguments: argparse.Namespace, names: Iterable[str], taker: str) -> None:
    """Refuse options that are for another kind of folder; ends with a usage error."""
    for name in names:
        if getattr(arguments, name) is not None:
            arguments.parser.error(f"{taker} no --{name}")


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
