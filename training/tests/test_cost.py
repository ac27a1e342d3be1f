"""Parameters and operations: the numbers in docs/training.md, and YOLOv5's own."""

from __future__ import annotations

import unittest
from pathlib import Path
from unittest import mock

from torch import nn

from training.cost import HEADS, operations, parameters
from training.tests import yolov5_code
from training.yolov5 import Config, YOLOv5

TOP = Path(__file__).resolve().parents[2]

# 80 classes, 640x640: millions of parameters and GFLOPs, counted on YOLOv5's own code.
WANTED = {
    "s": {
        "coupled": (7.24, 16.4),
        "decoupled-base, c = 256": (10.98, 37.4),
        "decoupled-base, c = x": (13.78, 28.4),
        "decoupled": (13.43, 27.8),
    },
    "m": {
        "coupled": (21.19, 48.9),
        "decoupled-base, c = 256": (24.93, 69.8),
        "decoupled-base, c = x": (35.91, 75.8),
        "decoupled": (35.13, 74.4),
    },
}


def setUpModule() -> None:
    # only shapes count here, and drawing 200 million first weights takes longer than all the rest
    patch = mock.patch.object(nn.Conv2d, "reset_parameters", lambda conv: None)
    patch.start()
    unittest.addModuleCleanup(patch.stop)


class Cost(unittest.TestCase):
    def test_table(self) -> None:
        page = (TOP / "docs" / "training.md").read_text(encoding="utf-8")
        for size, wanted in WANTED.items():
            for name, kind, hidden in HEADS:
                with self.subTest(size=size, head=name):
                    network = YOLOv5(Config(80, size, kind, hidden))
                    found = (round(parameters(network) / 1e6, 2), round(operations(network) / 1e9, 1))
                    line = f"| {size} | {name} | {found[0]:.2f} | {found[1]:.1f} |"
                    self.assertTrue(f"\n{line}\n" in page, f"docs/training.md does not say {line}")
                    if name in wanted:
                        self.assertEqual(found, wanted[name])

    def test_split_costs_what_fused_does(self) -> None:
        both = [YOLOv5(Config(80, "n", "decoupled", layout=layout)) for layout in ("fused", "split")]
        self.assertEqual(*(parameters(network) for network in both))
        self.assertEqual(*(operations(network) for network in both))

    def test_operations_by_hand(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 5, 1))
        self.assertEqual(operations(network, 8, 6), 2 * (3 * 4 * 9 + 4 * 5) * 4 * 3)
        self.assertEqual(network[0].weight.device.type, "cpu")

    @yolov5_code.needed
    def test_parameters_are_those_of_yolov5(self) -> None:
        yolo = yolov5_code.load("models.yolo")
        folder = Path(yolo.__file__).parent
        for size in "nsmlx":
            with self.subTest(size=size):
                theirs = yolo.DetectionModel(folder / f"yolov5{size}.yaml", ch=3, nc=80)
                mine = YOLOv5(Config(80, size, "coupled"))
                self.assertEqual(parameters(mine), parameters(theirs))
                shapes = [sorted(tuple(p.shape) for p in network.parameters()) for network in (mine, theirs)]
                self.assertEqual(*shapes)


if __name__ == "__main__":
    unittest.main()
