"""The heads: layout, decoding, folding of batch norm."""

from __future__ import annotations

import itertools
import math
import unittest

import torch
from torch import nn

from training.heads import ACTIVATIONS, KINDS, LAYOUTS, AnchorHead, BaseConv, Detect, make_head
from training.yolov5 import STRIDES, Config, YOLOv5

NA, NC = 3, 4
NO = 5 + NC
SMALL = (((12.0, 10.0), (20.0, 28.0), (40.0, 30.0)),) * 3

# Every head there is: kind and layout.
HEADS = [(kind, layout) for kind in KINDS for layout in LAYOUTS if layout == "fused" or kind.startswith("decoupled")]


def fresh(kind: str, hidden: int | None = 16, act: str = "silu", inplace: bool = True, layout: str = "fused") -> Detect:
    """Returns a head on maps of 8, 16 and 24 channels."""
    torch.manual_seed(1)
    anchors = [list(level) for level in SMALL]
    return make_head(kind, NC, anchors, [8, 16, 24], STRIDES, hidden, act, inplace, layout)


def head(kind: str, hidden: int | None = 16, act: str = "silu", inplace: bool = True, layout: str = "fused") -> Detect:
    """Returns a fresh head whose weights are all different."""
    made = fresh(kind, hidden, act, inplace, layout)
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


class Layout(unittest.TestCase):
    def test_shapes(self) -> None:
        for kind, layout in HEADS:
            with self.subTest(kind=kind, layout=layout):
                made = head(kind, layout=layout)
                na = 1 if kind == "yolox" else NA
                self.assertEqual(made.na, na)
                maps = made.maps(features())
                self.assertEqual([tuple(x.shape) for x in maps], [(2, na * NO, 8 >> i, 12 >> i) for i in range(3)])
                rows, views = made(features())
                cells = 8 * 12 + 4 * 6 + 2 * 3
                self.assertEqual(tuple(rows.shape), (2, na * cells, NO))
                self.assertEqual(tuple(views[1].shape), (2, na, 4, 6, NO))
                training = made.train()(features())
                self.assertEqual([x.shape for x in training], [x.shape for x in views])

    def test_what_there_is_not(self) -> None:
        with self.assertRaisesRegex(ValueError, "decoupled-base"):
            head("rtmdet")
        with self.assertRaisesRegex(ValueError, "lrelu"):
            head("decoupled", act="gelu")
        with self.assertRaisesRegex(ValueError, "'rows' is none of fused, split"):
            head("decoupled", layout="rows")
        for kind in ("coupled", "yolox"):
            with self.assertRaisesRegex(ValueError, f"a {kind} head is fused"):
                head(kind, layout="split")

    def test_decoupled_map_is_box_conf_labels(self) -> None:
        made = head("decoupled-base")
        x = features()[0]
        shared = made.base_conv[0](x)
        reg, cls = made.reg_convs[0](shared), made.cls_convs[0](shared)
        found = made.maps(features())[0]
        torch.testing.assert_close(found[:, : 4 * NA], made.m_box[0](reg))
        torch.testing.assert_close(found[:, 4 * NA : 5 * NA], made.m_conf[0](reg))
        torch.testing.assert_close(found[:, 5 * NA :], made.m_labels[0](cls))

    def test_yolox_branches(self) -> None:
        for training in (True, False):
            made = head("yolox").train(training)
            x = features()[0]
            shared = made.stems[0](x)
            reg, cls = made.reg_convs[0](shared), made.cls_convs[0](shared)
            scores = torch.cat((made.obj_preds[0](reg), made.cls_preds[0](cls)), 1)
            found = made.maps(features())[0]
            torch.testing.assert_close(found[:, :4], made.reg_preds[0](reg))
            torch.testing.assert_close(found[:, 4:], scores if training else scores.sigmoid())
        self.assertEqual([len(branch) for branch in (*made.cls_convs, *made.reg_convs)], [2] * 6)

    def test_fused_anchor_owns_consecutive_channels_of_the_whole_map(self) -> None:
        for kind in ("coupled", "decoupled-base"):
            made = head(kind)
            x = torch.arange(NA * NO * 6, dtype=torch.float32).view(1, NA * NO, 2, 3)
            parts = [x] if kind == "coupled" else list(x.split([4 * NA, NA, NC * NA], 1))
            view = made.view(parts)
            for anchor in range(NA):
                for k in range(NO):
                    torch.testing.assert_close(view[0, anchor, :, :, k], x[0, anchor * NO + k])

    def test_split_anchor_owns_its_share_of_each_part(self) -> None:
        made = head("decoupled", layout="split")
        box, conf, labels = parts = [torch.randn(1, NA * n, 2, 3) for n in (4, 1, NC)]
        view = made.view(parts)
        for anchor in range(NA):
            for k in range(4):
                torch.testing.assert_close(view[0, anchor, :, :, k], box[0, anchor * 4 + k])
            torch.testing.assert_close(view[0, anchor, :, :, 4], conf[0, anchor])
            for k in range(NC):
                torch.testing.assert_close(view[0, anchor, :, :, 5 + k], labels[0, anchor * NC + k])

    def test_first_biases_follow_the_view(self) -> None:
        for kind, layout in HEADS:
            with self.subTest(kind=kind, layout=layout):
                made = fresh(kind, layout=layout)
                biases = [conv.bias.detach().view(1, -1, 1, 1) for conv in made.convs(0)]
                bias = made.view(biases)[0, :, 0, 0]
                conf, label = math.log(8 / 80**2), math.log(0.6 / (NC - 0.99999))
                if kind == "yolox":
                    conf = label = math.log(0.01 / 0.99)
                # a convolution's own first bias is at most 1/sqrt(8)
                self.assertTrue((bias[:, :4].abs() < 0.36).all())
                self.assertTrue(((bias[:, 4] - conf).abs() < 0.36).all())
                self.assertTrue(((bias[:, 5:] - label).abs() < 0.36).all())


class Decoding(unittest.TestCase):
    def test_formula(self) -> None:
        made = head("coupled")
        assert isinstance(made, AnchorHead)
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

    def test_yolox_formula(self) -> None:
        made = head("yolox")
        views = [torch.randn(2, 1, 4 >> i, 8 >> i, NO) for i in range(3)]
        given = [x.clone() for x in views]
        torch.testing.assert_close(made.rows_grid(views), torch.cat([x.flatten(1, 3) for x in views], 1))
        rows = made.rows(views)
        for level, start, y, column in ((0, 0, 0, 0), (0, 0, 3, 7), (1, 32, 1, 2), (2, 40, 0, 1)):
            p = views[level][1, 0, y, column]
            stride = STRIDES[level]
            xy = [(p[0] + column) * stride, (p[1] + y) * stride]
            wanted = [*xy, p[2].exp() * stride, p[3].exp() * stride, *p[4:]]
            torch.testing.assert_close(rows[1, start + y * (8 >> level) + column], torch.stack(wanted))
        torch.testing.assert_close(views, given, rtol=0, atol=0)

    def test_in_place_and_not(self) -> None:
        for kind, layout in HEADS:
            with self.subTest(kind=kind, layout=layout):
                (there, raw), (elsewhere, same) = (
                    head(kind, inplace=inplace, layout=layout)(features()) for inplace in (True, False)
                )
                torch.testing.assert_close(there, elsewhere, rtol=0, atol=0)
                torch.testing.assert_close(raw, same, rtol=0, atol=0)

    def test_grid_follows_the_input(self) -> None:
        for kind in KINDS:
            with self.subTest(kind=kind):
                made = head(kind)
                made(features(ny=8, nx=12))
                rows, _ = made(features(ny=16, nx=4))
                wanted, _ = head(kind)(features(ny=16, nx=4))
                torch.testing.assert_close(rows, wanted, rtol=0, atol=0)
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
        for (kind, layout), act in itertools.product(HEADS, ACTIVATIONS):
            with self.subTest(kind=kind, layout=layout, act=act):
                torch.manual_seed(4)
                network = YOLOv5(Config(NC, "demo", kind, 16, act, layout=layout))
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
