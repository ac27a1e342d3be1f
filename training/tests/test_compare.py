"""The comparison with tiny settings, from pictures to the page, and what the page says of made-up figures."""

from __future__ import annotations

import colorsys
import contextlib
import io
import json
import os
import signal
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

from PIL import Image

from training import claims, compare
from training.augment import Mosaic
from training.compare import HEADS, Comparison, Plan
from training.compose import Composer, Recipe
from training.sprites import CLASSES
from training.train import Schedule
from training.yolov5 import Config


def colours(_: str, recipe: Recipe) -> Composer:
    """Returns a composer of squares, each class in a colour of its own, over grey."""
    sprites = []
    for index in range(len(CLASSES)):
        colour = tuple(round(255 * v) for v in colorsys.hsv_to_rgb(index / len(CLASSES), 1, 1))
        sprites.append([Image.new("RGBA", (60, 60), (*colour, 255))])
    return Composer(sprites, [Image.new("RGB", (200, 200), "gray")], recipe)


TINY = Plan(
    "tiny",
    "pico",
    64,
    {"train": 8, "val": 4, "test": 12},
    Schedule(epochs=2, batch=4, warm_up=2, augment=Mosaic(), evaluate_every=2),
    replace(compare.recipe(64), shares=()),
    "Tiny nets.",
    seeds=1,
    composer=colours,
)


def run_with(value: float, rare: float, true: tuple[int, ...], false: tuple[int, ...], score: float = 0.5) -> dict:
    """Returns a run with this mAP, also of the common classes, and that of the rare ones.

    true and false are the boxes at each threshold, of 100 objects; score is the
    mean of the true ones.
    """
    sweep = [
        {
            "conf": conf,
            "true_positives": right,
            "false_positives": wrong,
            "mean_score_true": score,
            "mean_score_false": 0.4,
        }
        for conf, right, wrong in zip(compare.CONFS, true, false, strict=True)
    ]
    classes = [{"class": name, "objects": 9, "map50_95": rare if name in compare.RARE else value} for name in CLASSES]
    overall = {"pictures": 8, "objects": 100, "map50_95": value, "map50": value}
    return {"overall": overall, "classes": classes, "conf_sweep": sweep, "best_f1": {"f1": 0.5, "conf": 0.3}}


class Tiny(unittest.TestCase):
    @unittest.skipUnless(compare.TRTDET.exists(), f"no {compare.TRTDET}: run make build")
    def test_from_pictures_to_page(self) -> None:
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
            models = Path(name, "models")
            whole = Comparison(TINY, Path(name, "work"), models)
            data = whole.data()

            # Ctrl+C in the second run: what is done stays, and the rest follows
            save = compare.Trainer.save

            def save_and_stop(trainer: compare.Trainer) -> None:
                save(trainer)
                if trainer.out.name == "decoupled-base-256-0":
                    os.kill(os.getpid(), signal.SIGINT)

            with mock.patch.object(compare.Trainer, "save", save_and_stop):
                self.assertFalse(whole.train())
            self.assertEqual([p.name for p in (models / "metrics").iterdir()], ["coupled-0.csv"])
            first = whole.onnx("coupled", 0).read_bytes()
            self.assertTrue(whole.train(jobs=2))
            self.assertEqual(whole.onnx("coupled", 0).read_bytes(), first)

            results = json.loads(json.dumps(whole.measure()))
            whole.keep()
            self.assertEqual(list(results["heads"]), list(HEADS))
            for head, found in results["heads"].items():
                self.assertEqual(len(found["runs"]), 1, head)
                self.assertEqual(found["runs"][0]["overall"]["pictures"], 12)
                self.assertGreater(min(found["milliseconds"]), 0)
                self.assertEqual(len(whole.metrics(head, 0).read_text().splitlines()), 3)
                self.assertLess((models / f"{head}.onnx").stat().st_size, compare.LARGEST)
            self.assertEqual(len(list((models / "images").glob("*.jpg"))), 12)
            again = compare.evaluate(models / "yolox.onnx", models / "data.yaml", "test", TINY.imgsz)
            self.assertEqual(again["overall"], json.loads((models / "slice.json").read_text())["yolox"])
            self.assertEqual(again["overall"], results["heads"]["yolox"]["runs"][0]["overall"])
            self.assertIn("val: val/images", data.read_text())
            text = claims.page(results, "tiny.png", "tiny-runs.png", "metrics", "Tiny nets.")
            claims.draw(results, Path(name, "tiny.png"))
            with Image.open(Path(name, "tiny.png")) as plot:
                self.assertGreater(min(plot.size), 300)
            for head in HEADS:
                self.assertIn(f"| {head} | ", text)
            self.assertIn("| photograph | by |", (models / "README.md").read_text(encoding="utf-8"))

    def test_heads_are_what_they_are_called(self) -> None:
        configs = {name: compare.SMALL.config(head, Config.anchors) for name, head in HEADS.items()}
        self.assertEqual(
            {name: config.hidden for name, config in configs.items() if config.hidden},
            {
                "decoupled-base-256": 56,
                "yolox": 32,
            },
        )
        self.assertEqual(
            [name for name, config in configs.items() if config.layout == "split"], ["decoupled-base-split"]
        )
        real = compare.REAL.config(HEADS["decoupled-base-256"], Config.anchors)
        self.assertEqual((real.size, real.hidden), ("s", 256))

    def test_shares(self) -> None:
        shares = dict(zip(CLASSES, compare.shares(), strict=True))
        self.assertAlmostEqual(sum(shares.values()), 1)
        self.assertEqual([name for name, share in shares.items() if share < 0.02], list(compare.RARE))


class Page(unittest.TestCase):
    def test_verdicts(self) -> None:
        self.assertEqual(claims.verdict([[0.1, 0.2], [0.3, 0.1]]), "**held**")
        self.assertEqual(claims.verdict([[0.1, 0.2], [-0.3, 0.0]]), "**did not hold**")
        self.assertEqual(claims.verdict([[0.1, -0.2], [0.3, 0.1]]), "the seeds disagree")
        self.assertEqual(claims.verdict([[0.1, 0.2], [float("nan"), 0.1]]), "cannot be told")
        self.assertEqual(claims.show([0.1, float("nan")]), "-")

    def test_claims_by_hand(self) -> None:
        plain = [run_with(value, 0.2, (50, 40, 30), (10, 10, 10)) for value in (0.5, 0.51)]
        # at 0.25 recall is up by 0.1 and precision down from 50/60 to 60/90; at 0.5 both are up, precision to 35/39
        base = [run_with(value, 0.3, (60, 50, 35), (30, 10, 4), 0.7) for value in (0.55, 0.57)]
        without = [run_with(value, 0.3, (50, 44, 30), (10, 6, 10)) for value in (0.53, 0.5)]
        heads = {name: {"runs": plain} for name in HEADS}
        heads |= {"decoupled-base": {"runs": base}, "decoupled": {"runs": without}}
        for head in heads.values():
            head |= {"parameters": 400_000, "gflops": 0.1, "milliseconds": [1.0, 2.0]}
        results = {"plan": "pico at 192", "rare": list(compare.RARE), "heads": heads}
        text = claims.page(results, "heads.png", "heads-runs.png", "metrics", "Small nets.")
        for line in (
            # with the same seed, 0.05 and 0.06
            "(it says 3 points) | decoupled-base, coupled | mAP50-95 +0.055 ± 0.007 | **held** |",
            "R +0.100 ± 0.000; P lost +0.167 ± 0.000 | **held** |",
            "R +0.050 ± 0.000; P +0.147 ± 0.000 | **held** |",
            "R's gain less P's -0.097 ± 0.000 | **did not hold** |",
            "rare classes' mAP50-95 gain less the others' +0.045 ± 0.007 | **held** |",
            "score of true boxes +0.200 ± 0.000; of false boxes +0.000 ± 0.000 | **did not hold** |",
            # 2 * 35 / 139 less 2 * 60 / 190
            "so that 0.5 is a better threshold than 0.25 | decoupled-base | F1 -0.128 ± 0.000 | **did not hold** |",
            "decoupled-base, decoupled | mAP50-95 with it over without +0.045 ± 0.035 | **held** |",
            "above the coupled head's | decoupled, coupled | mAP50-95 +0.010 ± 0.028 | the seeds disagree |",
            # of 100 objects 60, 50 and 35 are found
            "| decoupled-base | 0.100 ± 0.000 | 0.250 ± 0.000 | 0.231 ± 0.000 | -0.007 ± 0.000 | -0.128 ± 0.000 |",
            # 44/50 less 40/50, less 0.04
            "P's gain less R's +0.040 ± 0.000 | **held** |",
            "decoupled-base-split, decoupled-base | mAP50-95 -0.055 ± 0.007 | **did not hold** |",
            "| without it fewer parameters | yolov5s | 13.43 M; c = 256 has 10.98, c = x 13.78 | **held** against",
            "| coupled | 0.40 | 0.100 | 0.505 ± 0.007 | 0.505 ± 0.007 | 0.200 ± 0.000 | 0.505 ± 0.007 | 1.50 ± 0.71 |",
        ):
            self.assertIn(line, text)


if __name__ == "__main__":
    unittest.main()
