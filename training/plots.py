"""Curves of a run, or of several beside each other, as PNG."""

from __future__ import annotations

import csv
from pathlib import Path


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


def draw(runs: dict[str, list[dict[str, list[tuple[float, float]]]]], target: Path) -> None:
    """Draws losses, mAP50, precision and recall by epoch: a colour for each name, a line for each of its runs.

    Raises ImportError where Matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = ("box", "conf", "label", "map50", "precision", "recall")
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, column in zip(figure.subplots(2, 3).flat, columns, strict=True):
        for number, (name, curves_of) in enumerate(runs.items()):
            for repeat, curves in enumerate(curves_of):
                points = curves.get(column, [])
                axes.plot(
                    *zip(*points, strict=True) if points else ([], []),
                    color=f"C{number}",
                    label=name if not repeat else None,
                    linewidth=1.2,
                    marker="." if len(points) < 3 else None,
                )
        axes.set_title(column if column in columns[3:] else f"{column} loss")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        figure.axes[0].legend(fontsize="small")
    part = target.with_name(target.name + ".part")
    figure.savefig(part, format="png", dpi=110, metadata={"Software": None})
    part.replace(target)
