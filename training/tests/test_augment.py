"""Augmentation: objects go where their pixels go, as YOLOv5's own code moves and colours them."""

from __future__ import annotations

import random
import unittest
from unittest import mock

import numpy as np
import torch

from training.augment import Light, Mosaic, move, recolour, warp
from training.dataset import PAD, Fit, Pictures
from training.tests import yolov5_code


def squares(count: int, side: int = 64) -> Pictures:
    """Returns grey pictures with one square each, white in the middle of a different place."""
    inputs = torch.full((count, 3, side, side), 100, dtype=torch.uint8)
    objects = []
    for i in range(count):
        x, y = 6 + 5 * i % 30, 10 + 7 * i % 28
        inputs[i, :, y : y + 16, x : x + 16] = 255
        objects.append(torch.tensor([[i % 3, (x + 8) / side, (y + 8) / side, 16 / side, 16 / side]]))
    return Pictures([str(i) for i in range(count)], inputs, objects, [Fit(1, 0, 0)] * count)


class LightTest(unittest.TestCase):
    def test_objects_move_with_their_pixels(self) -> None:
        inputs = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
        inputs[:, :, 8:24, 4:20] = 255
        objects = [torch.tensor([[0, 12 / 64, 16 / 64, 0.25, 0.25]]) for _ in range(8)]
        pictures = Pictures([""] * 8, inputs, objects, [Fit(1, 0, 0)] * 8)
        changed, moved = Light((32,))(pictures, list(range(8)), torch.Generator().manual_seed(3))
        self.assertEqual(tuple(changed.shape), (8, 3, 32, 32))
        self.assertEqual(len(moved[:, 2].unique()), 2, "all or none were mirrored")
        for i in range(8):
            columns = (changed[i, 1] > 0.3).any(0).nonzero()
            self.assertAlmostEqual(float(columns.float().mean() + 0.5) / 32, float(moved[i, 2]), places=5)


class MosaicTest(unittest.TestCase):
    def test_boxes_lie_on_their_pixels(self) -> None:
        pictures = squares(6)
        plain = Mosaic(hue=0, saturation=0, value=0)
        dice = torch.Generator().manual_seed(0)
        seen = 0
        for _ in range(20):
            inputs, objects = plain(pictures, [0, 1, 2, 3], dice)
            self.assertEqual(tuple(inputs.shape), (4, 3, 64, 64))
            self.assertTrue(((objects[:, 2:] >= 0) & (objects[:, 2:] <= 1)).all())
            for row in objects.tolist():
                x1, x2 = (row[2] - row[4] / 2) * 64, (row[2] + row[4] / 2) * 64
                y1, y2 = (row[3] - row[5] / 2) * 64, (row[3] + row[5] / 2) * 64
                if min(x2 - x1, y2 - y1) < 6:
                    continue
                part = inputs[int(row[0]), 0, round(y1) + 2 : round(y2) - 2, round(x1) + 2 : round(x2) - 2]
                self.assertGreater(float(part.min()), 0.95)
                seen += 1
            # every white pixel belongs to a box
            white = (inputs[:, 0] > 0.9).sum().item()
            area = float((objects[:, 4] * objects[:, 5]).sum()) * 64 * 64
            self.assertLess(white, area * 1.35 + 40)
        self.assertGreater(seen, 100)
        only = Mosaic(mirror=1.0, hue=0, saturation=0, value=0)
        a, with_mirror = only(pictures, [0], torch.Generator().manual_seed(7))
        b, without = Mosaic(mirror=0.0, hue=0, saturation=0, value=0)(pictures, [0], torch.Generator().manual_seed(7))
        torch.testing.assert_close(a, b.flip(3))
        torch.testing.assert_close(with_mirror[:, 2], 1 - without[:, 2])

    def test_one_picture_alone(self) -> None:
        pictures = squares(3)
        alone = Mosaic(mosaic=0, scale=0, translate=0, mirror=0, hue=0, saturation=0, value=0)
        inputs, objects = alone(pictures, [2, 0], torch.Generator().manual_seed(0))
        wanted, boxes = pictures.batch([2, 0])
        torch.testing.assert_close(inputs, wanted, rtol=0, atol=1e-4)
        torch.testing.assert_close(objects, boxes)

    def test_same_dice_same_batch(self) -> None:
        pictures = squares(5)
        first = Mosaic()(pictures, [1, 4], torch.Generator().manual_seed(9))
        again = Mosaic()(pictures, [1, 4], torch.Generator().manual_seed(9))
        for a, b in zip(first, again, strict=True):
            self.assertTrue(torch.equal(a, b))
        self.assertFalse(torch.equal(first[0], Mosaic()(pictures, [1, 4], torch.Generator().manual_seed(10))[0]))

    @yolov5_code.needed
    def test_moves_as_yolov5_does(self) -> None:
        theirs = yolov5_code.load("utils.augmentations")
        dice = np.random.default_rng(2)
        size = 64
        for _ in range(30):
            canvas = dice.integers(0, 256, (2 * size, 2 * size, 3)).astype(np.uint8)
            low = dice.uniform(0, 2 * size, (40, 2))
            boxes = np.concatenate((low, np.minimum(low + dice.uniform(1, 60, (40, 2)), 2 * size)), 1)
            labels = np.concatenate((dice.integers(0, 9, (40, 1)), boxes), 1)
            scale, x, y = dice.uniform(0.5, 1.5), dice.uniform(0.4, 0.6), dice.uniform(0.4, 0.6)
            # as random_perspective asks for them: perspective twice, turn, scale, shear twice, x, y
            answers = iter((0, 0, 0, scale, 0, 0, x, y))
            with mock.patch.object(random, "uniform", lambda a, b, answers=answers: next(answers)):
                picture, wanted = theirs.random_perspective(
                    canvas.copy(), labels.copy(), degrees=0, shear=0, border=(-size // 2, -size // 2)
                )
            centre = torch.tensor((x, y)) * size
            found = move(torch.from_numpy(labels).float(), scale, centre.float(), size)
            np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)
            mine = warp(torch.from_numpy(canvas).permute(2, 0, 1).float(), scale, centre, size)
            # OpenCV has positions of 1/32 pixel between noise that jumps by up to 255
            self.assertLess(np.abs(mine.permute(1, 2, 0).numpy() * 255 - picture).mean(), 2.5)

    def test_grey_outside(self) -> None:
        found = warp(torch.full((3, 64, 64), 255.0), 0.25, torch.tensor([16.0, 16.0]), 32)
        self.assertAlmostEqual(float(found[0, 0, 0]), PAD / 255, places=6)
        self.assertAlmostEqual(float(found[0, 16, 16]), 1.0, places=6)


class Colour(unittest.TestCase):
    def test_nothing_changes_at_one(self) -> None:
        inputs = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(recolour(inputs, torch.ones(2, 3)), inputs, rtol=0, atol=1e-5)
        greys = torch.linspace(0, 1, 16).view(1, 1, 4, 4).expand(1, 3, 4, 4)
        torch.testing.assert_close(recolour(greys, torch.tensor([[1.01, 1.5, 1.0]])), greys, rtol=0, atol=1e-5)

    @yolov5_code.needed
    def test_is_yolov5s(self) -> None:
        theirs = yolov5_code.load("utils.augmentations")
        dice = np.random.default_rng(5)
        for _ in range(10):
            picture = dice.integers(0, 256, (40, 40, 3)).astype(np.uint8)  # BGR, as OpenCV has it
            change = dice.uniform(-1, 1, 3)
            wanted = picture.copy()
            with mock.patch.object(np.random, "uniform", lambda *_, change=change: change):
                theirs.augment_hsv(wanted, 0.015, 0.7, 0.4)
            rgb = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
            gains = torch.from_numpy(1 + change * (0.015, 0.7, 0.4)).float()[None]
            found = recolour(rgb, gains)[0].permute(1, 2, 0).numpy()[..., ::-1] * 255
            # theirs rounds hue to 2 degrees and everything else to bytes, three times
            difference = np.abs(found - wanted)
            self.assertLess(difference.mean(), 2.0)
            self.assertLess(difference.max(), 32)


if __name__ == "__main__":
    unittest.main()
