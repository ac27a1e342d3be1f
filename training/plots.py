"""Curves of runs, and what networks do on test pictures, as PNG. All raise ImportError where Matplotlib is missing."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from training.files import write

# Matplotlib's markers of fixed confidences, and the signs that look like them
MARKS = (("o", "●"), ("s", "■"), ("D", "◆"))


def read_metrics(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Returns the points (epoch, value) of every column of a metrics.csv; an epoch without a value has no point."""
    curves: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="", encoding="ascii") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value:
                    curves.setdefault(name, []).append((float(row["epoch"]), float(value)))
    return curves


def metrics(source: Path, target: Path) -> None:
    """Draws the losses and scores of one metrics.csv."""
    draw({"": [read_metrics(source)]}, target)


def draw(
    runs: dict[str, list[dict[str, list[tuple[float, float]]]]], target: Path, other_losses: Sequence[str] = ()
) -> None:
    """Draws losses, mAP50, precision and recall by epoch: a color for each name, a thin line for each of its runs.

    Where a name has several runs a thick line is their mean. Losses of the names in other_losses are other losses than
    the rest's: they have a scale of their own, to the right, and dashed lines.
    """
    columns = ("box", "conf", "label", "map50", "precision", "recall")
    figure = _figure(12, 8)
    for axes, column in zip(figure.subplots(2, 3).flat, columns, strict=True):
        loss = column in columns[:3]
        right = axes.twinx() if loss and other_losses else None
        for number, (name, curves_of) in enumerate(runs.items()):
            apart = right is not None and name in other_losses
            points = [curves.get(column, []) for curves in curves_of]
            _draw_runs(right if apart else axes, points, f"C{number}", dashed=apart)
        if right is not None:
            right.set_ylabel(f"{', '.join(other_losses)} (dashed)")
        axes.set_title(f"{column} loss" if loss else column)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        _legend_below(figure, {name: f"C{number}" for number, name in enumerate(runs)})
    _save(figure, target)


def _draw_runs(axes: Any, runs: list[list[tuple[float, float]]], color: str, dashed: bool) -> None:
    """Draws the runs of one name, and their mean where there are several of the same epochs."""
    several = len(runs) > 1 and len({tuple(epoch for epoch, _ in points) for points in runs}) == 1
    style = {"color": color, "linestyle": "--" if dashed else "-"}
    single = {"linewidth": 0.7, "alpha": 0.5} if several else {"linewidth": 1.4}
    for points in filter(None, runs):
        axes.plot(*zip(*points, strict=True), **style, **single, marker="." if len(points) < 3 else None)
    if several and runs[0]:
        means = [(epochs[0][0], sum(value for _, value in epochs) / len(epochs)) for epochs in zip(*runs, strict=True)]
        axes.plot(*zip(*means, strict=True), **style, linewidth=2.6)


def _legend_below(figure: Any, colors: dict[str, str]) -> None:
    """Says under all panels, over none of the data, which name has which color."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color, linewidth=5, label=name) for name, color in colors.items()]
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncol=min(len(colors), 3), fontsize=14)


def compare(
    scores: dict[str, dict[str, Sequence[float]]], rates: dict[str, Sequence[tuple[float, float, float]]], target: Path
) -> None:
    """Draws scores side by side, a dot for each seed, and precision over recall at fixed confidences.

    scores has for each figure the values by name; rates for each name its
    points (recall, precision, confidence).
    """
    figure = _figure(13, 6)
    *panels, last = figure.subplots(1, len(scores) + 1, width_ratios=[1] * len(scores) + [1.4])
    for axes, (title, by_name) in zip(panels, scores.items(), strict=True):
        for place, (number, values) in enumerate(reversed(list(enumerate(by_name.values())))):
            axes.plot(values, [place] * len(values), "o", color=f"C{number}", alpha=0.8)
        axes.set_yticks(range(len(by_name)), reversed(list(by_name)) if axes is panels[0] else [""] * len(by_name))
        axes.set_title(title)
        axes.grid(alpha=0.3)
    confs = [point[2] for point in next(iter(rates.values()))]
    for number, points in enumerate(rates.values()):
        recall, precision, _ = zip(*points, strict=True)
        last.plot(recall, precision, color=f"C{number}", linewidth=2)
        for (marker, _), x, y in zip(cycle(MARKS), recall, precision, strict=False):
            last.plot(x, y, marker, color=f"C{number}")
    last.set_xlabel("recall")
    last.set_ylabel("precision")
    last.set_title(
        "at conf " + ", ".join(f"{conf:g} {sign}" for (_, sign), conf in zip(cycle(MARKS), confs, strict=False))
    )
    last.grid(alpha=0.3)
    _legend_below(figure, {name: f"C{number}" for number, name in enumerate(rates)})
    _save(figure, target)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, target: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    write(target, content.getvalue())
