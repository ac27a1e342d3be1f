"""Makes what is run on a GPU: a yolov5s with each head, for any batch at 640x640, and pictures of two sizes.

    make_inputs.py FOLDER

Speed does not depend on weights. They are random, and have four significant bits, so that they pack to a quarter. Runs
under /usr/bin/python3. What is there already is left alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image

TOP = Path(__file__).resolve().parents[2]
# Those of the second size take seven times as long to copy: at high rates the copies are what bounds.
SIZES = ((640, 480), (1920, 1080))
sys.path.insert(0, str(TOP))

from training.export import to_onnx, write  # noqa: E402 (the path has to be set first)
from training.yolov5 import YOLOv5  # noqa: E402

from beside import HEADS, config  # noqa: E402 isort: skip


def main() -> None:
    folder = Path(sys.argv[1])
    for size in SIZES:
        pictures = folder / "{}x{}".format(*size)
        pictures.mkdir(parents=True, exist_ok=True)
        for source in sorted((TOP / "models/emoji/images").glob("*.jpg")):
            path = pictures / source.name
            if not path.exists():
                with Image.open(source) as picture:
                    picture.resize(size, Image.LANCZOS).save(path, quality=90)
    for head in HEADS:
        path = folder / f"yolov5s-{head}.onnx"
        if path.exists():
            continue
        torch.manual_seed(0)
        network = YOLOv5(config(head)).eval()
        with torch.no_grad():
            for weights in network.parameters():
                mantissa, exponent = torch.frexp(weights)
                weights.copy_(torch.ldexp(torch.round(mantissa * 16) / 16, exponent))
        write(path, to_onnx(network, [f"class{i}" for i in range(80)], size=640, dynamic="batch"))


if __name__ == "__main__":
    main()
