"""Makes what make bench measures on: pictures of 1920x1080, and a yolov5s with the decoupled-base head.

    make_inputs.py FOLDER PICTURES

The pictures are the repository's held-out ones, resized; the network is training's, with the weights it starts with
(speed does not depend on them). What is there already is left alone. Runs under /usr/bin/python3.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

from training.export import to_onnx, write  # noqa: E402 (the path has to be set first)
from training.yolov5 import Config, YOLOv5  # noqa: E402


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted((TOP / "models/emoji/images").glob("*.jpg"))
    for i in range(count):
        path = folder / f"{i:04}.jpg"
        if not path.exists():
            # each is cut a little differently, so that no two files are the same
            with Image.open(sources[i % len(sources)]) as picture:
                side = i // len(sources)
                cut = picture.crop((side, side, picture.width - side, picture.height - side))
                cut.resize((1920, 1080), Image.LANCZOS).save(path, quality=90)
    path = folder / "small.jpg"
    if not path.exists():
        with Image.open(TOP / "models/emoji/images/brushes.jpg") as picture:
            picture.thumbnail((64, 64), Image.LANCZOS)
            picture.save(path, quality=90)
    path = folder / "yolov5s.onnx"
    if not path.exists():
        torch.manual_seed(0)
        network = YOLOv5(Config(80, "s", "decoupled-base", 256)).eval()
        write(path, to_onnx(network, [f"class{i}" for i in range(80)], size=640))


if __name__ == "__main__":
    main()
