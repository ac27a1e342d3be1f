"""Legends of the plots."""

from __future__ import annotations

import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from training import plots


def drawn(draw: Callable[..., None], *args: object, **named: object) -> tuple[Any, list[Any], list[Any]]:
    """Returns the figure that a function of plots draws, and where its legends and its panels lie, in pixels."""
    kept = []
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(plots, "_save", lambda figure, _: kept.append(figure)),
    ):
        draw(*args, target=Path(folder, "x.png"), **named)
    figure = kept[0]
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    legends = figure.legends + [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return figure, [x.get_window_extent(renderer) for x in legends], [x.get_tightbbox(renderer) for x in figure.axes]


class Legends(unittest.TestCase):
    def check(self, figure: Any, legends: list[Any], panels: list[Any], names: list[str]) -> None:
        self.assertEqual(len(legends), 1)
        self.assertEqual([text.get_text() for text in figure.legends[0].get_texts()], names)
        self.assertGreaterEqual(min(text.get_fontsize() for text in figure.legends[0].get_texts()), 12)
        for panel in panels:
            self.assertFalse(legends[0].overlaps(panel), (legends[0], panel))

    def test_runs(self) -> None:
        names = ["coupled", "decoupled", "yolox"]
        curves = {c: [(3.0, 0.1), (6.0, 0.2)] for c in ("box", "conf", "label", "map50", "precision", "recall")}
        runs = {name: [curves, curves] for name in names}
        figure, legends, panels = drawn(plots.draw, runs, other_losses=["yolox"])
        self.check(figure, legends, panels, names)
        self.assertEqual(len(figure.axes), 9)  # a scale of their own for three losses

    def test_compare(self) -> None:
        names = ["coupled", "decoupled", "yolox"]
        scores = {title: {name: [0.1, 0.3] for name in names} for title in ("mAP50-95", "of rare classes")}
        rates = {name: [(0.6, 0.5, 0.25), (0.5, 0.8, 0.4), (0.3, 0.9, 0.5)] for name in names}
        figure, legends, panels = drawn(plots.compare, scores, rates)
        self.check(figure, legends, panels, names)
        self.assertEqual(figure.axes[-1].get_title(), "at conf 0.25 ●, 0.4 ■, 0.5 ◆")


if __name__ == "__main__":
    unittest.main()
