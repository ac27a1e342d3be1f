"""Curves of runs, and what networks do on test pictures, as PNG. All raise ImportError where Matplotlib is missing."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.files import write


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
    """Draws losses, mAP50, precision and recall by epoch: a colour for each name, a line for each of its runs."""
    columns = ("box", "conf", "label", "map50", "precision", "recall")
    figure = _figure(12, 6.5)
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
        if column in columns[:3]:
            axes.set_yscale("log")
        axes.set_title(column if column in columns[3:] else f"{column} loss")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="lower center", ncol=len(runs), fontsize="small", bbox_to_anchor=(0.5, -0.05))
    _save(figure, target)


def compare(
    scores: dict[str, dict[str, Sequence[float]]], rates: dict[str, Sequence[tuple[float, float, float]]], target: Path
) -> None:
    """Draws scores side by side, a dot for each seed, and precision over recall at fixed confidences.

    scores has for each figure the values by name; rates for each name its
    points (recall, precision, confidence).
    """
    figure = _figure(12, 4.2)
    *panels, last = figure.subplots(1, len(scores) + 1)
    for axes, (title, by_name) in zip(panels, scores.items(), strict=True):
        for place, (number, values) in enumerate(reversed(list(enumerate(by_name.values())))):
            axes.plot(values, [place] * len(values), "o", color=f"C{number}", alpha=0.8)
        axes.set_yticks(range(len(by_name)), reversed(list(by_name)) if axes is panels[0] else [""] * len(by_name))
        axes.set_title(title)
        axes.grid(alpha=0.3)
    for number, (name, points) in enumerate(rates.items()):
        recall, precision, confs = zip(*points, strict=True)
        last.plot(recall, precision, marker=".", color=f"C{number}", label=name)
        last.annotate(f"{confs[0]:g}", (recall[0], precision[0]), fontsize="x-small", color=f"C{number}")
    last.set_xlabel("recall")
    last.set_ylabel("precision")
    last.set_title("at conf " + ", ".join(f"{point[2]:g}" for point in next(iter(rates.values()))))
    last.legend(fontsize="x-small")
    last.grid(alpha=0.3)
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
