"""The figures of YOLOv5's own val.py for a network in ONNX: val_run.py MODEL DATA.yaml HEAD.json IMGSZ,... prints JSON.

Run by /usr/bin/python3 with build/deps/oracle on its path, and with ONNX Runtime of build/deps/venv, which the system's
Python has not. val.py gets the network as train.py hands it one, with the dataloader that val.py makes for an ONNX
file: square inputs, batch 1. With "rect" in front of a size it is the one that it makes for a .pt file: batches of
32, each with the smallest input that holds its images. The network's outputs are raw maps as HEAD, a decode.Head, has
them.

Each size has val.py's P, R, mAP50 and mAP50-95 twice: "own" as it is, and "axes" with boxes and labels taken back to
the image by each axis's own gain. val.py takes both axes by the height's, which is another where sides were rounded
up, and then clips at the image's right edge, which is no longer there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import heads
import numpy as np
import torch
import yaml
from yolov5 import val
from yolov5.utils.dataloaders import create_dataloader

ROOT = Path(__file__).resolve().parents[2]
# behind everything else: numpy and cv2 stay those that PyTorch was built beside
sys.path += map(str, (ROOT / "build/deps/venv/lib").glob("python3*/site-packages"))
import onnxruntime as ort  # noqa: E402


class Network(torch.nn.Module):
    """What val.py asks of a model: rows (B, N, 5 + nc) of a batch."""

    def __init__(self, path: str, head: dict[str, Any], names: dict[int, str]) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1))  # val.py asks it for its device
        self.head, self.names = head, names
        self.session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.tensors = [o.name for o in self.session.get_outputs()]

    def forward(self, images: torch.Tensor, augment: bool = False) -> torch.Tensor:
        maps = self.session.run(self.tensors, {self.session.get_inputs()[0].name: images.numpy()})
        height, width = images.shape[2:]
        rows = [
            heads.decode(self.head, dict(zip(self.tensors, one, strict=True)), width, height)
            for one in zip(*maps, strict=True)
        ]
        return torch.from_numpy(np.stack(rows))


def scale_by_axes(_: Any, boxes: torch.Tensor, size: tuple[int, int], fit: tuple[Any, Any]) -> torch.Tensor:
    """scale_boxes of YOLOv5 with a gain for each axis."""
    for axis in (0, 1):
        gain, border = fit[0][1 - axis], fit[1][axis]
        boxes[..., axis::2] = ((boxes[..., axis::2] - border) / gain).clamp(0, size[1 - axis])
    return boxes


def main() -> None:
    model, data, head, sizes = sys.argv[1:]
    description = yaml.safe_load(Path(data).read_text())
    names = {int(k): v for k, v in description["names"].items()}
    images = Path(data).parent / description["path"] / description["val"]
    network = Network(model, json.loads(Path(head).read_text()), names)
    figures: dict[str, dict[str, list[float]]] = {}
    for size in sizes.split(","):
        rect, imgsz = size.startswith("rect"), int(size.removeprefix("rect"))
        loader = create_dataloader(str(images), imgsz, 32 if rect else 1, 32, False, pad=0.5, rect=rect, workers=0)[0]
        figures[size] = {}
        for name, scale in (("own", OWN), ("axes", scale_by_axes)):
            val.scale_boxes = scale
            with tempfile.TemporaryDirectory() as folder:  # val.py writes results.html
                found = val.run(
                    {"nc": len(names)}, model=network, dataloader=loader, half=False, plots=False, save_dir=Path(folder)
                )[0]
            figures[size][name] = [float(v) for v in found[:4]]
    print(json.dumps(figures))


OWN = val.scale_boxes

if __name__ == "__main__":
    main()
