"""A small network, and pictures of discs and bars for it to learn."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from training.compose import Composer, Recipe, write_split
from training.dataset import Pictures, read_pictures
from training.tests.test_compose import drawn
from training.yolov5 import Config

ANCHORS = (
    ((12.0, 10.0), (20.0, 24.0), (30.0, 16.0)),
    ((30.0, 40.0), (50.0, 40.0), (40.0, 64.0)),
    ((80.0, 70.0), (100.0, 120.0), (140.0, 90.0)),
)
CONFIG = Config(classes=2, size="demo", head="decoupled-base", hidden=16, anchors=ANCHORS)


def compose_toy(folder: Path, count: int, size: int) -> None:
    """Composes pictures of discs and bars on grey."""
    recipe = Recipe(size, size, objects=(1, 2), longest_side=(24, 60), background_only=0, upright=1)
    write_split(folder, "train", count, Composer(drawn(), [Image.new("RGB", (200, 200), "gray")], recipe))


def toy(count: int = 6, size: int = 96) -> Pictures:
    """Returns composed pictures of discs and bars on grey."""
    with tempfile.TemporaryDirectory() as folder:
        compose_toy(Path(folder), count, size)
        return read_pictures(Path(folder), size)
