"""Composes pictures with exact labels: sprites in every size and pose over photographs.

A label is the box of the pixels of an object that can be seen, read off the
alpha masks: nothing is estimated. A picture follows from its key alone, so the
same key gives the same bytes whatever was composed before it.

Run as `python3 -m training.compose --split val --count 200 --out DIR`.
"""

from __future__ import annotations

import argparse
import io
import math
import multiprocessing
import shutil
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from training.fetch import ROOT
from training.files import write
from training.photographs import FONT, SPLITS
from training.sprites import CLASSES, draw_emoji

OPAQUE = 128  # alpha from which a pixel belongs to a sprite
PHOTOGRAPH_SIDE = 1600  # photographs are shrunk to this before use, in pixels


@dataclass(frozen=True)
class Recipe:
    """What pictures look like. Sizes are pixels of the picture."""

    width: int = 320
    height: int = 320
    objects: tuple[int, int] = (1, 9)
    longest_side: tuple[float, float] = (18.0, 220.0)  # of a sprite before it is turned, log-uniform
    least_visible: float = 0.65  # share of an object's pixels that nothing hides, the edge included
    background_only: float = 0.03  # share of pictures without any object
    crop: tuple[float, float] = (0.5, 1.0)  # share of the photograph's width or height that is shown
    upright: float = 0.8  # share of objects turned by at most 30 degrees; the others by any angle
    quality: tuple[int, int] = (70, 95)  # of the JPEG
    shares: tuple[float, ...] = ()  # of each class among the objects; as many of each where empty
    crowded: float = 0.0  # share of pictures that hold a crowd of small objects
    crowd: tuple[int, int] = (16, 30)  # objects of one
    crowd_side: tuple[float, float] = (9.0, 30.0)  # longest_side in one


@dataclass(frozen=True)
class Label:
    """The visible box of one object in pixels of the picture; x2 and y2 lie just outside it."""

    index: int  # of the class
    x1: int
    y1: int
    x2: int
    y2: int

    def yolo(self, width: int, height: int) -> str:
        """Returns the line of a YOLO label file: class, centre and size as shares of the picture."""
        x, y = (self.x1 + self.x2) / 2 / width, (self.y1 + self.y2) / 2 / height
        return f"{self.index} {x:.6f} {y:.6f} {(self.x2 - self.x1) / width:.6f} {(self.y2 - self.y1) / height:.6f}"


@dataclass
class Scene:
    """A picture in the making. owner holds for each pixel the object on top of it, -1 where there is none."""

    image: Image.Image
    owner: np.ndarray
    classes: list[int] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)  # of the whole sprites, in pixels, the part past the edge included

    def labels(self) -> list[Label]:
        """Returns the visible box of each object, in the order they were placed."""
        found = []
        for i, index in enumerate(self.classes):
            rows, columns = np.nonzero(self.owner == i)
            found.append(Label(index, int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))
        return found


class Dice(Random):
    """Random numbers that stay the same from one Python to the next: everything comes from random()."""

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def whole(self, low: int, high: int) -> int:
        """Returns a whole number from low to high, both included."""
        return low + int(self.random() * (high - low + 1))

    def chance(self, share: float) -> bool:
        return self.random() < share

    def pick(self, items: list) -> Any:
        return items[int(self.random() * len(items))]

    def weighted(self, shares: tuple[float, ...]) -> int:
        """Returns an index, each as often as its share of their sum says."""
        ends = list(accumulate(shares))
        return min(bisect(ends, self.random() * ends[-1]), len(ends) - 1)


class Composer:
    """Composes pictures of one split. Holds sprites by class and the photographs to lay them over."""

    def __init__(self, sprites: list[list[Image.Image]], photographs: list[Image.Image], recipe: Recipe):
        self.sprites = sprites
        self.photographs = photographs
        self.recipe = recipe

    def compose(self, key: str, photograph: int | None = None) -> tuple[Image.Image, list[Label]]:
        """Returns the picture that belongs to key and its labels.

        photograph chooses the background; without it the key does.
        """
        dice = Dice(key)
        chosen = dice.pick(self.photographs) if photograph is None else self.photographs[photograph]
        background = self._background(chosen, dice)
        scene = Scene(background, np.full((self.recipe.height, self.recipe.width), -1, np.int16))
        # dice of its own, so that the pictures of a recipe without crowds stay as they are
        crowd = Dice(key + " crowd").chance(self.recipe.crowded)
        objects, sides = (
            (self.recipe.crowd, self.recipe.crowd_side) if crowd else (self.recipe.objects, self.recipe.longest_side)
        )
        count = 0 if dice.chance(self.recipe.background_only) else dice.whole(*objects)
        for _ in range(count):
            self._add(scene, dice, sides)
        if dice.chance(0.1):
            scene.image = scene.image.filter(ImageFilter.GaussianBlur(dice.between(0.3, 1.0)))
        return scene.image, scene.labels()

    def quality(self, key: str) -> int:
        """Returns the JPEG quality that belongs to key."""
        return Dice(key + " quality").whole(*self.recipe.quality)

    def _background(self, photograph: Image.Image, dice: Dice) -> Image.Image:
        """Returns a part of the photograph in the picture's shape, in a light and colour of its own."""
        width, height = self.recipe.width, self.recipe.height
        most = min(photograph.width / width, photograph.height / height)
        scale = most * dice.between(*self.recipe.crop)
        x = dice.between(0, photograph.width - width * scale)
        y = dice.between(0, photograph.height - height * scale)
        box = (x, y, x + width * scale, y + height * scale)
        image = photograph.resize((width, height), Image.Resampling.BILINEAR, box=box)
        if dice.chance(0.5):
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = ImageEnhance.Brightness(image).enhance(dice.between(0.7, 1.15))
        return ImageEnhance.Color(image).enhance(dice.between(0.6, 1.2))

    def _add(self, scene: Scene, dice: Dice, sides: tuple[float, float]) -> None:
        """Puts one more object into the scene, or none where a dozen places would each hide too much."""
        index = dice.weighted(self.recipe.shares) if self.recipe.shares else dice.whole(0, len(self.sprites) - 1)
        sprite = self._pose(dice.pick(self.sprites[index]), dice, sides)
        mask = np.asarray(sprite.getchannel("A")) >= OPAQUE
        area = int(mask.sum())
        for _ in range(12):
            x = round(dice.between(-0.2 * sprite.width, scene.image.width - 0.8 * sprite.width))
            y = round(dice.between(-0.2 * sprite.height, scene.image.height - 0.8 * sprite.height))
            if self._fits(scene, mask, area, x, y):
                break
        else:
            return
        if dice.chance(0.5):
            _cast_shadow(scene.image, sprite, x, y, dice)
        scene.image.paste(sprite, (x, y), sprite)
        rows, columns, part = _inside(scene.owner, mask, x, y)
        scene.owner[rows, columns][part] = len(scene.classes)
        scene.classes.append(index)
        scene.areas.append(area)

    def _fits(self, scene: Scene, mask: np.ndarray, area: int, x: int, y: int) -> bool:
        """Reports whether the sprite at x, y and all that it would hide stay visible enough."""
        rows, columns, part = _inside(scene.owner, mask, x, y)
        least = self.recipe.least_visible
        if part.sum() < least * area or area == 0:
            return False
        below = scene.owner[rows, columns][part]
        for other in np.unique(below[below >= 0]):
            left = int((scene.owner == other).sum()) - int((below == other).sum())
            if left < least * scene.areas[other]:
                return False
        return True

    def _pose(self, sprite: Image.Image, dice: Dice, sides: tuple[float, float]) -> Image.Image:
        """Returns the sprite in a size, shape, light and turn of its own; its longest side is one of sides."""
        low, high = sides
        side = low * math.exp(dice.random() * math.log(high / low))
        scale = side / max(sprite.size)
        stretch = dice.between(0.85, 1.18)
        width = max(4, round(sprite.width * scale * stretch))
        height = max(4, round(sprite.height * scale / stretch))
        alpha = sprite.getchannel("A")
        image = ImageEnhance.Brightness(sprite.convert("RGB")).enhance(dice.between(0.65, 1.2))
        image = ImageEnhance.Color(image).enhance(dice.between(0.7, 1.2))
        image = ImageEnhance.Contrast(image).enhance(dice.between(0.8, 1.15))
        image.putalpha(alpha)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        if dice.chance(0.5):
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        most = 30 if dice.chance(self.recipe.upright) else 180
        image = image.rotate(dice.between(-most, most), Image.Resampling.BICUBIC, expand=True)
        return image.crop(image.getbbox())


def _inside(owner: np.ndarray, mask: np.ndarray, x: int, y: int) -> tuple[slice, slice, np.ndarray]:
    """Returns the rows and columns of the picture under a mask laid at x, y, and the mask's part inside it."""
    height, width = owner.shape
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + mask.shape[1], width), min(y + mask.shape[0], height)
    return slice(top, bottom), slice(left, right), mask[top - y : bottom - y, left - x : right - x]


def _cast_shadow(image: Image.Image, sprite: Image.Image, x: int, y: int, dice: Dice) -> None:
    """Darkens what lies below and beside a sprite; no part of any label."""
    reach = max(1.0, 0.06 * max(sprite.size))
    margin = int(2 * reach) + 1
    shadow = Image.new("L", (sprite.width + 2 * margin, sprite.height + 2 * margin))
    shadow.paste(sprite.getchannel("A").point(lambda a: a * 0.45), (margin, margin))
    shadow = shadow.filter(ImageFilter.GaussianBlur(reach * 0.6))
    at = (x - margin + round(dice.between(-reach, reach)), y - margin + round(reach))
    image.paste((0, 0, 0), at, shadow)


def open_photographs(split: str, root: Path = ROOT) -> list[Image.Image]:
    """Returns the photographs of a split as RGB, none with a side over PHOTOGRAPH_SIDE."""
    opened = []
    for photo in SPLITS[split]:
        with Image.open(root / photo.path) as image:
            image.draft("RGB", (PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE))
            image = image.convert("RGB")
        image.thumbnail((PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE), Image.Resampling.LANCZOS)
        opened.append(image)
    return opened


def emoji_composer(split: str, recipe: Recipe, root: Path = ROOT) -> Composer:
    """Returns the composer of emoji over the photographs of a split."""
    return Composer(draw_emoji(root / FONT), open_photographs(split, root), recipe)


def save(folder: Path, name: str, image: Image.Image, labels: list[Label], quality: int) -> None:
    """Writes images/name.jpg and labels/name.txt under folder, as YOLOv5 looks for them."""
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=quality)
    write(folder / "images" / f"{name}.jpg", content.getvalue())
    lines = [label.yolo(*image.size) + "\n" for label in labels]
    write(folder / "labels" / f"{name}.txt", "".join(lines).encode("ascii"))


def _save_numbered(composer: Composer, folder: Path, split: str, number: int) -> None:
    key = f"{split} {number}"
    save(folder, f"{split}_{number:05d}", *composer.compose(key), composer.quality(key))


def write_split(folder: Path, split: str, count: int, composer: Composer, workers: int = 1) -> None:
    """Writes count numbered pictures of a split with their labels under folder."""
    jobs = [(composer, folder, split, number) for number in range(count)]
    if workers < 2:
        for job in jobs:
            _save_numbered(*job)
        return
    global _forked
    _forked = jobs
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        pool.map(_save_forked, range(count), chunksize=32)


def compose_once(folder: Path, split: str, count: int, make: Callable[[], Composer], workers: int) -> Path:
    """Composes a split where it is not there yet, by the composer that make returns, and returns its folder."""
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)  # a link that somebody put there is no folder of ours
        write_split(part, split, count, make(), workers)
        part.rename(folder)
    return folder


_forked: list[tuple[Composer, Path, str, int]] = []  # what forked workers share, so that no photograph is pickled


def _save_forked(job: int) -> None:
    _save_numbered(*_forked[job])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m training.compose", description="compose pictures with exact labels"
    )
    parser.add_argument("--split", choices=sorted(SPLITS), required=True, help="whose photographs to compose over")
    parser.add_argument("--count", type=int, default=100, help="number of pictures (default 100)")
    parser.add_argument("--size", type=int, default=320, help="width and height in pixels (default 320)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--out", type=Path, required=True, help="folder for images/ and labels/")
    options = parser.parse_args()
    recipe = Recipe(width=options.size, height=options.size)
    write_split(options.out, options.split, options.count, emoji_composer(options.split, recipe), options.workers)
    names = ", ".join(f"{i} {name}" for i, name in enumerate(CLASSES))
    print(f"{options.count} pictures in {options.out}; classes: {names}")


if __name__ == "__main__":
    main()
