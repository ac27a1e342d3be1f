"""Training and export."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
from PIL import Image

from training import checkpoint
from training.augment import Light
from training.dataset import Fit, Pictures
from training.evaluate import detect, evaluate, match, mean_average_precision
from training.export import to_onnx
from training.loss import Gains
from training.tests.limit import LIMIT
from training.tests.toys import ANCHORS, CONFIG, compose_toy, toy
from training.train import Average, Schedule, Trainer
from training.yolov5 import STRIDES, Config, YOLOv5

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
        schedule = Schedule(epochs=3, batch=4, warm_up=2, evaluate_every=1)
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
            for one, other in ((whole.network, again.network), (whole.average.network, again.average.network)):
                for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
            self.assertEqual(again.average.steps, whole.average.steps)
            lines = Path(name, "cut", "metrics.csv").read_text().splitlines()
            self.assertEqual([line.split(",")[0] for line in lines], ["epoch", "1", "2", "3"])
            longer = Trainer(CONFIG, replace(schedule, epochs=4), Gains(), Path(name, "cut"))
            with self.assertRaisesRegex(ValueError, "another schedule"):
                longer.resume()

            # a checkpoint older than a field of Config has that field's default
            saved = torch.load(again.checkpoint)
            del saved["config"]["layout"]
            torch.save(saved, again.checkpoint)
            self.assertTrue(Trainer(CONFIG, schedule, Gains(), cut.out).resume())
            other = Trainer(Config(classes=2, size="demo", hidden=24, anchors=ANCHORS), schedule, Gains(), cut.out)
            with self.assertRaisesRegex(ValueError, "another network"):
                other.resume()
            loaded, _ = checkpoint.load(whole.checkpoint)
            other = Trainer(CONFIG, schedule, Gains(), Path(name, "next"))
            other.start_from(loaded)
            for network in (other.network, other.average.network):
                torch.testing.assert_close(network.state_dict(), loaded.state_dict(), rtol=0, atol=0)
            self.assertEqual(evaluate(loaded, pictures, 0.5).objects, sum(len(o) for o in pictures.objects))

    def test_average_follows(self) -> None:
        network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))
        average = Average(network, decay=0.9, start=2)
        before = float(network[0].weight)
        with torch.no_grad():
            network[0].weight += 1
            network[1].running_mean += 2
            network[1].num_batches_tracked += 5
        average.follow(network)
        keep = 0.9 * (1 - math.exp(-1 / 2))
        self.assertAlmostEqual(float(average.network[0].weight), before + 1 - keep, places=6)
        self.assertAlmostEqual(float(average.network[1].running_mean), 2 * (1 - keep), places=6)
        self.assertEqual(int(average.network[1].num_batches_tracked), 5)

    def test_command_line(self) -> None:
        command = [sys.executable, "-m", "training.train", "--names", "disc,bar", "--size", "pico", "--head", "yolox"]
        command += ["--imgsz", "64", "--epochs", "1", "--batch", "4", "--hidden", "16"]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            compose_toy(folder / "toy", 4, 64)
            command += ["--data", str(folder / "toy"), "--val", str(folder / "toy"), "--out", str(folder / "run")]
            ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=LIMIT)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertRegex(ran.stdout, r"^mAP50 [\d.]+; at 0.5: precision [\d.]+, recall [\d.]+$")
            with Image.open(folder / "run" / "metrics.png") as plot:
                self.assertGreater(min(plot.size), 400)
            written = {path.name for path in (folder / "run").iterdir()}
            self.assertEqual(written, {"last.pt", "metrics.csv", "metrics.png"})
            (folder / "toy" / "labels" / "train_00000.txt").write_text("0 0.5 0.5 2 0.1\n")
            ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=LIMIT)
            self.assertEqual(ran.returncode, 1)
            self.assertRegex(ran.stderr, r"\Atraining\.train: .*train_00000\.txt, line 1: want a class and four shares")
            (folder / "toy" / "labels" / "train_00000.txt").write_text("2 0.5 0.5 0.2 0.1\n")
            ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=LIMIT)
            self.assertEqual(ran.returncode, 1)
            self.assertIn("training.train: the labels have class 2, the network only 0 to 1", ran.stderr)

    def test_rate_rises_then_falls(self) -> None:
        schedule = Schedule(lr=1.0, warm_up=10, last_lr=0.1)
        self.assertAlmostEqual(schedule.rate(0, 0), 0.1)
        self.assertAlmostEqual(schedule.rate(0, 10), 1.0)
        self.assertAlmostEqual(schedule.rate(0.5, 99), 0.55)
        self.assertAlmostEqual(schedule.rate(1.5, 99), 0.1)
        # a rate that starts high comes down instead, and momentum comes up
        self.assertAlmostEqual(schedule.rate(0, 0, first=11.0), 10.0)
        self.assertAlmostEqual(schedule.rate(0, 10, first=11.0), 1.0)
        trainer = Trainer(
            CONFIG, replace(schedule, momentum=0.9, warm_up_momentum=0.8, warm_up_bias_lr=11.0), Gains(), Path()
        )
        for step, rates, momentum in ((0, {0.1, 10.0}, 0.81), (10, {1.0}, 0.9)):
            trainer.schedule.steer(trainer.optimizer, 0, step)
            self.assertEqual({round(group["lr"], 6) for group in trainer.optimizer.param_groups}, rates)
            self.assertEqual({round(group["betas"][0], 6) for group in trainer.optimizer.param_groups}, {momentum})
        count = sum(len(group["params"]) for group in trainer.optimizer.param_groups)
        self.assertEqual(count, len(list(trainer.network.parameters())), "a weight is trained twice or never")

    def test_clock_ends_it(self) -> None:
        pictures = Pictures(["a"], torch.zeros(1, 3, 64, 64, dtype=torch.uint8), [torch.zeros(0, 5)], [Fit(1, 0, 0)])
        schedule = Schedule(epochs=10**6, minutes=0.01, batch=1, augment=Light((64,)))
        # a clock by which each batch takes an eighth of a second
        clock = SimpleNamespace(monotonic=map(float.__truediv__, itertools.count(0.0), itertools.repeat(8.0)).__next__)
        with (
            tempfile.TemporaryDirectory() as name,
            contextlib.redirect_stderr(io.StringIO()),
            mock.patch("training.train.time", clock),
        ):
            trainer = Trainer(CONFIG, schedule, Gains(), Path(name))
            trainer.run(pictures, None)
        self.assertEqual(trainer.step, 5)
        self.assertEqual(trainer.seconds, 0.625)


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
                subprocess.run([ONNX_PYTHON, "-c", RUN_ONNX], cwd=name, check=True, timeout=LIMIT)
                with torch.no_grad():
                    maps = network.raw_maps(images)
                for level, wanted in enumerate(maps):
                    found = np.load(Path(name, f"output{level}.npy"))
                    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-4)


if __name__ == "__main__":
    unittest.main()
