"""Trains a network on folders of labelled pictures; goes on where it was stopped.

Run as `python3 -m training.train --data DIR --val DIR --names dog,cat --out DIR`.
DIR/last.pt is written after each epoch and holds everything needed to go on;
DIR/metrics.csv has a line per epoch. Ctrl+C stops at the next batch; the same
command starts again at the last whole epoch.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import math
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from training import anchors, plots
from training.augment import Augment, Mosaic
from training.dataset import LabelError, Pictures, read_pictures
from training.evaluate import Score, evaluate
from training.files import write
from training.heads import ACTIVATIONS, KINDS, LAYOUTS, YOLOXHead
from training.jobs import STOPPED
from training.loss import DetectionLoss, Gains
from training.simota import YOLOXLoss
from training.yolov5 import SIZES, Config, YOLOv5

COLUMNS = ("epoch", "seconds", "lr", "box", "conf", "label", "map50", "precision", "recall")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns."""

    epochs: int = 30
    minutes: float = math.inf  # of training, after which it ends whatever the epoch; the rate falls to fit
    batch: int = 32
    lr: float = 0.004
    last_lr: float = 0.02  # share of lr left at the end
    decay: float = 0.01  # of weights, not of biases and batch norms
    momentum: float = 0.9  # AdamW's first beta
    warm_up: int = 150  # batches, over which the rate and the momentum come to their own
    warm_up_momentum: float = 0.9
    warm_up_bias_lr: float = 0.0  # where the rate of biases starts; all others start at 0
    augment: Augment = field(default_factory=Mosaic)
    evaluate_every: int = 5  # epochs
    threshold: float = 0.5  # score at which precision and recall are told
    seed: int = 0

    def warmth(self, step: int) -> float:
        """Returns how much of the warm-up is over at a step, up to 1."""
        return min(1.0, (step + 1) / self.warm_up)

    def rate(self, progress: float, step: int, first: float = 0.0) -> float:
        """Returns the learning rate at progress 0..1: from first in a line, then down along a cosine."""
        cosine = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        rate = self.lr * (self.last_lr + (1 - self.last_lr) * cosine)
        return first + (rate - first) * self.warmth(step)

    def steer(self, optimizer: torch.optim.Optimizer, progress: float, step: int) -> None:
        """Gives an optimizer of `_optimizer` the rates and the momentum of a step."""
        momentum = self.warm_up_momentum + (self.momentum - self.warm_up_momentum) * self.warmth(step)
        for group in optimizer.param_groups:
            group["lr"] = self.rate(progress, step, self.warm_up_bias_lr if group["biases"] else 0.0)
            group["betas"] = (momentum, group["betas"][1])


class Average:
    """A copy of a network whose weights follow the network's slowly (EMA), faster at first."""

    def __init__(self, network: nn.Module, decay: float = 0.998, start: float = 200):
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.start, self.steps = decay, start, 0

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        self.steps += 1
        keep = self.decay * (1 - math.exp(-self.steps / self.start))
        theirs = network.state_dict()
        for name, mine in self.network.state_dict().items():
            if mine.dtype.is_floating_point:
                mine.mul_(keep).add_(theirs[name], alpha=1 - keep)
            else:
                mine.copy_(theirs[name])


class Trainer:
    """One run: network, average, optimizer and how far it has come; on a GPU where PyTorch has one.

    What it tells begins with its title, where several run beside each other.
    Not for use by two threads.
    """

    def __init__(self, config: Config, schedule: Schedule, gains: Gains, out: Path, title: str = ""):
        torch.manual_seed(schedule.seed)
        self.schedule = schedule
        self.out = out
        self.title = title
        self.live = sys.stderr.isatty() and not title
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = YOLOv5(config).to(self.device).train()
        self.average = Average(self.network)
        head = self.network.head
        self.loss = YOLOXLoss(head) if isinstance(head, YOLOXHead) else DetectionLoss(head, gains)
        self.optimizer = _optimizer(self.network, schedule)
        self.random = torch.Generator().manual_seed(schedule.seed)
        self.rows: list[list[str]] = []  # of metrics.csv
        self.epoch = self.step = 0
        self.seconds = 0.0
        self.stopped = False

    @property
    def checkpoint(self) -> Path:
        return self.out / "last.pt"

    def resume(self) -> bool:
        """Goes on from the checkpoint, and reports whether there was one. Raises ValueError where it does not fit."""
        if not self.checkpoint.exists():
            return False
        saved = torch.load(self.checkpoint, map_location="cpu")
        # through Config, so that a field which the checkpoint is too old to have is at its default
        if Config(**saved["config"]) != self.network.config:
            raise ValueError(f"{self.checkpoint} holds another network; give another --out or remove it")
        if saved.get("schedule", repr(self.schedule)) != repr(self.schedule):
            raise ValueError(f"{self.checkpoint} was trained by another schedule; give another --out or remove it")
        self.network.load_state_dict(saved["network"])
        self.average.network.load_state_dict(saved["average"])
        self.average.steps = saved["average_steps"]
        self.optimizer.load_state_dict(saved["optimizer"])
        self.random.set_state(saved["random"])
        self.epoch, self.step, self.seconds = saved["epoch"], saved["step"], saved["seconds"]
        with (self.out / "metrics.csv").open(newline="", encoding="ascii") as file:
            # an epoch that had not been saved is trained again
            self.rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= self.epoch]
        return True

    def start_from(self, network: YOLOv5) -> None:
        """Takes over the weights of a trained network of the same shape; for a run that has not begun."""
        self.network.load_state_dict(network.state_dict())
        self.average = Average(self.network)

    def save(self) -> None:
        """Writes the checkpoint; the old one stays whole until the new one is."""
        state = {
            "config": self.network.config.as_dict(),
            "schedule": repr(self.schedule),
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "average_steps": self.average.steps,
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.get_state(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
        }
        # torch.save to a path ends the process where the disk is full
        content = io.BytesIO()
        torch.save(state, content)
        write(self.checkpoint, content.getvalue())

    def run(self, train: Pictures, val: Pictures | None) -> Score | None:
        """Trains to the end of the schedule, or until stopped; returns the average's score on val at the end.

        Raises ValueError on objects of a class that the network does not have,
        OSError where nothing can be saved.
        """
        classes = self.network.config.classes
        if (highest := max((int(o[:, 0].max()) for o in train.objects if len(o)), default=0)) >= classes:
            raise ValueError(f"the labels have class {highest}, the network only 0 to {classes - 1}: give more --names")
        self.out.mkdir(parents=True, exist_ok=True)
        before = signal.signal(signal.SIGINT, self._stop)
        train = train.on(self.device)
        score = None
        try:
            while not self.done():
                parts = self._epoch(train)
                if self.stopped:
                    self._print(f"stopped; the same command goes on after epoch {self.epoch}")
                    return None
                self.epoch += 1
                if val and (self.done() or self.epoch % self.schedule.evaluate_every == 0):
                    score = evaluate(self.average.network, val, self.schedule.threshold)
                else:
                    score = None
                self._tell(parts, score)
                self.save()
        finally:
            signal.signal(signal.SIGINT, before)
        return score or (evaluate(self.average.network, val, self.schedule.threshold) if val else None)

    def _stop(self, *_: object) -> None:
        self.stopped = True

    def progress(self, within: float = 0.0) -> float:
        """Returns how much of the schedule is over, by epochs or by the clock, whichever is further."""
        return max((self.epoch + within) / self.schedule.epochs, self.seconds / 60 / self.schedule.minutes)

    def done(self) -> bool:
        """Reports whether the schedule is over."""
        return self.progress() >= 1

    def _epoch(self, train: Pictures) -> list[float]:
        """Trains on every picture once; returns the mean box, conf and label loss."""
        order = torch.randperm(len(train), generator=self.random).tolist()
        size = self.schedule.batch
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        total, count = torch.zeros(3), 0
        for number, indices in enumerate(batches):
            began = time.monotonic()
            progress = self.progress(number / len(batches))
            if self.stopped or progress >= 1:
                break
            self.schedule.steer(self.optimizer, progress, self.step)
            inputs, objects = self.schedule.augment(train, indices, self.random)
            loss, parts = self.loss(self.network.train()(inputs), objects.to(self.device))
            self.optimizer.zero_grad()
            (loss / len(indices)).backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
            self.optimizer.step()
            self.average.follow(self.network)
            self.step += 1
            total, count = total + parts.cpu(), count + 1
            self.seconds += time.monotonic() - began
            if self.live:
                where = f"epoch {self.epoch + 1}: {number + 1}/{len(batches)}"
                print(
                    f"\r{where}, loss {float(parts.sum()):.3f}, {progress:.0%}\x1b[K",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
        return (total / max(count, 1)).tolist()

    def _tell(self, parts: list[float], score: Score | None) -> None:
        """Adds the epoch's line to metrics.csv and prints it."""
        marks = (score.map50, score.precision, score.recall) if score else ()
        lr = self.optimizer.param_groups[0]["lr"]
        row = [str(self.epoch), f"{self.seconds:.1f}", f"{lr:.6f}"]
        row += [f"{value:.5f}" for value in (*parts, *marks)]
        row += [""] * (len(COLUMNS) - len(row))
        self.rows.append(row)
        lines = "".join(",".join(values) + "\n" for values in (COLUMNS, *self.rows))
        write(self.out / "metrics.csv", lines.encode())
        pairs = [f"{name} {value}" for name, value in zip(COLUMNS, row, strict=True) if value]
        self._print(", ".join(pairs))

    def _print(self, line: str) -> None:
        start = "\r\x1b[K" if self.live else ""
        print(f"{start}{self.title}{': ' if self.title else ''}{line}", file=sys.stderr, flush=True)


def _optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Returns AdamW that lets only the weights of convolutions decay, and keeps biases apart."""
    weights = [p for p in network.parameters() if p.dim() > 1]
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    gains = [p for name, p in network.named_parameters() if p.dim() <= 1 and not name.endswith("bias")]
    groups = (
        {"params": weights, "weight_decay": schedule.decay, "biases": False},
        {"params": gains, "weight_decay": 0.0, "biases": False},
        {"params": biases, "weight_decay": 0.0, "biases": True},
    )
    return torch.optim.AdamW(groups, lr=schedule.lr, betas=(schedule.momentum, 0.99))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m training.train", description="train a YOLOv5 with one of the heads"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/ to train on")
    parser.add_argument("--val", type=Path, help="folder to evaluate on; none by default")
    parser.add_argument("--names", required=True, help="comma-separated class names, in the order of their indices")
    parser.add_argument("--out", type=Path, required=True, help="folder for last.pt and metrics.csv")
    parser.add_argument("--size", choices=SIZES, default="s", help="of the network (default s)")
    parser.add_argument("--head", choices=KINDS, default="decoupled-base", help="(default decoupled-base)")
    parser.add_argument(
        "--hidden", type=int, default=256, help="channels of the branches, 0 for each level's own (256)"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="fused", help="how a decoupled head reads its channels (default fused)"
    )
    parser.add_argument("--act", choices=ACTIVATIONS, default="silu", help="activation (default silu)")
    parser.add_argument("--imgsz", type=int, default=320, help="side of the input in pixels (default 320)")
    parser.add_argument("--epochs", type=int, default=30, help="(default 30)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end by then (default no limit)")
    parser.add_argument("--batch", type=int, default=32, help="pictures a step (default 32)")
    parser.add_argument("--lr", type=float, default=0.004, help="highest learning rate (default 0.004)")
    parser.add_argument("--seed", type=int, default=0, help="(default 0)")
    parser.add_argument("--no-plots", action="store_true", help="leave out metrics.png")
    o = parser.parse_args()
    classes = len(o.names.split(","))
    schedule = Schedule(epochs=o.epochs, minutes=o.minutes, batch=o.batch, lr=o.lr, seed=o.seed)
    try:
        train, val = read_pictures(o.data, o.imgsz), read_pictures(o.val, o.imgsz) if o.val else None
        chosen, fit = anchors.check(train, Config.anchors)
        if o.head != "yolox":
            print(fit, file=sys.stderr)
        config = Config(classes, o.size, o.head, o.hidden or None, o.act, chosen, o.layout)
        trainer = Trainer(config, schedule, Gains.scaled(classes, o.imgsz), o.out)
        trainer.resume()
        score = trainer.run(train, val)
        if not o.no_plots and not trainer.stopped:
            plots.metrics(o.out / "metrics.csv", o.out / "metrics.png")
    except ImportError as error:
        print(f"training.train: no metrics.png, {error}; install python3-matplotlib", file=sys.stderr)
    except (LabelError, OSError, ValueError) as error:
        sys.exit(f"training.train: {error}")
    if trainer.stopped:
        sys.exit(STOPPED)
    if score:
        at = f"at {schedule.threshold:g}: precision {score.precision:.4f}, recall {score.recall:.4f}"
        print(f"mAP50 {score.map50:.4f}; {at}")


if __name__ == "__main__":
    main()
