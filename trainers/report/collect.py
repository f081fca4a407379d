"""What a report has of each run: figures, config, plots, layers, profile, environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...datasets.files.paths import expand_path
from ..configs import load_config
from ..configs.config_files import read_text
from ..configs.memory_limit import describe_error
from ..files.atomic_files import check_file_path, write_atomically
from ..plots.curves import draw_curves
from ..plots.draw import PLOTS, Kind, choose_plots
from ..plots.style import render_figure
from ..plots.trained_run import TrainedRun
from ..runs.compare import compare_runs, format_value, iterate_values
from ..runs.run_folder import find_config_file, read_summary
from ..runs.trust import restrict_to_trusted
from .page import Picture, Report, RunReport, make_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..runs.inference import Part

DPI = 110
ENVIRONMENT = ("versions.", "instruction_set.", "threads", "dtype", "seed")


def report_runs(
    folders: Sequence[str | Path],
    output: str | Path | None = None,
    *,
    part: Part | None = None,
    profile: bool = True,
) -> Path:
    """Write a report of run folders as one HTML file; returns its path.

    Args: folders: at least one; output: the file, by default report.html in the run's folder, or here for several;
        part: of the data, for plots of outputs; profile: measure where a step's time goes, in a few seconds a run.
    Errors: ValueError for no folders; FileNotFoundError for a folder without a run; ConfigError; ImportError without
        matplotlib. What a run lacks, its data say, is named in the page, and the rest of it written.
    """
    paths = [expand_path(folder) for folder in folders]
    if not paths:
        raise ValueError("report: there is no run, expected at least one run folder")
    for path in paths:
        find_config_file(path)
    target = paths[0] / "report.html" if len(paths) == 1 else Path("report.html")
    target = target if output is None else expand_path(output)
    check_file_path(target)  # before the work
    comparison = compare_runs(paths)
    runs = [collect_run(path, part, profile) for path in paths]
    names = [path.resolve().name for path in paths]
    title = names[0] if len(paths) == 1 else f"{len(paths)} runs"
    results = {name: row for name, row in comparison.results.items() if name and not name.startswith(ENVIRONMENT)}
    report = Report(
        title,
        names,
        {name: [*map(format_value, row)] for name, row in results.items()},
        {name: [*map(format_value, row)] for name, row in comparison.config.items()} if len(paths) > 1 else {},
        draw("curves", lambda: draw_curves(paths)),
        runs,
    )
    write_atomically(target, make_page(report).encode("utf-8"))
    return target


def collect_run(folder: Path, part: Part | None, profile: bool) -> RunReport:
    """Read and draw one run."""
    run = TrainedRun(folder, part)
    found = read_summary(folder)
    summary = dict(iterate_values(found)) if found else {}
    pictures = [draw(name, partial(PLOTS[name], run, [0])) for name in choose(run)]
    return RunReport(
        folder.resolve().name,
        bool(summary),
        read_text(find_config_file(folder)),
        pictures,
        describe(lambda: run.model.summary(run.experiment.dataset.minibatch_shape(1))),
        describe(lambda: measure(folder)) if profile else "",
        {name: format_value(value) for name, value in summary.items() if name.startswith(ENVIRONMENT)},
    )


def choose(run: TrainedRun) -> list[str]:
    """Choose the plots that fit; without data or model only those of figures."""
    try:
        return [name for name in choose_plots(run) if name != "curves"]
    except (OSError, ValueError):
        return ["weights"]


def draw(name: str, make: Callable[[], Figure]) -> Picture:
    """Draw a plot as an image, or say why it is not there."""
    try:
        figure = make()
    except (OSError, ValueError) as error:  # UnsuitableRun, ConfigError and files that are gone
        return Picture(name, reason=describe_error(error))
    kind: Kind = "svg" if name == "curves" else "png"
    return Picture(name, render_figure(figure, kind, DPI), kind)


def describe(make: Callable[[], Any]) -> str:
    """The text that `make` gives, or why there is none."""
    try:
        return str(make())
    except (OSError, ValueError, RuntimeError) as error:
        return f"not there: {describe_error(error)}"


def measure(folder: Path) -> Any:
    """Profile a training step of the run's config, on its data."""
    from ..tools.profile import profile_config

    with restrict_to_trusted(folder):
        return profile_config(load_config(find_config_file(folder)))
