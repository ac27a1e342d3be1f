"""The composer: the same bytes every time, labels as tight as the pixels."""

from __future__ import annotations

import dataclasses
import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from training import emoji
from training.compose import Composer, Recipe, compose_once, write_split
from training.dataset import LabelError, letterbox, read_labels, read_pictures
from training.fetch import missing
from training.photographs import PACKAGES, SPLITS

# Two colours that no background below comes near.
RED, BLUE = (255, 0, 0, 255), (0, 0, 255, 255)


def drawn(count: int = 2) -> list[list[Image.Image]]:
    """Returns a red disc and a blue bar as sprites."""
    disc, bar = Image.new("RGBA", (90, 90)), Image.new("RGBA", (100, 30))
    ImageDraw.Draw(disc).ellipse((0, 0, 89, 89), fill=RED)
    ImageDraw.Draw(bar).rectangle((0, 0, 99, 29), fill=BLUE)
    return [[disc], [bar]][:count]


def composer(recipe: Recipe) -> Composer:
    # few colours, none of them a sprite's
    grey = Image.linear_gradient("L").resize((400, 300)).convert("RGB")
    flat = Image.new("RGB", (300, 500), (90, 110, 90))
    return Composer(drawn(), [grey, flat], recipe)


def box_of(seen: np.ndarray) -> list[int]:
    """Returns x1, y1, x2, y2 of the pixels that are set."""
    rows, columns = np.nonzero(seen)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


class Compose(unittest.TestCase):
    def test_same_key_same_bytes(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            recipe = Recipe(width=96, height=64, longest_side=(10, 40))
            for name, workers in (("a", 1), ("b", 1), ("c", 2)):
                write_split(Path(folder, name), "val", 8, composer(recipe), workers)
            files = sorted(p.relative_to(Path(folder, "a")) for p in Path(folder, "a").rglob("*.*"))
            self.assertEqual(len(files), 16)
            for path in files:
                wanted = Path(folder, "a", path).read_bytes()
                self.assertEqual(wanted, Path(folder, "b", path).read_bytes(), path)
                self.assertEqual(wanted, Path(folder, "c", path).read_bytes(), path)
            pictures = {p.read_bytes() for p in Path(folder, "a", "images").glob("*.jpg")}
            self.assertEqual(len(pictures), 8, "two keys gave the same picture")

    def test_planted_links(self) -> None:
        """A composed split writes through no link, of a file's name or of the folder that is filled first."""
        with tempfile.TemporaryDirectory() as name:
            elsewhere, victim = Path(name, "elsewhere"), Path(name, "victim")
            elsewhere.mkdir()
            victim.write_bytes(b"mine")
            out = Path(name, "out")
            for place in (out / "images" / "val_00000.jpg", out / "labels" / "val_00000.txt"):
                place.parent.mkdir(parents=True)
                place.symlink_to(victim)
            recipe = Recipe(width=96, height=64, longest_side=(10, 40))
            write_split(out, "val", 1, composer(recipe))
            self.assertEqual(victim.read_bytes(), b"mine")
            self.assertFalse((out / "images" / "val_00000.jpg").is_symlink())
            Path(name, "once.part").symlink_to(elsewhere)
            with self.assertRaises(FileExistsError):
                compose_once(Path(name, "once"), "val", 1, lambda: composer(recipe), 1)
            self.assertEqual(list(elsewhere.iterdir()), [])

    def test_label_is_the_box_of_the_pixels(self) -> None:
        recipe = Recipe(width=200, height=150, objects=(1, 1), longest_side=(20, 120), background_only=0)
        made = composer(recipe)
        checked = 0
        for number in range(60):
            image, labels = made.compose(f"tight {number}")
            pixels = np.asarray(image).astype(int)
            difference = pixels[..., 0] - pixels[..., 2] if labels[0].index == 0 else pixels[..., 2] - pixels[..., 0]
            label = labels[0]
            found = box_of(difference > 40)
            # an edge pixel may be half a sprite's, and a blur moves an edge by one more
            self.assertLessEqual(np.abs(np.subtract(found, [label.x1, label.y1, label.x2, label.y2])).max(), 2)
            checked += 1
        self.assertEqual(checked, 60)

    def test_nothing_is_hidden_too_far(self) -> None:
        recipe = Recipe(width=160, height=120, objects=(9, 9), longest_side=(40, 90), background_only=0)
        made = composer(recipe)
        touching = 0
        for number in range(40):
            _, labels = made.compose(f"crowd {number}")
            for label in labels:
                self.assertTrue(0 <= label.x1 < label.x2 <= 160 and 0 <= label.y1 < label.y2 <= 120)
            touching += sum(
                a.x1 < b.x2 and b.x1 < a.x2 and a.y1 < b.y2 and b.y1 < a.y2
                for i, a in enumerate(labels)
                for b in labels[:i]
            )
        self.assertGreater(touching, 20, "the crowds do not overlap, so this shows nothing")

        bare = dataclasses.replace(recipe, least_visible=1.0)
        image, labels = composer(bare).compose("apart")
        pixels = np.asarray(image).astype(int)
        for index, sign in ((0, 1), (1, -1)):
            seen = sign * (pixels[..., 0] - pixels[..., 2]) > 40
            inside = np.zeros_like(seen)
            for label in (one for one in labels if one.index == index):
                inside[max(label.y1 - 2, 0) : label.y2 + 2, max(label.x1 - 2, 0) : label.x2 + 2] = True
            self.assertFalse((seen & ~inside).any())

    def test_background_only(self) -> None:
        made = composer(Recipe(width=64, height=64, background_only=1.0))
        self.assertEqual(made.compose("empty")[1], [])

    def test_shares_and_crowds(self) -> None:
        recipe = Recipe(width=160, height=160, objects=(1, 3), longest_side=(40, 90), background_only=0)
        rare = dataclasses.replace(recipe, shares=(0.9, 0.1), crowded=0.5, crowd=(12, 20), crowd_side=(8.0, 16.0))
        counts, crowds, kept = [0, 0], 0, 0
        for number in range(80):
            _, labels = composer(rare).compose(f"rare {number}")
            for label in labels:
                counts[label.index] += 1
            if len(labels) > 3:
                crowds += 1
                self.assertLess(max(label.x2 - label.x1 for label in labels), 24)
                self.assertGreater(len(labels), 8)
            else:
                # without a crowd the same dice fall
                never = dataclasses.replace(rare, crowded=0.0)
                self.assertEqual(composer(never).compose(f"rare {number}")[1], labels)
                kept += 1
        self.assertTrue(25 < crowds < 55 and 25 < kept, (crowds, kept))
        self.assertTrue(0.06 < counts[1] / sum(counts) < 0.14, counts)


class Splits(unittest.TestCase):
    def test_no_photograph_serves_two(self) -> None:
        paths = [photo.path for photos in SPLITS.values() for photo in photos]
        self.assertEqual(len(paths), len(set(paths)))
        self.assertLessEqual({p.package for photos in SPLITS.values() for p in photos}, set(PACKAGES))

    def test_held_out_photographs_may_be_handed_on(self) -> None:
        for one in emoji.HELD_OUT:
            photo = SPLITS["test"][one.photograph]
            self.assertRegex(photo.license, r"^(CC0-1\.0|CC-BY-\d\.0)$", photo.path)
        committed = {p.stem for p in (emoji.MODELS / "images").glob("*.jpg")}
        self.assertEqual(committed, {one.name for one in emoji.HELD_OUT})
        self.assertIn(emoji.sources(), (emoji.MODELS / "README.md").read_text(encoding="utf-8"))

    @unittest.skipIf(missing(), "python3 -m training.fetch has not been run")
    def test_held_out_pictures_repeat(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            emoji.compose_held_out(Path(folder))
            files = [p.relative_to(folder) for p in Path(folder).rglob("*.*")]
            self.assertEqual(len(files), 2 * len(emoji.HELD_OUT) + 1)
            for path in files:
                self.assertEqual(Path(folder, path).read_bytes(), (emoji.MODELS / path).read_bytes(), path)


class Reading(unittest.TestCase):
    def test_letterbox_and_labels(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "images").mkdir()
            (folder / "labels").mkdir()
            image = Image.new("RGB", (200, 100), (114, 114, 114))
            ImageDraw.Draw(image).rectangle((40, 20, 119, 59), fill=(255, 0, 0))
            image.save(folder / "images" / "a.jpg", quality=95)
            (folder / "labels" / "a.txt").write_text("1 0.4 0.4 0.4 0.4\n")
            read = read_pictures(folder, 64)
            box = box_of(read.inputs[0, 0].numpy() > 180)
            row = read.objects[0][0]
            self.assertEqual(int(row[0]), 1)
            x, y, w, h = (row[1:] * 64).tolist()
            self.assertLessEqual(np.abs(np.subtract(box, [x - w / 2, y - h / 2, x + w / 2, y + h / 2])).max(), 1)

    def test_letterbox_places_like_yolov5(self) -> None:
        # width, height, size -> left, top, as round(d - 0.1) has it
        for width, height, size, left, top in ((100, 50, 64, 0, 16), (64, 33, 64, 0, 15), (3, 64, 64, 30, 0)):
            square, fit = letterbox(Image.new("RGB", (width, height)), size)
            self.assertEqual((fit.left, fit.top), (left, top))
            self.assertTrue((square[:, :top] == 114).all())

    def test_bad_label_names_file_and_line(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "bad.txt")
            for text in ("0 0.5 0.5 0.2\n", "0 0.5 0.5 0.2 nan\n", "x 0 0 0 0\n", "0 0.5 1.5 0.2 0.2\n"):
                path.write_text("0 0.5 0.5 0.1 0.1\n" + text)
                with self.assertRaisesRegex(LabelError, r"bad\.txt, line 2"):
                    read_labels(path)


if __name__ == "__main__":
    unittest.main()
