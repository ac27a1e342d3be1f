"""The things to find: classes a person knows at a glance, drawn with the colour bitmaps of Noto Color Emoji."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

# Class name -> the emoji that show it. The order is the class index.
CLASSES: dict[str, str] = {
    "dog": "\N{DOG}\N{DOG FACE}",
    "cat": "\N{CAT}\N{CAT FACE}",
    "car": "\N{AUTOMOBILE}\N{RECREATIONAL VEHICLE}",
    "bicycle": "\N{BICYCLE}",
    "airplane": "\N{AIRPLANE}",
    "sailboat": "\N{SAILBOAT}",
    "banana": "\N{BANANA}",
    "apple": "\N{RED APPLE}",
    "pizza": "\N{SLICE OF PIZZA}",
    "soccer ball": "\N{SOCCER BALL}",
    "umbrella": "\N{UMBRELLA}",
    "teddy bear": "\N{TEDDY BEAR}",
}

# The one size at which the font holds bitmaps.
BITMAP_SIZE = 109


def names_yaml() -> str:
    """Returns the names of the classes as data.yaml has them."""
    return "names:\n" + "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASSES))


def draw_emoji(font: Path) -> list[list[Image.Image]]:
    """Returns for each class its RGBA pictures, cropped to their opaque pixels."""
    face = ImageFont.truetype(str(font), BITMAP_SIZE)
    sprites = []
    for emoji in CLASSES.values():
        drawn = []
        for character in emoji:
            canvas = Image.new("RGBA", (2 * BITMAP_SIZE, 2 * BITMAP_SIZE))
            ImageDraw.Draw(canvas).text((0, 0), character, font=face, embedded_color=True)
            drawn.append(canvas.crop(canvas.getbbox()))
        sprites.append(drawn)
    return sprites
