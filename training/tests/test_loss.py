"""The losses: by hand, against YOLOv5's own code, and falling on a toy batch."""

from __future__ import annotations

import dataclasses
import math
import types
import unittest

import torch
from torch import Tensor, nn

from training.heads import LAYOUTS
from training.loss import DetectionLoss, Gains, ciou
from training.simota import YOLOXLoss, assign
from training.tests import yolov5_code
from training.tests.toys import CONFIG, toy
from training.yolov5 import STRIDES, YOLOv5


def objects_at_random(count: int, pictures: int, classes: int, random: torch.Generator) -> Tensor:
    """Returns objects (count, 6) of every size, some of them over the edge."""
    objects = torch.rand(count, 6, generator=random)
    objects[:, 0] = torch.randint(pictures, (count,), generator=random)
    objects[:, 1] = torch.randint(classes, (count,), generator=random)
    objects[:, 4:] = objects[:, 4:] ** 3 * 0.9 + 0.005
    return objects


class Loss(unittest.TestCase):
    def test_ciou_by_hand(self) -> None:
        same = torch.tensor([[5.0, 6.0, 4.0, 2.0]])
        self.assertAlmostEqual(float(ciou(same, same)), 1.0, places=5)
        # moved by 2 of 4: IoU 4/12, centres 2 apart, hull 6x2
        moved = torch.tensor([[7.0, 6.0, 4.0, 2.0]])
        self.assertAlmostEqual(float(ciou(same, moved)), 4 / 12 - 4 / 40, places=5)
        # same centre, turned: IoU 4/12, and the term of the shapes
        turned = torch.tensor([[5.0, 6.0, 2.0, 4.0]])
        v = (2 / math.pi * (math.atan(2) - math.atan(0.5))) ** 2
        self.assertAlmostEqual(float(ciou(same, turned)), 4 / 12 - v * v / (v - 4 / 12 + 1), places=5)

    def test_cells_that_answer(self) -> None:
        loss = DetectionLoss(YOLOv5(CONFIG).head)
        # 12x12 cells of 8 pixels: centre of cell (x 5.25, y 5.75), as large as the first anchor
        objects = torch.tensor([[1.0, 1.0, 5.25 / 12, 5.75 / 12, 12 / 96, 10 / 96]])
        found = loss.match(0, 12, 12, objects)
        first = found.anchor == 0
        cells = set(zip(found.column[first].tolist(), found.row[first].tolist(), strict=True))
        self.assertEqual(cells, {(5, 5), (4, 5), (5, 6)})
        self.assertEqual(set(found.anchor.tolist()), {0, 1, 2})
        self.assertEqual(found.picture.unique().tolist(), [1])
        self.assertEqual(found.label.unique().tolist(), [1])
        at = [i for i in range(len(first)) if first[i] and int(found.column[i]) == 4][0]
        torch.testing.assert_close(found.box[at], torch.tensor([1.25, 0.75, 1.5, 1.25]))
        # 10 pixels are less than a quarter of every anchor at stride 32
        self.assertEqual(len(loss.match(2, 3, 3, objects).picture), 0)

    def test_edges_stay_inside(self) -> None:
        loss = DetectionLoss(YOLOv5(CONFIG).head)
        objects = torch.tensor([[0.0, 0, x, y, 0.15, 0.15] for x in (0.0, 0.01, 1.0) for y in (0.0, 0.99, 1.0)])
        found = loss.match(0, 12, 12, objects)
        for cell in (found.row, found.column):
            self.assertTrue(((cell >= 0) & (cell < 12)).all())

    def test_falls_on_a_toy_batch(self) -> None:
        torch.manual_seed(0)
        pictures = toy()
        inputs, objects = pictures.batch(list(range(len(pictures))))
        kinds = [dataclasses.replace(CONFIG, layout=layout) for layout in LAYOUTS]
        for config in (*kinds, dataclasses.replace(CONFIG, head="yolox")):
            network = YOLOv5(config).train()
            head = network.head
            loss = YOLOXLoss(head) if config.head == "yolox" else DetectionLoss(head, Gains())
            optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
            parts = []
            for _ in range(60):
                total, part = loss(network(inputs), objects)
                optimizer.zero_grad()
                total.backward()
                optimizer.step()
                parts.append(part)
            for before, after in zip(parts[0].tolist(), parts[-1].tolist(), strict=True):
                self.assertLess(after, 0.7 * before, config)

    def test_no_objects(self) -> None:
        network = YOLOv5(CONFIG).train()
        total, parts = DetectionLoss(network.head)(network(torch.rand(1, 3, 64, 64)), torch.zeros(0, 6))
        total.backward()
        self.assertGreater(float(parts[1]), 0)
        self.assertEqual(parts[[0, 2]].tolist(), [0, 0])

    def test_gains_of_another_size(self) -> None:
        gains = Gains.scaled(12, 320)
        self.assertEqual((gains.box, gains.conf, gains.label), (0.05, 0.25, 0.075))

    @yolov5_code.needed
    def test_is_yolov5s(self) -> None:
        theirs = yolov5_code.load("utils.loss").ComputeLoss
        theirs.sort_obj_iou = True  # else the order of duplicates is left open
        random = torch.Generator().manual_seed(4)
        head = YOLOv5(dataclasses.replace(CONFIG, classes=7)).head
        strides = torch.tensor(STRIDES).view(3, 1, 1)
        layer = types.SimpleNamespace(nl=3, na=3, nc=7, stride=torch.tensor(STRIDES), anchors=head.anchors / strides)
        for objects_count in (0, 1, 8, 200):
            for gains in (Gains(), Gains.scaled(7, 320)):
                model = nn.Linear(1, 1)
                model.model = [layer]
                model.hyp = {"box": gains.box, "obj": gains.conf, "cls": gains.label, "anchor_t": gains.ratio}
                model.hyp |= {"cls_pw": 1.0, "obj_pw": 1.0, "fl_gamma": 0.0, "label_smoothing": 0.0}
                maps = [torch.randn(4, 3, 320 // s, 256 // s, 12, generator=random) for s in STRIDES]
                objects = objects_at_random(objects_count, 4, 7, random)
                results = []
                for compute in (DetectionLoss(head, gains), theirs(model)):
                    leaves = [x.clone().requires_grad_() for x in maps]
                    total, parts = compute(leaves, objects)
                    total.backward()
                    results.append((total.detach().view(1), parts, *(x.grad for x in leaves)))
                for mine, other in zip(*results, strict=True):
                    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


class SimOTA(unittest.TestCase):
    def test_takes_the_best_fitting_cells(self) -> None:
        # 4x4 cells of 8 pixels, an object of two cells about the corner between cells 5, 6, 9 and 10
        middles = (
            torch.stack(torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="xy"), -1).view(-1, 2) * 8 + 4
        )
        strides = torch.full((16, 1), 8.0)
        boxes, labels = torch.tensor([[16.0, 16.0, 16.0, 16.0]]), torch.tensor([[0.0, 1.0]])
        rows = torch.zeros(16, 7)
        rows[:, :2], rows[:, 2:4] = middles, 1e-3
        rows[5, :4] = rows[9, :4] = boxes[0]  # IoU 1 each, so that k is 2
        rows[0, :4] = boxes[0]  # fits as well, but its middle is 12 pixels away
        cell, which = assign(rows, middles, strides, boxes, labels)
        self.assertEqual((cell.tolist(), which.tolist()), ([5, 9], [0, 0]))
        # the label decides where boxes do not: k is 1 for cells that fit half
        rows[5, 3], rows[9, 3] = 8.0, 7.5
        rows[9, 5:] = torch.tensor((-6.0, 6.0))
        self.assertEqual(assign(rows, middles, strides, boxes, labels)[0].tolist(), [9])

    def test_a_cell_answers_for_one_object(self) -> None:
        middles, strides = torch.tensor([[4.0, 4.0], [12.0, 4.0]]), torch.full((2, 1), 8.0)
        boxes = torch.tensor([[4.0, 4.0, 8.0, 8.0], [5.0, 4.0, 8.0, 8.0]])
        rows = torch.zeros(2, 6)
        rows[:, :4] = boxes[1]
        cell, which = assign(rows, middles, strides, boxes, torch.ones(2, 1))
        self.assertEqual(len(cell.unique()), len(cell))
        self.assertIn((0, 1), zip(cell.tolist(), which.tolist(), strict=True))

    def test_no_cell_is_near(self) -> None:
        boxes = torch.tensor([[100.0, 100.0, 8.0, 8.0]])
        cell, which = assign(
            torch.zeros(1, 6), torch.tensor([[4.0, 4.0]]), torch.tensor([[8.0]]), boxes, torch.ones(1, 1)
        )
        self.assertEqual((len(cell), len(which)), (0, 0))

    def test_pictures_and_order_do_not_matter(self) -> None:
        random = torch.Generator().manual_seed(1)
        head = YOLOv5(dataclasses.replace(CONFIG, head="yolox")).head
        loss = YOLOXLoss(head)
        maps = [torch.randn(3, 1, 96 // s, 96 // s, 7, generator=random) for s in STRIDES]
        objects = objects_at_random(12, 3, 2, random)
        whole = loss(maps, objects)
        turned = objects[torch.randperm(12, generator=random)]
        torch.testing.assert_close(loss(maps, turned)[1], whole[1])
        back = turned.clone()
        back[:, 0] = 2 - back[:, 0]
        torch.testing.assert_close(loss([x.flip(0) for x in maps], back)[1], whole[1])
        empty = loss(maps, objects[:0])[1]
        self.assertEqual(empty[[0, 2]].tolist(), [0, 0])
        self.assertGreater(float(empty[1]), 0)


if __name__ == "__main__":
    unittest.main()
