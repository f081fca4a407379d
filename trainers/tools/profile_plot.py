"""The plot of a profile: a bar for each line of the table, forward and backward side by side in it."""

from pathlib import Path

from ..plots.style import escape_name, import_matplotlib, save_figure, shorten_name
from .profile import Profile, format_seconds

FORWARD, BACKWARD, OTHER = "#2b6cb0", "#dd6b20", "#a0aec0"
LEGEND = {FORWARD: "forward", BACKWARD: "backward", OTHER: "update, gathering, loop"}


def draw_profile(profile: Profile, path: Path) -> None:
    """Draw the bars to a PNG file; ImportError, with a hint, without matplotlib."""
    import_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = profile.rows[::-1]
    by_rule = any(row.kind == "rule" for row in rows)
    figure = Figure(figsize=(10, 1.6 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    scale, name = (1e6, "us") if profile.step < 1e-3 else (1e3, "ms")
    for place, row in enumerate(rows):
        own = row.kind in ("module", "loss")
        axes.barh(place, row.forward * scale, color=FORWARD if own else OTHER, height=0.7)
        axes.barh(place, row.backward * scale, left=row.forward * scale, color=BACKWARD, height=0.7)
        text = f" {format_seconds(row.seconds)}   {100 * row.seconds / profile.sum:.0f} %"
        axes.text(row.seconds * scale, place, text, va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [escape_name(shorten_name(row.name)) for row in rows], fontsize=9)
    axes.set_xlim(0, 1.25 * max(row.seconds for row in rows) * scale)
    axes.set_xlabel(f"{name} of a step ({', '.join(shorten_conclusions(profile))})")
    axes.set_title(
        f"A step with minibatches of {profile.batch_size}: {format_seconds(profile.step)}", loc="left", fontsize=11
    )
    axes.spines[["top", "right"]].set_visible(False)
    legend = {c: f"learning rule, {text}" if c == OTHER and by_rule else text for c, text in LEGEND.items()}
    axes.legend(handles=[Patch(color=c, label=text) for c, text in legend.items()], loc="lower right", fontsize=9)
    save_figure(figure, path, 100)


def shorten_conclusions(profile: Profile) -> list[str]:
    """Format the sum of the bars, its ratio to the limit, and the cost of a gradient."""
    parts = [f"sum {format_seconds(profile.sum)}"]
    if profile.products > 0:
        parts.append(f"{100 * profile.products / profile.step:.0f} % of the matrix products' limit")
    if profile.gradient is not None:
        parts.append(f"a gradient costs {profile.gradient.evaluations:.1f} evaluations of the loss")
    return parts
