"""The nets of models/heads: what they score on the pictures beside them, in every layout they can be exported in."""

from __future__ import annotations

import ast
import csv
import json
import os
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import claims
from training.compare import HEADS, LARGEST, MODELS, SLICE, SMALL, TOP, TRTDET, WORK, Comparison, evaluate
from training.compose import write_split
from training.export import METADATA_PROPS, to_onnx
from training.fetch import missing
from training.half import GRAPH, INITIALIZER, RAW_DATA, TENSOR_NAME
from training.photographs import TEST
from training.protobuf import fields
from training.sprites import CLASSES
from training.yolov5 import Config, YOLOv5

SAME = 0.002  # of mAP, on another machine
ALIKE = 1e-4  # of mAP, in another layout
DIMS = 1  # of TensorProto, in onnx.proto
FIGURES = ("map50", "map75", "map50_95")


def texts(message: bytes) -> list[str]:
    return [value.decode() for _, _, value in fields(message)]


def metadata(model: bytes) -> dict[str, str]:
    """Returns what an ONNX file says about itself."""
    return dict(texts(value) for number, _, value in fields(model) if number == METADATA_PROPS)


def weights(model: bytes) -> dict[str, Tensor]:
    """Returns the float tensors of a file that training.export wrote, by name."""
    (graph,) = (value for number, _, value in fields(model) if number == GRAPH)
    found = {}
    for tensor in (list(fields(value)) for number, _, value in fields(graph) if number == INITIALIZER):
        named = {number: value for number, _, value in tensor}
        shape = [value for number, _, value in tensor if number == DIMS]
        data = torch.from_numpy(np.frombuffer(named[RAW_DATA], "<f4").copy())
        found[named[TENSOR_NAME].decode().removeprefix("network.")] = data.view(shape)
    return found


def network_of(name: str) -> YOLOv5:
    """Returns the network that a committed file was exported from, its batch norms folded."""
    model = (MODELS / f"{name}.onnx").read_bytes()
    anchors = ast.literal_eval(metadata(model).get("anchors", "None"))
    chosen = tuple(tuple(map(tuple, level)) for level in anchors) if anchors else Config.anchors
    network = YOLOv5(SMALL.config(HEADS[name], chosen)).eval().fuse()
    state = weights(model)
    if HEADS[name].kind == "yolox":
        state["stem.conv.weight"] = state["stem.conv.weight"].flip(1) * 255
    else:
        state["head.anchors"] = torch.tensor(chosen)
    network.load_state_dict(state)
    return network


class Pages(unittest.TestCase):
    def test_pages_are_made_of_the_results(self) -> None:
        results = json.loads((MODELS / "results.json").read_text())
        page = Comparison(SMALL, WORK, MODELS).page(results, "heads.png", "heads-runs.png")
        self.assertEqual((TOP / "docs" / "heads.md").read_text(encoding="utf-8"), page)
        made = claims.readme(SMALL.name, SMALL.imgsz, list(HEADS), SLICE, TEST)
        self.assertEqual((MODELS / "README.md").read_text(encoding="utf-8"), made)

    def test_every_run_is_kept(self) -> None:
        wanted = {f"{name}-{seed}.csv" for name in HEADS for seed in range(SMALL.seeds)}
        self.assertEqual({path.name for path in (MODELS / "metrics").iterdir()}, wanted)
        for path in (MODELS / "metrics").iterdir():
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self.assertEqual(len(rows), SMALL.schedule.epochs, path.name)
            # each run had one of two cores
            self.assertLess(float(rows[-1]["seconds"]) / 2, 6 * 60, path.name)
        for name in HEADS:
            self.assertLessEqual((MODELS / f"{name}.onnx").stat().st_size, LARGEST, name)

    def test_photographs_may_be_handed_on(self) -> None:
        for photo in TEST:
            self.assertRegex(photo.license, r"^(CC0-1\.0|CC-BY-\d\.0)$", photo.path)

    @unittest.skipIf(missing(), "python3 -m training.fetch has not been run")
    def test_pictures_repeat(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_split(Path(folder), "test", SLICE, SMALL.composer("test", SMALL.recipe), workers=2)
            made = {path.name: path.read_bytes() for path in Path(folder).glob("*/*")}
        kept = {path.name: path.read_bytes() for sub in ("images", "labels") for path in (MODELS / sub).iterdir()}
        self.assertEqual(len(kept), 2 * SLICE)
        for name, content in kept.items():
            self.assertTrue(made.get(name) == content, name)


@unittest.skipUnless(TRTDET.exists(), f"no {TRTDET}: run make build")
class Committed(unittest.TestCase):
    def test_scores_in_every_layout(self) -> None:
        scores = json.loads((MODELS / "slice.json").read_text())
        self.assertEqual(list(scores), list(HEADS))
        data = MODELS / "data.yaml"
        for name, head in HEADS.items():
            with self.subTest(head=name), tempfile.TemporaryDirectory() as folder:
                plain = evaluate(MODELS / f"{name}.onnx", data, "test", SMALL.imgsz)["overall"]
                for figure in FIGURES:
                    self.assertLessEqual(abs(plain[figure] - scores[name][figure]), SAME, figure)
                network = network_of(name)
                for layout in ("rows", "rows-grid") if head.kind == "yolox" else ("5d", "rows"):
                    path = Path(folder, f"{layout}.onnx")
                    path.write_bytes(to_onnx(network, list(CLASSES), SMALL.imgsz, layout=layout))
                    found = evaluate(path, data, "test", SMALL.imgsz)["overall"]
                    for figure in FIGURES:
                        self.assertLessEqual(abs(found[figure] - plain[figure]), ALIKE, (layout, figure))

    @unittest.skipUnless(os.environ.get("TRTDET_FULL"), "make test-full composes all 1,000 test pictures")
    @unittest.skipIf(missing(), "python3 -m training.fetch has not been run")
    def test_numbers_of_the_page(self) -> None:
        results = json.loads((MODELS / "results.json").read_text())
        data = Comparison(SMALL, WORK, MODELS).data()
        for name in HEADS:
            with self.subTest(head=name):
                found = evaluate(MODELS / f"{name}.onnx", data, "test", SMALL.imgsz)
                wanted = results["heads"][name]["runs"][0]
                for figure in FIGURES:
                    self.assertLessEqual(abs(found["overall"][figure] - wanted["overall"][figure]), SAME, figure)
                for mine, theirs in zip(found["conf_sweep"], wanted["conf_sweep"], strict=True):
                    for figure in ("precision", "recall"):
                        self.assertLessEqual(abs(mine[figure] - theirs[figure]), SAME, (theirs["conf"], figure))


if __name__ == "__main__":
    unittest.main()
