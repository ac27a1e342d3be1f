"""The committed net, from nothing: fetch, compose, train, export, held-out pictures, and how well it does on them.

Run as `python3 -m training.emoji`; each step that is done is not done again.
Pictures and checkpoint lie in build/out/training, the results in models/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.compose import Recipe, emoji_composer, write_split
from training.loss import Gains
from training.sprites import CLASSES
from training.train import Schedule
from training.yolov5 import Config

TOP = Path(__file__).resolve().parent.parent
WORK = TOP / "build" / "out" / "training"
MODELS = TOP / "models"

# Pictures composed per split, 320 pixels a side.
COUNTS = {"train": 6000, "val": 300, "test": 300}

# K-means of the composed boxes at 256 pixels; hardly any is far from square.
ANCHORS = (
    ((16.0, 15.0), (22.0, 23.0), (31.0, 29.0)),
    ((40.0, 42.0), (57.0, 52.0), (70.0, 76.0)),
    ((96.0, 92.0), (124.0, 130.0), (172.0, 164.0)),
)
CONFIG = Config(classes=len(CLASSES), size="demo", head="decoupled-base", hidden=48, anchors=ANCHORS)
INPUT = 256  # side while training, in pixels
SCHEDULE = Schedule(epochs=6, minutes=20, batch=16, lr=0.003, sizes=(224, 256), evaluate_every=2)
GAINS = Gains(box=0.05, conf=0.5, label=0.25)
