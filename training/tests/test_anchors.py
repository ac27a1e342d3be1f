"""The anchor check: kept where they fit, searched where they do not."""

from __future__ import annotations

import unittest

import torch

from training.anchors import check, fit, search
from training.dataset import Fit, Pictures
from training.yolov5 import Config

COCO = Config.anchors


def pictures_with(sizes: torch.Tensor, side: int = 640) -> Pictures:
    """Returns one picture whose objects have these sizes (T, 2) in pixels."""
    objects = torch.cat((torch.zeros(len(sizes), 1), torch.full((len(sizes), 2), 0.5), sizes / side), 1)
    return Pictures([""], torch.zeros(1, 3, side, side, dtype=torch.uint8), [objects], [Fit(1, 0, 0)])


class Anchors(unittest.TestCase):
    def test_fit_by_hand(self) -> None:
        anchors = torch.tensor([[10.0, 10.0], [40.0, 20.0]])
        # answered for by both, by the second alone (up to 4 times as long), by none
        sizes = torch.tensor([[20.0, 20.0], [150.0, 30.0], [2.0, 90.0]])
        found = fit(sizes, anchors)
        self.assertAlmostEqual(found.recall, 2 / 3, places=6)
        self.assertAlmostEqual(found.anchors, 1.0, places=6)

    def test_good_ones_are_kept(self) -> None:
        sizes = torch.rand(500, 1, generator=torch.Generator().manual_seed(0)) * 200 + 12
        chosen, line = check(pictures_with(sizes.expand(-1, 2)), COCO)
        self.assertEqual(chosen, COCO)
        self.assertRegex(line, r"^[\d.]+ anchors an object, best possible recall 1.0000$")

    def test_bad_ones_are_searched_anew(self) -> None:
        dice = torch.Generator().manual_seed(0)
        # bars as no anchor of COCO's is
        sizes = torch.stack((torch.rand(400, generator=dice) * 300 + 200, torch.rand(400, generator=dice) * 6 + 6), 1)
        before = fit(sizes, torch.tensor(COCO).view(-1, 2))
        chosen, line = check(pictures_with(sizes), COCO)
        after = fit(sizes, torch.tensor(chosen).view(-1, 2))
        self.assertLess(before.recall, 0.5)
        self.assertGreater(after.recall, 0.99)
        self.assertIn("new ones have", line)
        areas = torch.tensor(chosen).view(-1, 2).prod(1)
        self.assertTrue((areas.diff() >= 0).all(), "not from small to large")
        self.assertEqual(check(pictures_with(sizes), COCO)[0], chosen, "not the same every time")

    def test_too_few_objects(self) -> None:
        with self.assertRaisesRegex(ValueError, "4 objects of at least 2 pixels are too few for 9 anchors"):
            search(torch.full((4, 2), 30.0), 9, torch.Generator())
        self.assertEqual(check(pictures_with(torch.zeros(0, 2)), COCO)[0], COCO)


if __name__ == "__main__":
    unittest.main()
