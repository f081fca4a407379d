"""The list of plots, and drawing them to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...datasets.files.paths import expand_path
from ..configs import load_config
from ..configs.memory_limit import describe_error
from ..runs.inference import Part
from ..runs.run_folder import find_config_file
from .alignment import draw_alignment, was_trained_by_rule
from .augments import draw_augment
from .classes import draw_confusion, draw_mistakes
from .curves import draw_curves
from .density import draw_density
from .energy import draw_energy
from .energy_nets import is_energy_net
from .features import draw_features
from .matrices import draw_matrices
from .numbers import draw_regression
from .patterns import draw_patterns
from .sample_rows import draw_sample_rows
from .samples import draw_samples
from .sequences import draw_attention, draw_embeddings, draw_states, is_sequence_model
from .space import draw_space
from .style import import_matplotlib, save_figure
from .sweep import draw_sweep
from .trained_run import TrainedRun, UnsuitableRun
from .weights import draw_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Kind = Literal["png", "svg"]
PLOTS: dict[str, Callable[[TrainedRun, Sequence[int]], Figure]] = {  # of a run and the numbers of samples
    "curves": lambda run, samples: draw_curves([run.folder]),
    "weights": lambda run, samples: draw_weights(run),
    "matrices": lambda run, samples: draw_matrices(run),
    "features": lambda run, samples: (
        draw_sample_rows(run, samples) if len(samples) > 1 else draw_features(run, samples[0])
    ),
    "space": lambda run, samples: draw_space(run),
    "states": lambda run, samples: draw_states(run, samples[0]),
    "attention": lambda run, samples: draw_attention(run, samples[0]),
    "embeddings": lambda run, samples: draw_embeddings(run),
    "confusion": lambda run, samples: draw_confusion(run),
    "mistakes": lambda run, samples: draw_mistakes(run),
    "regression": lambda run, samples: draw_regression(run),
    "density": lambda run, samples: draw_density(run),
    "alignment": lambda run, samples: draw_alignment(run.folder),
    "patterns": lambda run, samples: draw_patterns(run),
    "samples": lambda run, samples: draw_samples(run),
    "energy": lambda run, samples: draw_energy(run),
}
OF_RULES, OF_ENERGY_NETS = ("alignment",), ("patterns", "samples", "energy")
OF_SEQUENCES = ("states", "attention", "embeddings")


def plot_runs(
    folders: Sequence[Path],
    plots: Sequence[str] = (),
    out: Path | None = None,
    *,
    samples: Sequence[int] = (0,),
    part: Part | None = None,
    weights: Path | None = None,
    overrides: Sequence[str] = (),
    dpi: int = 150,
    kind: Kind = "png",
) -> tuple[list[Path], dict[str, str]]:
    """Draw runs as files; returns their paths, and why plots that nobody named have been left out.

    Args: folders: run folders, of several the curves alone; plots: names of `PLOTS`, by default all that fit;
        out: a folder, by default that of the run, or the present one for several runs; samples: numbers of the
        samples whose features are drawn; kind: png or svg; part, weights, overrides: as of `evaluate_run`.
    Errors: ImportError without matplotlib; UnsuitableRun, a ValueError, for a named plot that does not fit the model
        or the data; FileNotFoundError and ConfigError for folders without a run.
    """
    import_matplotlib()
    folders = [expand_path(folder) for folder in folders]
    for folder in folders:
        find_config_file(folder)
    if len(folders) > 1:
        if wrong := [name for name in plots if name != "curves"]:
            raise ValueError(f"plot: {wrong[0]} of {len(folders)} runs, expected one run; curves alone take several")
        return save_figures({"curves": draw_curves(list(folders))}, out or Path("."), dpi, kind), {}
    run = TrainedRun(folders[0], part, weights, tuple(overrides))
    figures: dict[str, Figure] = {}
    omitted: dict[str, str] = {}
    for name in plots or choose_plots(run):
        try:
            title = name if name != "features" else f"features-{'-'.join(map(str, samples))}"
            figures[title] = PLOTS[name](run, samples)
        except (UnsuitableRun, FileNotFoundError) as error:
            if plots:
                raise type(error)(f"{name}: {describe_error(error)}") from None
            omitted[name] = describe_error(error)
    if not figures:
        raise UnsuitableRun(f"plot: there is nothing to draw: {next(iter(omitted.values()))}")
    return save_figures(figures, out or run.folder, dpi, kind), omitted


def choose_plots(run: TrainedRun) -> list[str]:
    """Choose the plots of a run of which nobody has named any: those of rules, of sequences and of
    energy-based nets for these."""
    chosen = [name for name in PLOTS if name not in (*OF_RULES, *OF_ENERGY_NETS, *OF_SEQUENCES)]
    chosen += OF_RULES if was_trained_by_rule(run.folder) else ()
    chosen += OF_SEQUENCES if is_sequence_model(run) else ()
    return [*chosen, *(OF_ENERGY_NETS if is_energy_net(run) else ())]


def plot_sweep(
    folder: Path,
    out: Path | None = None,
    *,
    metric: str | None = None,
    x: str | None = None,
    lines: Sequence[str] = (),
    dpi: int = 150,
    kind: Kind = "png",
) -> Path:
    """Draw a metric of a sweep's runs against a key or a figure; returns the path, METRIC-by-X.png in its folder.

    Args: out: another folder; metric: by default a metric of the test part; x: by default the number with the most
        values; lines: keys with a line for each value, by default all the others.
    Errors: ImportError without matplotlib; FileNotFoundError for a folder of something else; ValueError for names that
        the sweep has not, and for one without a run that is done.
    """
    import_matplotlib()
    folder = expand_path(folder)
    name, figure = draw_sweep(folder, metric, x, list(lines))
    return save_figures({name: figure}, out or folder, dpi, kind)[0]


def plot_augment(
    source: str, overrides: Sequence[str] = (), out: Path | None = None, dpi: int = 150, kind: Kind = "png"
) -> Path:
    """Draw what a config's augmentation makes of its images; returns the path, by default NAME-augment.png here.

    Errors: ImportError without matplotlib; ConfigError; UnsuitableRun for a config without augmentation.
    """
    import_matplotlib()
    config = load_config(source, overrides)
    assert config.path is not None
    return save_figures({f"{config.path.stem}-augment": draw_augment(config)}, out or Path("."), dpi, kind)[0]


def save_figures(figures: dict[str, Figure], folder: Path, dpi: int, kind: Kind) -> list[Path]:
    """Save the figures; returns their paths."""
    folder = expand_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for name in figures]
    for figure, path in zip(figures.values(), paths, strict=True):
        save_figure(figure, path, dpi)
    return paths
