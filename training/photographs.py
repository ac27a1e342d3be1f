"""The photographs that pictures are composed over: where each is, whose it is and which split it serves.

Train, val and test never share a photograph. Pictures that are committed are
composed over TEST only, so every photograph of TEST has a licence under which
its pixels may be handed on (CC0 or CC BY); the others are only looked at while
a network trains and their pixels are never committed.
"""

from __future__ import annotations

from dataclasses import dataclass

# Debian packages that hold the photographs and the font, as `apt-get download` knows them.
PACKAGES = (
    "darknet",
    "fonts-noto-color-emoji",
    "lomiri-wallpapers-16.04",
    "mate-backgrounds",
    "palapeli-data",
    "plasma-workspace-wallpapers",
    "python3-sklearn",
)

CREDIT = "photograph | by | licence | from Debian's"

FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"


@dataclass(frozen=True)
class Photograph:
    """One photograph: path inside the unpacked packages, package, author and licence."""

    path: str
    package: str
    author: str
    license: str

    @property
    def name(self) -> str:
        """The file's name, or the wallpaper's where the file is named after its size."""
        parts = self.path.split("/")
        return parts[3] if parts[2] == "wallpapers" else parts[-1]

    @property
    def license_url(self) -> str:
        """Where the text of a Creative Commons licence stands; empty for the others."""
        if self.license == "CC0-1.0":
            return "https://creativecommons.org/publicdomain/zero/1.0/"
        kind, _, version = self.license.removeprefix("CC-").rpartition("-")
        return f"https://creativecommons.org/licenses/{kind.lower()}/{version}/" if "CC-" in self.license else ""

    @property
    def credit(self) -> str:
        """The cells of a Markdown table that CREDIT begins: what it is, whose, under which licence, and from where."""
        return f"{self.name} | {self.author} | [{self.license}]({self.license_url}) | {self.package}"


def _plasma(name: str, author: str, file: str = "2560x1600.jpg", license: str = "LGPL-3.0") -> Photograph:
    path = f"usr/share/wallpapers/{name}/contents/images/{file}"
    return Photograph(path, "plasma-workspace-wallpapers", author, license)


def _mate(name: str, author: str) -> Photograph:
    return Photograph(f"usr/share/backgrounds/mate/nature/{name}", "mate-backgrounds", author, "GPL-2.0-or-later")


def _darknet(name: str) -> Photograph:
    return Photograph(f"usr/share/darknet/data/{name}", "darknet", "Joseph Redmon", "MIT")


def _lomiri(name: str, author: str, license: str) -> Photograph:
    return Photograph(f"usr/share/backgrounds/{name}", "lomiri-wallpapers-16.04", author, license)


def _palapeli(name: str) -> Photograph:
    return Photograph(
        f"usr/share/palapeli/collection/{name}", "palapeli-data", "palapeli's authors", "GPL-2.0-or-later"
    )


def _sklearn(name: str, author: str) -> Photograph:
    path = f"usr/lib/python3/dist-packages/sklearn/datasets/images/{name}"
    return Photograph(path, "python3-sklearn", author, "CC-BY-2.0")


TRAIN = (
    _plasma("Autumn", "RJ Quiralta"),
    _plasma("BytheWater", "Maciej Wiklo"),
    _plasma("ColdRipple", "Risto Saukonpää"),
    _plasma("ColorfulCups", "Dmitri Popov"),
    _plasma("DarkestHour", "Risto Saukonpää"),
    _plasma("EveningGlow", "Ian Hex"),
    _plasma("FallenLeaf", "Martin Klapetek"),
    _plasma("Grey", "Sigi Sagi"),
    _plasma("Kite", "Risto Saukonpää"),
    _plasma("OneStandsOut", "Risto Saukonpää"),
    _plasma("PastelHills", "Lionel", "3200x2000.jpg"),
    _plasma("Path", "Risto Saukonpää"),
    _plasma("SafeLanding", "Louis Durrant", "5120x2880.jpg", "CC-BY-SA-4.0"),
    _plasma("Shell", "Lucas Andrade", "5120x2880.jpg", "CC-BY-SA-4.0"),
    _plasma("Volna", "Nikita Babin", "5120x2880.jpg", "CC-BY-SA-4.0"),
    _plasma("summer_1am", "Risto Saukonpää"),
    _mate("Aqua.jpg", "Charles Barbin"),
    _mate("Blinds.jpg", "Lennart Poettering"),
    _mate("Dune.jpg", "Marco Cogoni"),
    _mate("FreshFlower.jpg", "Jens Ansorg"),
    _mate("Garden.jpg", "MATE's authors"),
    _mate("GreenMeadow.jpg", "Timothy Schellhase"),
    _mate("LadyBird.jpg", "MATE's authors"),
    _mate("RainDrops.jpg", "blackcombwhistler07"),
    _mate("Storm.jpg", "Sergey Nazarov"),
    _mate("TwoWings.jpg", "Charles Barbin"),
    _mate("Wood.jpg", "Jean-François Fortin Tam"),
    _mate("YellowFlower.jpg", "MATE's authors"),
    _darknet("dog.jpg"),
    _darknet("eagle.jpg"),
    _darknet("giraffe.jpg"),
    _darknet("horses.jpg"),
    _darknet("kite.jpg"),
    _darknet("person.jpg"),
)

VAL = (
    _lomiri("Bridge_by_Sander_Klootwijk.jpg", "Sander Klootwijk", "CC-BY-SA-4.0"),
    _lomiri("Dragonfly_by_Bolly.jpg", "Bolly", "CC-BY-SA-4.0"),
    _lomiri("analogpattern_by_Peter_Nerlich.jpg", "Peter Nerlich", "CC-BY-SA-4.0"),
    _lomiri("greentock_by_Peter_Nerlich.jpg", "Peter Nerlich", "CC-BY-SA-4.0"),
    _palapeli("castle-maintenon.jpg"),
    _palapeli("cincinnati-bridge.jpg"),
    _palapeli("european-honey-bee.jpg"),
    _palapeli("panther-chameleon-female.jpg"),
)

TEST = (
    _sklearn("china.jpg", "danielbuechele"),
    _lomiri("life_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("sunset_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("aitzgorri_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("seeding_by_Clements_Engelhardt.jpg", "Clemens Engelhardt", "CC0-1.0"),
    _lomiri("picosdeeuropa_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("Picture_1A_by_freespace.jpg", 'Trevor "Freespace"', "CC-BY-4.0"),
    _lomiri("Wine_by_Jakkub_Mede.jpg", "Jakub Mede", "CC-BY-4.0"),
)

SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
