"""The heads: size, layout, decoding, folding of batch norm."""

from __future__ import annotations

import math
import unittest

import torch
from torch import nn

from training.heads import ACTIVATIONS, KINDS, BaseConv, Detect, make_head
from training.yolov5 import COCO_ANCHORS, STRIDES, Config, YOLOv5

NA, NC = 3, 4
NO = 5 + NC
SMALL = (((12.0, 10.0), (20.0, 28.0), (40.0, 30.0)),) * 3


def head(kind: str, hidden: int | None = 16, act: str = "silu", inplace: bool = True) -> Detect:
    """Returns a head on maps of 8, 16 and 24 channels with weights that are all different."""
    torch.manual_seed(1)
    made = make_head(kind, NC, [list(level) for level in SMALL], [8, 16, 24], STRIDES, hidden, act, inplace)
    stir(made)
    return made.eval()


def stir(module: nn.Module) -> None:
    """Gives every batch norm statistics and gains of its own, as training would."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.uniform_(part.bias, -0.5, 0.5)


def features(batch: int = 2, ny: int = 8, nx: int = 12) -> list[torch.Tensor]:
    torch.manual_seed(2)
    return [torch.randn(batch, c, ny >> level, nx >> level) for level, c in enumerate((8, 16, 24))]


class Sizes(unittest.TestCase):
    def test_parameters_are_those_of_yolov5(self) -> None:
        # millions, 80 classes, counted on YOLOv5's own code
        for size, kind, hidden, millions in (
            ("s", "coupled", None, 7.24),
            ("s", "decoupled-base", 256, 10.98),
            ("s", "decoupled-base", None, 13.78),
            ("s", "decoupled", None, 13.43),
            ("m", "coupled", None, 21.19),
            ("m", "decoupled-base", 256, 24.93),
        ):
            with self.subTest(size=size, kind=kind, hidden=hidden):
                network = YOLOv5(Config(80, size, kind, hidden))
                self.assertAlmostEqual(sum(p.numel() for p in network.parameters()) / 1e6, millions, delta=0.006)

    def test_shapes(self) -> None:
        for kind in KINDS:
            with self.subTest(kind=kind):
                made = head(kind)
                maps = made.maps(features())
                self.assertEqual([tuple(x.shape) for x in maps], [(2, NA * NO, 8 >> i, 12 >> i) for i in range(3)])
                rows, views = made(features())
                cells = 8 * 12 + 4 * 6 + 2 * 3
                self.assertEqual(tuple(rows.shape), (2, NA * cells, NO))
                self.assertEqual(tuple(views[1].shape), (2, NA, 4, 6, NO))
                self.assertEqual(len(made.train()(features())), 3)

    def test_unknown_kind_and_activation(self) -> None:
        with self.assertRaisesRegex(ValueError, "decoupled-base"):
            head("rtmdet")
        with self.assertRaisesRegex(ValueError, "lrelu"):
            head("decoupled", act="gelu")


class Layout(unittest.TestCase):
    def test_decoupled_map_is_box_conf_labels(self) -> None:
        made = head("decoupled-base")
        x = features()[0]
        shared = made.base_conv[0](x)
        reg, cls = made.reg_convs[0](shared), made.cls_convs[0](shared)
        found = made.maps(features())[0]
        torch.testing.assert_close(found[:, : 4 * NA], made.m_box[0](reg))
        torch.testing.assert_close(found[:, 4 * NA : 5 * NA], made.m_conf[0](reg))
        torch.testing.assert_close(found[:, 5 * NA :], made.m_labels[0](cls))

    def test_anchor_owns_consecutive_channels_of_the_whole_map(self) -> None:
        made = head("decoupled-base")
        x = torch.arange(NA * NO * 6, dtype=torch.float32).view(1, NA * NO, 2, 3)
        view = made.split_anchors(x)
        for anchor in range(NA):
            for k in range(NO):
                torch.testing.assert_close(view[0, anchor, :, :, k], x[0, anchor * NO + k])

    def test_first_biases_follow_the_view(self) -> None:
        for kind in KINDS:
            with self.subTest(kind=kind):
                torch.manual_seed(0)
                made = make_head(kind, NC, [list(level) for level in SMALL], [8, 16, 24], STRIDES, 16)
                convs = [made.m[0]] if kind == "coupled" else [made.m_box[0], made.m_conf[0], made.m_labels[0]]
                bias = torch.cat([conv.bias.detach() for conv in convs]).view(NA, NO)
                # a convolution's own first bias is at most 1/sqrt(8)
                self.assertTrue((bias[:, :4].abs() < 0.36).all())
                self.assertTrue(((bias[:, 4] - math.log(8 / 80**2)).abs() < 0.36).all())
                self.assertTrue(((bias[:, 5:] - math.log(0.6 / (NC - 0.99999))).abs() < 0.36).all())


class Decoding(unittest.TestCase):
    def test_formula(self) -> None:
        made = head("coupled")
        x = torch.randn(1, NA, 2, 3, NO)
        rows = made.decode(x, 1)
        for anchor, y, column in ((0, 0, 0), (1, 1, 2), (2, 0, 1)):
            s = x[0, anchor, y, column].sigmoid()
            row = rows[0, (anchor * 2 + y) * 3 + column]
            width, height = SMALL[1][anchor]
            wanted = [
                (2 * s[0] - 0.5 + column) * 16,
                (2 * s[1] - 0.5 + y) * 16,
                (2 * s[2]) ** 2 * width,
                (2 * s[3]) ** 2 * height,
                *s[4:],
            ]
            torch.testing.assert_close(row, torch.stack(wanted))

    def test_in_place_and_not(self) -> None:
        for kind in KINDS:
            with self.subTest(kind=kind):
                there, elsewhere = head(kind, inplace=True), head(kind, inplace=False)
                torch.testing.assert_close(there(features())[0], elsewhere(features())[0], rtol=0, atol=0)

    def test_grid_follows_the_input(self) -> None:
        made = head("decoupled")
        made(features(ny=8, nx=12))
        rows, _ = made(features(ny=16, nx=4))
        fresh, _ = head("decoupled")(features(ny=16, nx=4))
        torch.testing.assert_close(rows, fresh, rtol=0, atol=0)
        self.assertGreater(float(rows[..., 1].max()), 100)


class Folding(unittest.TestCase):
    def test_base_conv(self) -> None:
        for act in ACTIVATIONS:
            for size in (1, 3, 6):
                with self.subTest(act=act, size=size):
                    torch.manual_seed(3)
                    conv = BaseConv(5, 7, size, act=act)
                    stir(conv)
                    x = torch.randn(2, 5, 9, 11)
                    wanted = conv.eval()(x)
                    conv.fuseforward()
                    conv.fuseforward()
                    self.assertIsInstance(conv.bn, nn.Identity)
                    torch.testing.assert_close(conv(x), wanted, rtol=0, atol=1e-5)

    def test_network(self) -> None:
        for kind in KINDS:
            with self.subTest(kind=kind):
                torch.manual_seed(4)
                network = YOLOv5(Config(NC, "demo", kind, 16, anchors=tuple(map(tuple, COCO_ANCHORS))))
                x = torch.rand(1, 3, 96, 64)
                network.train()
                for _ in range(3):
                    network(x)  # lets the statistics fit what flows through
                wanted = network.eval().raw_maps(x)
                for found, map_ in zip(network.fuse().raw_maps(x), wanted, strict=True):
                    torch.testing.assert_close(found, map_, rtol=0, atol=1e-5)
                self.assertFalse([m for m in network.modules() if isinstance(m, nn.BatchNorm2d)])


if __name__ == "__main__":
    unittest.main()
