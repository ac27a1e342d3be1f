"""The article's claims, tried: one recipe, six heads, every head from the same pictures and seeds.

Run as `python3 -m training.compare`; a step that is done is not done again,
and Ctrl+C stops it after the batch in hand. On a CPU it trains small nets on
small pictures; where PyTorch has a GPU, yolov5s at 640 pixels. Pictures and
checkpoints lie in build/out/training; small nets, their metrics and some of
the test pictures go to models/heads, the page with the outcome to docs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from training import anchors, checkpoint, claims, plots
from training.augment import Mosaic
from training.compose import Composer, Recipe, compose_once, emoji_composer
from training.cost import operations, parameters
from training.dataset import LabelError, Pictures, read_pictures
from training.export import to_onnx
from training.fetch import FetchError, fetch
from training.files import write
from training.jobs import STOPPED, side_by_side
from training.loss import Gains
from training.photographs import SPLITS, TEST
from training.sprites import CLASSES, names_yaml
from training.train import Schedule, Trainer
from training.yolov5 import Config

TOP = Path(__file__).resolve().parent.parent
WORK = TOP / "build" / "out" / "training"
MODELS = TOP / "models" / "heads"
TRTDET = TOP / "build" / "out" / "bin" / "trtdet"

RARE = ("bicycle", "sailboat", "teddy bear")
RARE_SHARE = 0.015  # of all objects, of each of them
CONFS = (0.25, 0.4, 0.5)  # the thresholds of the article
SLICE = 64  # test pictures that are committed
LARGEST = 3_000_000  # bytes of a committed network


@dataclass(frozen=True)
class Head:
    """One of the heads compared. hidden is the branches' width in a network of width 1, None each level's own."""

    kind: str
    hidden: int | None = None
    layout: str = "fused"


HEADS = {
    "coupled": Head("coupled"),
    "decoupled-base-256": Head("decoupled-base", 512),  # 256 in yolov5s, whose width is 0.5
    "decoupled-base": Head("decoupled-base"),
    "decoupled-base-split": Head("decoupled-base", layout="split"),
    "decoupled": Head("decoupled"),
    "yolox": Head("yolox", 256),  # as YOLOX scales it
}


@dataclass(frozen=True)
class Plan:
    """What is trained, on what and for how long."""

    name: str
    size: str  # of the network, as training.yolov5.SIZES has it
    imgsz: int  # side of the pictures and of the input, in pixels
    counts: dict[str, int]  # pictures by split
    schedule: Schedule
    recipe: Recipe
    remark: str  # of its page, about the networks
    seeds: int = 3
    composer: Callable[[str, Recipe], Composer] = emoji_composer

    def config(self, head: Head, chosen: tuple) -> Config:
        """Returns the network with a head; chosen are its anchors."""
        plain = Config(len(CLASSES), self.size, head.kind, None, anchors=chosen, layout=head.layout)
        return replace(plain, hidden=plain.wide(head.hidden) if head.hidden else None)


def shares() -> tuple[float, ...]:
    """Returns the share of each class among the objects."""
    common = (1 - len(RARE) * RARE_SHARE) / (len(CLASSES) - len(RARE))
    return tuple(RARE_SHARE if name in RARE else common for name in CLASSES)


def recipe(side: int) -> Recipe:
    """Returns what pictures of side x side pixels look like."""
    scale = side / 192
    return Recipe(
        width=side,
        height=side,
        objects=(1, 9),
        longest_side=(18 * scale, 130 * scale),
        background_only=0.08,
        shares=shares(),
        crowded=0.12,
        crowd_side=(14 * scale, 30 * scale),
    )


# As YOLOv5 has it but for the optimizer, AdamW, and for what a short run needs: a small batch, half as many mosaics,
# less scaling, and an average that forgets sooner.
SCHEDULE = Schedule(
    batch=8,
    lr=0.008,
    last_lr=0.01,
    momentum=0.937,
    warm_up=200,
    warm_up_momentum=0.8,
    warm_up_bias_lr=0.03,
    augment=Mosaic(mosaic=0.5, scale=0.3),
    evaluate_every=3,
    threshold=0.25,
)

SMALL = Plan(
    "pico at 192",
    "pico",
    192,
    {"train": 3000, "val": 200, "test": 1000},
    replace(SCHEDULE, epochs=6),
    recipe(192),
    "These are small nets, trained for minutes on composed pictures; on a machine with a GPU the same command trains\n"
    "yolov5s at 640 pixels.",
)
REAL = Plan(
    "yolov5s at 640",
    "s",
    640,
    {"train": 12000, "val": 500, "test": 2000},
    replace(SCHEDULE, epochs=60, batch=32, warm_up=1000, lr=0.004, evaluate_every=10, augment=Mosaic()),
    recipe(640),
    "The pictures are composed; docs/heads.md has small nets, trained alike on a CPU.",
)


class Comparison:
    """All runs of a plan. work holds what can be made again, models what is kept."""

    def __init__(self, plan: Plan, work: Path, models: Path):
        self.plan = plan
        self.work = work / plan.name.replace(" ", "-")
        self.models = models

    def split(self, name: str) -> Path:
        """Composes a split where it is not there yet, and returns its folder."""
        make = partial(self.plan.composer, name, self.plan.recipe)
        return compose_once(self.work / name, name, self.plan.counts[name], make, workers=os.cpu_count() or 1)

    def data(self) -> Path:
        """Returns the data.yaml of all splits, composed where they are not there yet."""
        lines = [f"{split}: {self.split(split).name}/images" for split in SPLITS]
        path = self.work / "data.yaml"
        write(path, ("\n".join(["path: .", *lines, names_yaml()])).encode())
        return path

    def run(self, name: str, seed: int, train: Pictures, val: Pictures, chosen: tuple) -> bool:
        """Trains one head from wherever it was stopped and exports it; reports False where it is stopped again."""
        out = self.out(name, seed)
        gains = Gains.scaled(len(CLASSES), self.plan.imgsz)
        config = self.plan.config(HEADS[name], chosen)
        trainer = Trainer(config, replace(self.plan.schedule, seed=seed), gains, out, f"{name}, seed {seed}")
        trainer.resume()
        if not trainer.done():
            trainer.run(train, val)
            if trainer.stopped:
                return False
        write(self.metrics(name, seed), (out / "metrics.csv").read_bytes())
        write(self.onnx(name, seed), to_onnx(checkpoint.load(trainer.checkpoint)[0], list(CLASSES)))
        return True

    def page(self, results: dict, pictured: str, curves: str) -> str:
        """Returns the page with the outcome; pictured and curves are the names of its pictures."""
        metrics = self.models.relative_to(TOP) / "metrics"
        return claims.page(results, pictured, curves, str(metrics), self.plan.remark)

    def out(self, name: str, seed: int) -> Path:
        """Returns the folder of a run."""
        return self.work / "runs" / f"{name}-{seed}"

    def metrics(self, name: str, seed: int) -> Path:
        """Returns where a run's metrics are kept."""
        return self.models / "metrics" / f"{name}-{seed}.csv"

    def train(self, jobs: int = 1) -> bool:
        """Trains every head with every seed, jobs runs at a time; reports whether all are done.

        Small nets keep one core busy and two not twice as busy, so with several
        jobs each has one thread. Raises OSError where a run fails.
        """
        if jobs > 1:
            torch.set_num_threads(1)
        train = read_pictures(self.split("train"), self.plan.imgsz)
        val = read_pictures(self.split("val"), self.plan.imgsz)
        chosen, fit = anchors.check(train, Config.anchors)
        print(fit, file=sys.stderr)
        # seed by seed, so that every head has one run before any has two
        todo = [(name, seed) for seed in range(self.plan.seeds) for name in HEADS]
        if jobs == 1:
            return all(self.run(*one, train, val, chosen) for one in todo)
        return side_by_side(lambda one: self.run(*one, train, val, chosen), todo, jobs)

    def onnx(self, name: str, seed: int) -> Path:
        """Returns where the network of a run is exported to: raw maps, batch and size free."""
        return self.out(name, seed) / f"{name}.onnx"

    def measure(self) -> dict:
        """Returns what `trtdet eval` says of every run, and what each network costs."""
        data = self.data()
        found: dict = {"plan": self.plan.name, "rare": list(RARE), "heads": {}}
        for name in HEADS:
            network, _ = checkpoint.load(self.out(name, 0) / "last.pt")
            found["heads"][name] = {
                "parameters": parameters(network),
                "gflops": operations(network, self.plan.imgsz, self.plan.imgsz) / 1e9,
                "runs": [],
                "milliseconds": [],
            }
        # seed by seed, so that the heads are timed beside each other
        for seed in range(self.plan.seeds):
            for name in HEADS:
                result = evaluate(self.onnx(name, seed), data, "test", self.plan.imgsz)
                found["heads"][name]["milliseconds"].append(result.pop("milliseconds")["network"])
                found["heads"][name]["runs"].append(result)
        return found

    def keep(self) -> None:
        """Writes the networks of the first seed, some of the test pictures and how well each does on these."""
        for folder in ("images", "labels"):
            target = self.models / folder
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for path in sorted((self.split("test") / folder).iterdir())[:SLICE]:
                write(target / path.name, path.read_bytes())
        data = self.models / "data.yaml"
        write(data, f"path: .\ntrain: images\nval: images\ntest: images\n{names_yaml()}".encode())
        scores = {}
        for name in HEADS:
            path = self.models / f"{name}.onnx"
            write(path, self.onnx(name, 0).read_bytes())
            scores[name] = evaluate(path, data, "test", self.plan.imgsz)["overall"]
        write(self.models / "slice.json", (json.dumps(scores, indent=1) + "\n").encode())
        text = claims.readme(self.plan.name, self.plan.imgsz, list(HEADS), SLICE, TEST)
        write(self.models / "README.md", text.encode())


def evaluate(model: Path, data: Path, split: str, imgsz: int) -> dict:
    """Returns what `trtdet eval` measures, but not where the files lie. Raises OSError where it fails."""
    command = [TRTDET, "eval", model, "--data", data, "--split", split, "--imgsz", str(imgsz), "--format", "json"]
    # one slot, so that a picture's time is not spent waiting for others
    command += ["--slots", "1", "--conf-sweep", ",".join(map(str, CONFS))]
    try:
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    except FileNotFoundError:
        raise OSError(f"{TRTDET} is not there; run make build") from None
    if ran.returncode:
        raise OSError(f"trtdet eval {model} failed with exit status {ran.returncode}")
    result = json.loads(ran.stdout)
    return {key: result[key] for key in ("overall", "classes", "conf_sweep", "best_f1", "milliseconds")}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m training.compare", description="train six heads alike and compare them"
    )
    parser.add_argument("--seeds", type=int, help="runs of each head (default 3)")
    parser.add_argument(
        "--epochs", type=int, help=f"of each run (default {SMALL.schedule.epochs}; {REAL.schedule.epochs} on a GPU)"
    )
    jobs = 1 if torch.cuda.is_available() else os.cpu_count() or 1
    parser.add_argument("--jobs", type=int, default=jobs, help="runs at a time (default one per core; one on a GPU)")
    parser.add_argument("--pictures", action="store_true", help="compose the pictures only")
    parser.add_argument("--page", action="store_true", help="write docs/heads.md again, from models/heads/results.json")
    o = parser.parse_args()
    if o.jobs < 1 or (o.jobs > 1 and torch.cuda.is_available()):
        parser.error(f"--jobs {o.jobs}: want at least 1, and 1 on a GPU")
    if o.jobs > 1 and "OPENBLAS_NUM_THREADS" not in os.environ:
        # OpenBLAS reads it when it is loaded; its threads would only wait for those of the other runs
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, sys.orig_argv)
    plan = REAL if torch.cuda.is_available() else SMALL
    if o.seeds:
        plan = replace(plan, seeds=o.seeds)
    if o.epochs:
        plan = replace(plan, schedule=replace(plan.schedule, epochs=o.epochs))
    models = MODELS if plan.name == SMALL.name else WORK / "models"
    comparison = Comparison(plan, WORK, models)
    results = models / "results.json"
    page = TOP / "docs" / ("heads.md" if plan.name == SMALL.name else "heads-gpu.md")
    try:
        if not o.page:
            fetch()
            print(f"pictures: {comparison.data()}", file=sys.stderr)
            if o.pictures:
                return
            if not comparison.train(o.jobs):
                sys.exit(STOPPED)
            write(results, (json.dumps(comparison.measure(), indent=1) + "\n").encode())
            comparison.keep()
        runs = {
            name: [plots.read_metrics(comparison.metrics(name, seed)) for seed in range(plan.seeds)] for name in HEADS
        }
        measured = json.loads(results.read_text())
        pictured, curves = page.with_suffix(".png"), page.with_name(page.stem + "-runs.png")
        claims.draw(measured, pictured)
        plots.draw(runs, curves, other_losses=["yolox"])
        write(page, comparison.page(measured, pictured.name, curves.name).encode())
        print(f"{page} says what came out")
    except (FetchError, ImportError, LabelError, OSError, ValueError) as error:
        sys.exit(f"training.compare: {error}")


if __name__ == "__main__":
    main()
