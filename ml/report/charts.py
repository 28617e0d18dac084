"""Charts as inline SVG whose colours are the page's: they follow its light and dark, and print."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ml.console import plain

# Drawn in these, and replaced by the page's own variables.
INK, QUIET, GRID, MAIN, OTHER, BAD = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
VARIABLES = {INK: "--ink", QUIET: "--quiet", GRID: "--grid", MAIN: "--main", OTHER: "--other", BAD: "--bad"}
WIDTH = 5.6  # inches; the page scales it


def intervals(
    labels: Sequence[str], points: Sequence[float], spans: Sequence[Sequence[float] | None], unit: str, marks: Sequence[bool] | None = None
) -> str:
    """A point with its interval for each label, the first on top; `marks`: those that are drawn as bad."""
    figure, axes = _new(0.28 * len(labels) + 0.75)
    bad = marks or [False] * len(labels)
    for row, (point, span, marked) in enumerate(zip(points, spans, bad, strict=True)):
        colour = BAD if marked else MAIN
        if span is not None:
            axes.plot(span, [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot([point], [row], "o", color=colour, markersize=5)
    axes.set_yticks(range(len(labels)), [_text(label) for label in labels])
    axes.invert_yaxis()
    axes.set_ylim(len(labels) - 0.4, -0.6)
    if min(points) < 0 < max(points) or any(span and span[0] < 0 < span[1] for span in spans):
        axes.axvline(0, color=QUIET, linewidth=1)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_xlabel(_text(unit))
    return _svg(figure)


def density(x: np.ndarray, y: np.ndarray, x_label: str, y_label: str) -> str:
    """Two columns of numbers [rows] against each other, counted in cells; a line where they are equal."""
    figure, axes = _new(4.4)
    low, high = (float(value) for value in np.quantile(np.concatenate([x, y]), [0.001, 0.999]))
    counts, edges, _ = np.histogram2d(np.clip(x, low, high), np.clip(y, low, high), bins=60, range=[[low, high], [low, high]])
    middles = (edges[:-1] + edges[1:]) / 2
    filled = np.argwhere(counts > 0)
    sizes = np.log1p(counts[filled[:, 0], filled[:, 1]])
    strength = 0.12 + 0.88 * sizes / sizes.max()
    axes.scatter(middles[filled[:, 0]], middles[filled[:, 1]], s=26, color=MAIN, alpha=strength, marker="s", linewidths=0)
    axes.plot([low, high], [low, high], color=QUIET, linewidth=1)
    axes.set_xlabel(_text(x_label))
    axes.set_ylabel(_text(y_label))
    axes.grid(color=GRID, linewidth=0.8)
    return _svg(figure)


def histogram(values: np.ndarray, label: str, y_label: str = "share of rows") -> str:
    """How often each value comes, the outermost thousandth at each end in the last bars."""
    figure, axes = _new(2.6)
    low, high = (float(value) for value in np.quantile(values, [0.001, 0.999]))
    counts, edges = np.histogram(np.clip(values, low, high), bins=60)
    axes.bar(edges[:-1], counts / len(values), width=np.diff(edges), align="edge", color=MAIN, linewidth=0)
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.set_xlabel(_text(label))
    axes.set_ylabel(_text(y_label))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    return _svg(figure)


def lines(
    x: Sequence[Any], series: Mapping[str, Sequence[float | None]], x_label: str, y_label: str,
    bands: Mapping[str, Sequence[Sequence[float]]] | None = None, level: float | None = None, log_x: bool = False,
) -> str:  # fmt: skip
    """Lines over x, each with a band if it has one, and a level drawn across."""
    figure, axes = _new(2.9)
    places: list[Any] = list(x) if not isinstance(x[0], str) else list(range(len(x)))
    for number, (name, values) in enumerate(series.items()):
        colour = (MAIN, OTHER, BAD, QUIET)[number % 4]
        known = [np.nan if value is None else value for value in values]
        axes.plot(places, known, "-o", color=colour, markersize=4, linewidth=1.8, label=_text(name))
        if bands and name in bands:
            low, high = zip(*bands[name], strict=True)
            axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
    if level is not None:
        axes.axhline(level, color=QUIET, linewidth=1, linestyle="--")
    if isinstance(x[0], str):
        step = -(-len(x) // 5)  # as many labels as fit side by side
        axes.set_xticks(places[::step], [_text(value) for value in x[::step]])
    if log_x:
        axes.set_xscale("log")
        axes.set_xticks(places, [f"{place:,.0f}" for place in places])
        axes.minorticks_off()
    if len(series) > 1:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    axes.set_xlabel(_text(x_label))
    axes.set_ylabel(_text(y_label))
    axes.grid(color=GRID, linewidth=0.8)
    return _svg(figure)


def _text(value: object) -> str:
    """A value as matplotlib shows it unchanged: no control characters, and no `$` that begins a formula."""
    return plain(value).replace("$", r"\$")


def _new(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot: no window, no state kept between charts

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.xaxis.label.set_color(QUIET)
    axes.yaxis.label.set_color(QUIET)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "skewless", "font.family": ["sans-serif"]}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in VARIABLES.items():
        text = re.sub(colour, f"var({variable})", text, flags=re.IGNORECASE)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px system-ui, sans-serif", text)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 width="100%" role="img"', text, count=1)
