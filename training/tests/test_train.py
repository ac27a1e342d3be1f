"""Loss, training and export."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.compose import Composer, Recipe, write_split
from training.dataset import Fit, Pictures, augment, read_pictures
from training.evaluate import detect, evaluate, match, mean_average_precision
from training.export import to_onnx
from training.heads import LAYOUTS
from training.loss import DetectionLoss, Gains, ciou
from training.tests.test_compose import drawn
from training.train import Schedule, Trainer, load_network
from training.yolov5 import STRIDES, Config, YOLOv5

ANCHORS = (
    ((12.0, 10.0), (20.0, 24.0), (30.0, 16.0)),
    ((30.0, 40.0), (50.0, 40.0), (40.0, 64.0)),
    ((80.0, 70.0), (100.0, 120.0), (140.0, 90.0)),
)
CONFIG = Config(classes=2, size="demo", head="decoupled-base", hidden=16, anchors=ANCHORS)

# ONNX Runtime is in another Python than PyTorch.
TOP = Path(__file__).resolve().parents[2]
ONNX_PYTHON = TOP / "build" / "deps" / "venv" / "bin" / "python"
RUN_ONNX = """
import numpy, onnx, onnxruntime
model = onnx.load("net.onnx")
onnx.checker.check_model(model, full_check=True)
metadata = {entry.key: entry.value for entry in model.metadata_props}
assert metadata["stride"] == "32" and metadata["names"] == "{0: 'disc', 1: 'bar'}", metadata
assert metadata["anchors"].startswith("[[[12.0, 10.0], [20.0, 24.0]"), metadata
assert model.opset_import[0].version == 13
session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
for name, value in zip(names, session.run(names, {"images": numpy.load("images.npy")})):
    numpy.save(name + ".npy", value)
"""


def toy(count: int = 6, size: int = 96) -> Pictures:
    """Returns composed pictures of discs and bars on grey."""
    recipe = Recipe(size, size, objects=(1, 2), longest_side=(24, 60), background_only=0, upright=1)
    with tempfile.TemporaryDirectory() as folder:
        write_split(Path(folder), "train", count, Composer(drawn(), [Image.new("RGB", (200, 200), "gray")], recipe))
        return read_pictures(Path(folder), size)


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
        for layout in LAYOUTS:
            network = YOLOv5(dataclasses.replace(CONFIG, layout=layout)).train()
            loss = DetectionLoss(network.head, Gains())
            optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
            parts = []
            for _ in range(60):
                total, part = loss(network(inputs), objects)
                optimizer.zero_grad()
                total.backward()
                optimizer.step()
                parts.append(part)
            for before, after in zip(parts[0].tolist(), parts[-1].tolist(), strict=True):
                self.assertLess(after, 0.7 * before, layout)

    def test_no_objects(self) -> None:
        network = YOLOv5(CONFIG).train()
        total, parts = DetectionLoss(network.head)(network(torch.rand(1, 3, 64, 64)), torch.zeros(0, 6))
        total.backward()
        self.assertGreater(float(parts[1]), 0)
        self.assertEqual(parts[[0, 2]].tolist(), [0, 0])

    def test_yolox_is_not_trained(self) -> None:
        command = [sys.executable, "-m", "training.train", "--data", ".", "--names", "a", "--size", "demo"]
        with tempfile.TemporaryDirectory() as folder:
            command += ["--head", "yolox", "--out", str(Path(folder, "run"))]
            ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=120)
            self.assertEqual(list(Path(folder).iterdir()), [])
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stderr, r"\Atraining\.train: a yolox head cannot be trained yet, .* train coupled, .*\n\Z")


class Augment(unittest.TestCase):
    def test_objects_move_with_their_pixels(self) -> None:
        inputs = torch.zeros(8, 3, 64, 64)
        inputs[:, :, 8:24, 4:20] = 1.0
        objects = torch.tensor([[i, 0, 12 / 64, 16 / 64, 0.25, 0.25] for i in range(8)])
        kept = inputs.clone(), objects.clone()
        changed, moved = augment(inputs, objects, [32], torch.Generator().manual_seed(3))
        self.assertTrue(torch.equal(inputs, kept[0]) and torch.equal(objects, kept[1]))
        self.assertEqual(tuple(changed.shape), (8, 3, 32, 32))
        self.assertEqual(len(moved[:, 2].unique()), 2, "all or none were mirrored")
        for i in range(8):
            columns = (changed[i, 1] > 0.3).any(0).nonzero()
            self.assertAlmostEqual(float(columns.float().mean() + 0.5) / 32, float(moved[i, 2]), places=5)


class Evaluate(unittest.TestCase):
    def test_detect(self) -> None:
        rows = np.array(
            [
                [50, 50, 20, 20, 0.9, 0.9, 0.1],
                [51, 50, 20, 20, 0.8, 0.9, 0.1],  # the same object again
                [51, 50, 20, 20, 0.8, 0.1, 0.9],  # another class in its place
                [90, 90, 10, 10, 0.6, 0.6, 0.1],  # conf alone is enough, times label not
            ]
        )
        found = detect(rows, 0.5)
        np.testing.assert_allclose(found, [[40, 40, 60, 60, 0.81, 0], [41, 40, 61, 60, 0.72, 1]])

    def test_one_object_is_found_once(self) -> None:
        objects = np.array([[0, 0, 0, 10, 10], [1, 20, 20, 30, 30]], float)
        found = np.array([[0, 0, 10, 10, 0.9, 0], [0, 0, 10, 9, 0.8, 0], [20, 20, 30, 30, 0.7, 0]])
        self.assertEqual(match(found, objects).tolist(), [True, False, False])

    def test_average_precision_by_hand(self) -> None:
        # class 0: right, wrong, right of 3 objects: 1/3 * 1 + 1/3 * 2/3; class 1: nothing found
        score, label = np.array([0.9, 0.8, 0.7]), np.zeros(3)
        area = mean_average_precision(score, label, np.array([True, False, True]), np.array([0, 0, 0, 1]))
        self.assertAlmostEqual(area, (1 / 3 + 2 / 9) / 2)


class Train(unittest.TestCase):
    def test_learns_resumes_and_stops(self) -> None:
        pictures = toy(8, 64)
        schedule = Schedule(epochs=3, batch=4, warm_up=2, sizes=(64,), evaluate_every=1)
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
            whole = Trainer(CONFIG, schedule, Gains(), Path(name, "whole"))
            whole.run(pictures, pictures)
            lines = Path(name, "whole", "metrics.csv").read_text().splitlines()
            self.assertEqual([line.split(",")[0] for line in lines], ["epoch", "1", "2", "3"])

            # Ctrl+C in the second epoch: the first stays, the second is trained again
            cut = Trainer(CONFIG, schedule, Gains(), Path(name, "cut"))
            save = cut.save
            cut.save = lambda: (save(), os.kill(os.getpid(), signal.SIGINT))
            self.assertIsNone(cut.run(pictures, None))
            self.assertTrue(cut.stopped)
            again = Trainer(CONFIG, schedule, Gains(), Path(name, "cut"))
            self.assertTrue(again.resume())
            self.assertEqual(again.epoch, 1)
            again.run(pictures, None)
            self.assertEqual(again.epoch, 3)
            pairs = zip(whole.network.state_dict().values(), again.network.state_dict().values(), strict=True)
            for a, b in pairs:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

            # a checkpoint older than a field of Config has that field's default
            saved = torch.load(again.checkpoint)
            del saved["config"]["layout"]
            torch.save(saved, again.checkpoint)
            self.assertTrue(Trainer(CONFIG, schedule, Gains(), cut.out).resume())
            other = Trainer(Config(classes=2, size="demo", hidden=24, anchors=ANCHORS), schedule, Gains(), cut.out)
            with self.assertRaisesRegex(ValueError, "another network"):
                other.resume()
            loaded = load_network(whole.checkpoint)
            other = Trainer(CONFIG, schedule, Gains(), Path(name, "next"))
            other.start_from(loaded)
            for network in (other.network, other.average.network):
                torch.testing.assert_close(network.state_dict(), loaded.state_dict(), rtol=0, atol=0)
            self.assertEqual(evaluate(loaded, pictures, 0.5).objects, sum(len(o) for o in pictures.objects))

    def test_rate_rises_then_falls(self) -> None:
        schedule = Schedule(lr=1.0, warm_up=10, last_lr=0.1)
        self.assertAlmostEqual(schedule.rate(0, 0), 0.1)
        self.assertAlmostEqual(schedule.rate(0, 10), 1.0)
        self.assertAlmostEqual(schedule.rate(0.5, 99), 0.55)
        self.assertAlmostEqual(schedule.rate(1.5, 99), 0.1)

    def test_clock_ends_it(self) -> None:
        pictures = Pictures(["a"], torch.zeros(1, 3, 64, 64, dtype=torch.uint8), [torch.zeros(0, 5)], [Fit(1, 0, 0)])
        schedule = Schedule(epochs=10**6, minutes=0.01, batch=1, sizes=(64,))
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
            trainer = Trainer(CONFIG, schedule, Gains(), Path(name))
            trainer.run(pictures, None)
        self.assertGreaterEqual(trainer.seconds, 0.6)
        self.assertLess(trainer.seconds, 20)


class Export(unittest.TestCase):
    def test_same_bytes_with_metadata(self) -> None:
        torch.manual_seed(0)
        network = YOLOv5(CONFIG)
        first = to_onnx(network, ["disc", "bar"])
        self.assertEqual(first, to_onnx(network, ["disc", "bar"], size=64))
        for text in ("images", "output0", "output2", "{0: 'disc', 1: 'bar'}", "[[[12.0, 10.0], ", "stride"):
            self.assertIn(text.encode(), first)
        self.assertNotIn(b"BatchNormalization", first)
        self.assertIsNone(re.search(rb"training/|\.py", first), "a path of this machine is in the file")
        self.assertTrue([m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)], "it was changed")
        with self.assertRaisesRegex(ValueError, "3 names do not fit 2 classes"):
            to_onnx(network, ["a", "b", "c"])
        self.assertEqual(len(STRIDES), 3)

    @unittest.skipUnless(ONNX_PYTHON.exists(), f"no {ONNX_PYTHON}: build/setup.sh test makes it")
    def test_onnx_runtime_gives_the_same_maps(self) -> None:
        torch.manual_seed(0)
        network = YOLOv5(CONFIG).eval()
        with tempfile.TemporaryDirectory() as name:
            path = Path(name, "net.onnx")
            path.write_bytes(to_onnx(network, ["disc", "bar"]))
            for shape in ((1, 3, 64, 64), (3, 3, 96, 160)):
                images = torch.rand(shape)
                np.save(Path(name, "images.npy"), images.numpy())
                subprocess.run([ONNX_PYTHON, "-c", RUN_ONNX], cwd=name, check=True, timeout=120)
                with torch.no_grad():
                    maps = network.raw_maps(images)
                for level, wanted in enumerate(maps):
                    found = np.load(Path(name, f"output{level}.npy"))
                    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-4)


if __name__ == "__main__":
    unittest.main()
