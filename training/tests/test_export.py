"""Exported files: trtdet reads each for what it is and finds in it what PyTorch's own decoding finds.

`make test` takes every pair of choices, `make test-full` (TRTDET_FULL=1) their
full product and the large sizes.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.dataset import PAD
from training.evaluate import detect
from training.export import DYNAMIC, layouts_of, to_onnx
from training.half import to_half
from training.heads import ACTIVATIONS, YOLOXHead
from training.tests.limit import LIMIT
from training.tests.nets import calibrated
from training.yolov5 import STRIDES, Config, YOLOv5

TOP = Path(__file__).resolve().parents[2]
TRTDET = TOP / "build" / "out" / "bin" / "trtdet"
NAMES = ["disc", "bar's end", "é", "cross"]
# sides that are no whole numbers have to come through as they are
ANCHORS = (
    ((6.5, 8.25), (10.0, 20.0), (22.75, 15.0)),
    ((20.0, 40.0), (41.0, 30.5), (40.0, 80.0)),
    ((77.0, 60.0), (104.0, 132.0), (180.0, 150.0)),
)

# Every head: kind, width of the branches (None for each level's own), how it reads its channels.
HEADS = (
    ("coupled", None, "fused"),
    ("decoupled-base", 16, "fused"),
    ("decoupled-base", 16, "split"),
    ("decoupled-base", None, "fused"),
    ("decoupled-base", None, "split"),
    ("decoupled", None, "fused"),
    ("decoupled", None, "split"),
    ("yolox", 16, "fused"),
)
THRESHOLDS = {"coupled": 0.25, "decoupled-base": 0.5, "decoupled": 0.4, "yolox": 0.25}

# Heights and widths of the input: the one a file is made for, and another for files that take any.
MADE, OTHER = (128, 192), (160, 224)

BOX, SCORE = 0.05, 1e-4  # pixels, and the score, that a detection may be off
# In half precision every activation is rounded to 11 bits, and so are the maps: at 2 to 4 by up to 0.001. Predictions
# are found to be off by up to 0.001 in all, and by 0.004 where the CPU computes in half itself (AVX512-FP16) and rounds
# sums too; twice that is allowed. A box or a score may be off by what such a prediction moves it by: a centre by at
# most a stride, a side by at most twice itself.
HALF = 0.008


@dataclass(frozen=True)
class Case:
    """One exported file."""

    head: tuple[str, int | None, str]
    layout: str
    act: str
    dynamic: str
    half: bool
    inplace: bool
    size: str
    batch: int  # of a file whose batch is fixed

    @property
    def config(self) -> Config:
        kind, hidden, layout = self.head
        return Config(len(NAMES), self.size, kind, hidden, self.act, ANCHORS, layout)

    @property
    def any_size(self) -> bool:
        return self.dynamic in ("size", "both")

    @property
    def any_batch(self) -> bool:
        return self.dynamic in ("batch", "both")


def cases(sizes: tuple[str, ...], batches: tuple[int, ...] = (1, 2)) -> list[Case]:
    """Returns every file that there can be of these sizes."""
    found = []
    for head, act, dynamic, half, size in itertools.product(HEADS, ACTIVATIONS, DYNAMIC, (False, True), sizes):
        for layout in layouts_of(Config(len(NAMES), head=head[0], layout=head[2])):
            decoded = layout in ("rows", "rows+maps")
            fixed = dynamic in ("none", "size")
            for inplace, batch in itertools.product((True, False) if decoded else (True,), batches if fixed else (1,)):
                found.append(Case(head, layout, act, dynamic, half, inplace, size, batch))
    return found


def pairs(case: Case) -> set[frozenset]:
    """Returns every two choices that meet in a file."""
    return {frozenset(two) for two in itertools.combinations(dataclasses.asdict(case).items(), 2)}


def pairwise(product: list[Case]) -> list[Case]:
    """Returns a few files in which every two choices meet that meet anywhere in the product."""
    left = [(case, pairs(case)) for case in product]
    missing = set().union(*(met for _, met in left))
    chosen = []
    while missing:
        case, met = max(left, key=lambda one: len(one[1] & missing))
        chosen.append(case)
        missing -= met
    return chosen


@dataclass(frozen=True)
class Picture:
    """A picture (h, w, 3) and where it lies in an input without having been resized."""

    pixels: np.ndarray
    left: int
    top: int


@functools.cache
def pictures(height: int, width: int, kind: str) -> list[Picture]:
    """Returns pictures that fill an input of a size, or one of its dimensions, placed as a head's family has it."""
    found = []
    for name, (h, w) in zip(
        ("meadow", "pagoda", "room"), ((height, width), (height - 32, width), (height, width - 50)), strict=True
    ):
        with Image.open(TOP / "models" / "emoji" / "images" / f"{name}.jpg") as image:
            pixels = np.array(image.convert("RGB").resize((w, h)))
        left, top = (0, 0) if kind == "yolox" else (round((width - w) / 2 - 0.1), round((height - h) / 2 - 0.1))
        found.append(Picture(pixels, left, top))
    return found


@functools.cache
def inputs(height: int, width: int, kind: str) -> Tensor:
    """Returns the pictures as a network takes them before it is exported, RGB in 0..1."""
    found = []
    for picture in pictures(height, width, kind):
        h, w, _ = picture.pixels.shape
        square = np.full((height, width, 3), PAD, np.uint8)
        square[picture.top : picture.top + h, picture.left : picture.left + w] = picture.pixels
        found.append(torch.from_numpy(square).permute(2, 0, 1).float())
    return torch.stack(found) / 255


@functools.lru_cache(maxsize=30)
def network_of(config: Config) -> YOLOv5:
    return calibrated(config, [inputs(*size, config.head) for size in (MADE, OTHER)], THRESHOLDS[config.head])


@torch.no_grad()
def wanted_rows(case: Case, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields PyTorch's rows (N, 5+nc) of each picture at a size of the input."""
    network, images = network_of(case.config), inputs(*size, case.config.head)
    if case.half:
        # the same weights and pixels; what lies between them is not rounded
        network = YOLOv5(case.config).eval().fuse()
        network.load_state_dict(_rounded(network_of(case.config)))
        images = images.half().float()
    yield from network(images)[0].numpy()


def _rounded(network: YOLOv5) -> dict[str, Tensor]:
    """Returns a network's folded weights, rounded to half precision; anchors come to trtdet as they are."""
    folded = YOLOv5(network.config).eval()
    folded.load_state_dict(network.state_dict())
    weights = folded.fuse().state_dict()
    return {name: value if name == "head.anchors" else value.half().float() for name, value in weights.items()}


def strides_of_rows(network: YOLOv5, size: tuple[int, int]) -> np.ndarray:
    """Returns the stride (N) of the level that each row comes from."""
    return np.concatenate([np.full(network.head.na * (size[0] // s) * (size[1] // s), s) for s in STRIDES])


def run(file: Path, size: tuple[int, int], kind: str, *flags: str) -> list[list[dict]]:
    """Returns trtdet's detections in each picture."""
    paths = []
    for index, picture in enumerate(pictures(*size, kind)):
        paths.append(file.with_name(f"{index}.png"))
        Image.fromarray(picture.pixels).save(paths[-1])
    command = [TRTDET, "run", file, "--format", "jsonl", "--nosave", "--max-det", "100000", *flags, *paths]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    if ran.returncode:
        raise AssertionError(f"trtdet run: {ran.stderr}")
    return [json.loads(line)["detections"] for line in ran.stdout.splitlines()]


def in_picture(boxes: np.ndarray, picture: Picture) -> np.ndarray:
    """Returns boxes (K, 4) x1, y1, x2, y2 of the input as boxes of the picture, clipped to it."""
    h, w, _ = picture.pixels.shape
    return np.clip(boxes - np.tile((picture.left, picture.top), 2), 0, (w, h, w, h))


class Arguments(unittest.TestCase):
    def test_what_does_not_fit(self) -> None:
        for kind, layout, given, message in (
            ("decoupled", "fused", {"layout": "split"}, "'split' is none of a decoupled head: fused, 5d, "),
            ("decoupled", "split", {"layout": "fused"}, "'fused' is none of a decoupled, split head: split, "),
            ("coupled", "fused", {"layout": "rows-grid"}, "none of a coupled head"),
            ("yolox", "fused", {"layout": "5d"}, "none of a yolox head: fused, split, rows, rows-grid"),
            ("coupled", "fused", {"size": (64, 100)}, "64x100 is not made of multiples of 32"),
            ("coupled", "fused", {"dynamic": "height"}, "'height' is none of none, batch, size, both"),
            ("coupled", "fused", {"batch": 0}, "batch is 0"),
        ):
            network = YOLOv5(Config(len(NAMES), "demo", kind, 16, layout=layout))
            with self.subTest(given=given), self.assertRaisesRegex(ValueError, message):
                to_onnx(network, NAMES, **given)

    def test_half_of_no_model(self) -> None:
        # a length of 9 with 2 bytes behind it, a number that never ends, a group
        for bad in (b"\x3a\x09ab", b"\x08\xff", b"\x0b"):
            with self.assertRaises(ValueError):
                to_half(bad)


@unittest.skipUnless(TRTDET.exists(), f"no {TRTDET}: make build makes it")
class Trtdet(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name, "net.onnx")

    def export(self, case: Case) -> None:
        self.file.write_bytes(
            to_onnx(
                network_of(case.config),
                NAMES,
                MADE,
                layout=case.layout,
                dynamic=case.dynamic,
                batch=case.batch,
                half=case.half,
                inplace=case.inplace,
            )
        )

    def check(self, case: Case) -> int:
        """Exports a file, holds what trtdet makes of it to PyTorch, and returns the number of detections."""
        self.export(case)
        self.check_info(case)
        # a score that may be off may pass the threshold or not
        score = HALF / 2 if case.half else SCORE
        threshold = THRESHOLDS[case.config.head]
        size = OTHER if case.any_size else MADE
        strides = strides_of_rows(network_of(case.config), size)
        flags = ["--threads", "2", "--iou-thres", "1"]  # nothing is suppressed
        if case.any_size:
            flags += ["--imgsz", f"{size[0]},{size[1]}"]
        if case.any_batch:
            flags += ["--batch", "2"]  # of three pictures
        found = run(self.file, size, case.config.head, *flags)
        count = 0
        shown = zip(found, wanted_rows(case, size), pictures(*size, case.config.head), strict=True)
        for detections, rows, picture in shown:
            scores = rows[:, 4:5] * rows[:, 5:]
            near = scores.max(1) > threshold - score
            rows, scores, half = rows[near], scores[near], rows[near, 2:4] / 2
            boxes = in_picture(np.concatenate((rows[:, :2] - half, rows[:, :2] + half), 1), picture)
            slack = np.full(len(rows), BOX)
            if case.half:
                slack += HALF * (strides[near] + rows[:, 2:4].max(1))
            free = self.rows_left(detections, boxes, scores, slack, score)
            # what lies outside of the picture has no area left
            inside = (boxes[:, 2:] > boxes[:, :2] + slack[:, None]).all(1)
            missed = free & inside & (scores.max(1) > threshold + score)
            self.assertFalse(missed.any(), f"{missed.sum()} rows are missing, such as {rows[missed][:1]}")
            count += len(detections)
        self.assertGreater(count, 20, "too few detections to say anything")
        return count

    def rows_left(
        self, detections: list[dict], boxes: np.ndarray, scores: np.ndarray, slack: np.ndarray, score: float
    ) -> np.ndarray:
        """Finds a row of its own for each detection, and returns which of the rows (K) are left.

        boxes (K, 4) may be off by slack (K), scores (K, nc) by score. Order does not matter: a rounding can turn it.
        """
        free = np.ones(len(boxes), bool)
        for one in detections:
            off = np.abs(boxes - one["box"]).max(1) / slack
            off = np.where(free, np.maximum(off, np.abs(scores[:, one["class_id"]] - one["score"]) / score), np.inf)
            self.assertTrue(free.any(), f"no row of PyTorch's is left for {one}")
            near = off.argmin()
            text = f"{one} is no row of PyTorch's; the nearest, {off[near]:.3g} times too far, is"
            self.assertLessEqual(off[near], 1, f"{text} {boxes[near]}, scores {scores[near]}")
            free[near] = False
        return free

    def check_info(self, case: Case) -> None:
        ran = subprocess.run(
            [TRTDET, "info", self.file, "--format", "json"], capture_output=True, text=True, timeout=LIMIT
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        info = json.loads(ran.stdout)
        kind, _, read = case.head
        layout = {"rows": read, "rows+maps": "5d", "rows-grid": "fused", "split-cat": "split"}.get(
            case.layout, case.layout
        )
        head = info["head"]
        yolox = isinstance(network_of(case.config).head, YOLOXHead)
        self.assertEqual(
            (head["kind"], head["layout"], head["family"], head["classes"], head["sigmoid_applied"]),
            (kind, layout, "yolox" if yolox else "yolov5", len(NAMES), yolox),
        )
        levels = [(level["stride"], level.get("anchors")) for level in head["levels"]]
        anchors = [None] * 3 if yolox else [[list(anchor) for anchor in level] for level in ANCHORS]
        self.assertEqual(levels, list(zip(STRIDES, anchors, strict=True)))
        self.assertEqual(info["names"], NAMES)
        self.assertEqual(info["precision"], "fp16" if case.half else "fp32")
        self.assertAlmostEqual(info["thresholds"]["conf"], THRESHOLDS[kind])
        wanted = [-1 if case.any_batch else case.batch, 3, *((-1, -1) if case.any_size else MADE)]
        self.assertEqual(info["inputs"][0]["shape"], wanted)

    def test_every_pair_of_choices(self) -> None:
        product = cases(("demo", "n"))
        chosen = pairwise(product)
        self.assertEqual(set().union(*map(pairs, chosen)), set().union(*map(pairs, product)))
        for case in chosen:
            with self.subTest(case=case):
                self.check(case)

    def test_boxes_that_are_left(self) -> None:
        for head in HEADS:
            case = Case(head, "rows", "silu", "both", False, True, "demo", 1)
            with self.subTest(head=head):
                self.export(case)
                count = 0
                shown = zip(
                    run(self.file, OTHER, case.config.head, "--imgsz", f"{OTHER[0]},{OTHER[1]}"),
                    wanted_rows(case, OTHER),
                    pictures(*OTHER, case.config.head),
                    strict=True,
                )
                for detections, rows, picture in shown:
                    wanted = detect(rows, THRESHOLDS[head[0]] - SCORE)
                    wanted[:, :4] = in_picture(wanted[:, :4], picture)
                    wanted = wanted[(wanted[:, 2:4] > wanted[:, :2]).all(1)]
                    scores = wanted[:, 4:5] * (wanted[:, 5:] == np.arange(len(NAMES)))
                    left = self.rows_left(detections, wanted[:, :4], scores, np.full(len(wanted), BOX), SCORE)
                    missed = left & (wanted[:, 4] > THRESHOLDS[head[0]] + SCORE)
                    self.assertFalse(missed.any(), f"missing: {wanted[missed]}")
                    count += len(detections)
                self.assertGreater(count, 20)

    @unittest.skipUnless(os.environ.get("TRTDET_FULL"), "1,200 files: make test-full makes them (TRTDET_FULL=1)")
    def test_every_choice(self) -> None:
        for case in cases(("demo",), batches=(1,)):
            with self.subTest(case=case):
                self.check(case)

    @unittest.skipUnless(os.environ.get("TRTDET_FULL"), "large files: make test-full makes them (TRTDET_FULL=1)")
    def test_every_size(self) -> None:
        for size, kind in itertools.product("nsmlx", THRESHOLDS):
            layout = "split" if kind == "decoupled" else "fused"
            case = Case((kind, 256, layout), "rows", "silu", "both", False, False, size, 1)
            with self.subTest(case=case):
                self.check(case)
            network_of.cache_clear()


if __name__ == "__main__":
    unittest.main()
