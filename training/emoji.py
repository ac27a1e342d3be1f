"""The committed net, from nothing: fetch, compose, train, export, held-out pictures, and how well it does on them.

Run as `python3 -m training.emoji`; a step that is done is not done again.
Composed pictures and the checkpoint lie in build/out/training, the results in
models/emoji. `--pictures` makes the held-out pictures again and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from training import checkpoint
from training.augment import Light
from training.compose import Composer, Recipe, compose_once, emoji_composer, open_photographs, save
from training.dataset import LabelError, read_pictures
from training.evaluate import evaluate
from training.export import to_onnx
from training.fetch import ROOT, FetchError, fetch
from training.files import write
from training.jobs import STOPPED
from training.loss import Gains
from training.photographs import CREDIT, FONT, TEST
from training.sprites import CLASSES, draw_emoji, names_yaml
from training.train import Schedule, Trainer
from training.yolov5 import Config, YOLOv5

TOP = Path(__file__).resolve().parent.parent
WORK = TOP / "build" / "out" / "training"
MODELS = TOP / "models" / "emoji"

# Pictures composed per split, 320 pixels a side.
COUNTS = {"train": 6000, "val": 300, "test": 300}

# K-means of the composed boxes at 256 pixels; hardly any is far from square.
ANCHORS = (
    ((16.0, 15.0), (22.0, 23.0), (31.0, 29.0)),
    ((40.0, 42.0), (57.0, 52.0), (70.0, 76.0)),
    ((96.0, 92.0), (124.0, 130.0), (172.0, 164.0)),
)
CONFIG = Config(classes=len(CLASSES), size="demo", head="decoupled-base", hidden=48, anchors=ANCHORS)
THRESHOLD = 0.5  # default score of a decoupled head with a base convolution


@dataclass(frozen=True)
class Stage:
    """A part of the training: the side of the input the pictures are read at, and a schedule."""

    input: int
    schedule: Schedule


# Small inputs first, where a picture costs half as much; then the composed size, where the objects are 18 to 220
# pixels long. Each stage starts from the averaged weights of the one before.
STAGES = (
    Stage(224, Schedule(epochs=5, batch=16, lr=0.003, augment=Light((160, 192, 224)), evaluate_every=1)),
    Stage(320, Schedule(epochs=4, batch=16, lr=0.002, augment=Light((256, 320)), evaluate_every=1)),
)
GAINS = Gains(box=0.05, conf=0.5, label=0.25)


@dataclass(frozen=True)
class HeldOut:
    """One committed picture: its file's name, the photograph of TEST below it, its size in pixels."""

    name: str
    photograph: int
    width: int = 960
    height: int = 640


HELD_OUT = (
    HeldOut("pagoda", 0),
    HeldOut("stream", 1),
    HeldOut("sunset", 2),
    HeldOut("meadow", 3),
    HeldOut("dandelion", 4, 1280, 720),
    HeldOut("mountains", 5),
    HeldOut("brushes", 6, 800, 640),
    HeldOut("room", 7, 640, 960),
)


def compose_split(split: str) -> Path:
    """Composes a split where it is not there yet, and returns its folder."""
    folder = WORK / f"emoji-{split}"
    return compose_once(folder, split, COUNTS[split], lambda: emoji_composer(split, Recipe()), workers=2)


def compose_held_out(folder: Path) -> None:
    """Writes the held-out pictures, their labels and data.yaml under folder."""
    sprites, photographs = draw_emoji(ROOT / FONT), open_photographs("test")
    for one in HELD_OUT:
        recipe = Recipe(
            width=one.width,
            height=one.height,
            objects=(6, 9),
            longest_side=(64.0, 240.0),
            least_visible=0.8,
            background_only=0.0,
            crop=(0.85, 1.0),
            quality=(85, 85),
        )
        key = f"held-out {one.name}"
        composer = Composer(sprites, photographs, recipe)
        save(folder, one.name, *composer.compose(key, one.photograph), composer.quality(key))
    write(folder / "data.yaml", f"path: .\ntrain: images\nval: images\n{names_yaml()}".encode("ascii"))


def train() -> YOLOv5 | None:
    """Trains all stages from wherever they were stopped; returns the network, None where it is stopped again."""
    network = None
    for number, stage in enumerate(STAGES, 1):
        out = WORK / f"emoji-run-{number}"
        trainer = Trainer(CONFIG, stage.schedule, GAINS, out)
        if not trainer.resume() and network:
            trainer.start_from(network)
        if not trainer.done():
            pictures = read_pictures(compose_split("train"), stage.input)
            trainer.run(pictures, read_pictures(compose_split("val"), stage.input))
            if trainer.stopped:
                return None
        network, _ = checkpoint.load(trainer.checkpoint)
        write(MODELS / f"metrics-{number}.csv", (out / "metrics.csv").read_bytes())
    return network


def sources() -> str:
    """Returns the lines of a Markdown table that names each held-out picture's photograph, author and licence."""
    lines = [f"| picture | {CREDIT} |", "|---|---|---|---|---|"]
    lines += [f"| {one.name}.jpg | {TEST[one.photograph].credit} |" for one in HELD_OUT]
    return "\n".join(lines) + "\n"


def measure(network: YOLOv5) -> str:
    """Returns the lines of a Markdown table that says how well the network does on pictures it was not trained on."""
    lines = ["| pictures | objects | found | missed | false boxes | mAP50 |", "|---|---|---|---|---|---|"]
    more = f"{COUNTS['test']} more over the same photographs"
    for what, folder, size in (
        (f"the {len(HELD_OUT)} here, at 640", MODELS, 640),
        (f"the {len(HELD_OUT)} here, at 320", MODELS, 320),
        (f"{more}, at 320", compose_split("test"), 320),
    ):
        score = evaluate(network, read_pictures(folder, size), THRESHOLD)
        missed = score.objects - score.found
        found = f"{score.found} ({score.recall:.1%})"
        lines.append(f"| {what} | {score.objects} | {found} | {missed} | {score.wrong} | {score.map50:.3f} |")
    return "\n".join(lines) + "\n"


README = """# Twelve things to find

{names}.

`decoupled-base.onnx` is a YOLOv5 with the decoupled-base head (branches of {hidden} channels, {parameters:.2f} M
parameters) that finds them: raw maps in layout `fused`, batch and size free, stride, names and anchors in its
metadata. `images/` are pictures it has not seen, over photographs it has not seen, with exact labels in `labels/`.
`metrics-1.csv` and `metrics-2.csv` are how its two stages of training went. All of it, this page too, is made by
`/usr/bin/python3 -m training.emoji` (docs/training.md).

At score {threshold} and IoU 0.5, with the training's own small evaluation:

{scores}
The net is the project's own work and under its licence. The things in the pictures are drawn with Noto Color Emoji
(Google Inc. and others, [SIL OFL 1.1](https://openfontlicense.org)), which puts no terms on pictures. The photographs
keep their authors' licences; they were cropped, scaled, changed in light and colour, and things were laid over them:

{sources}"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m training.emoji", description="make models/emoji again, from nothing"
    )
    parser.add_argument("--pictures", action="store_true", help="make the held-out pictures only")
    options = parser.parse_args()
    try:
        fetch()
        compose_held_out(MODELS)
        if options.pictures:
            return
        network = train()
        if network is None:
            sys.exit(STOPPED)
        write(MODELS / "decoupled-base.onnx", to_onnx(network, list(CLASSES)))
        scores = measure(network)
        print(scores, end="")
        text = README.format(
            names=", ".join(CLASSES).capitalize(),
            hidden=CONFIG.hidden,
            parameters=sum(p.numel() for p in network.fuse().parameters()) / 1e6,
            threshold=THRESHOLD,
            scores=scores,
            sources=sources(),
        )
        write(MODELS / "README.md", text.encode())
    except (FetchError, LabelError, OSError, ValueError) as error:
        sys.exit(f"training.emoji: {error}")


if __name__ == "__main__":
    main()
