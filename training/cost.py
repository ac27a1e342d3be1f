"""What a network costs: its parameters, and the operations of its convolutions on one picture.

Run as `python3 -m training.cost` for a table of YOLOv5's sizes with every head.
"""

from __future__ import annotations

import argparse
import copy

import torch
from torch import Tensor, nn

from training.yolov5 import SIZES, Config, YOLOv5

# The heads of the table: name, kind, width of the branches (None for each level's own).
HEADS = (
    ("coupled", "coupled", None),
    ("decoupled-base, c = 256", "decoupled-base", 256),
    ("decoupled-base, c = x", "decoupled-base", None),
    ("decoupled", "decoupled", None),
    ("yolox, c = 256", "yolox", 256),
)


def parameters(network: nn.Module) -> int:
    """Returns the number of learned weights."""
    return sum(p.numel() for p in network.parameters())


def operations(network: nn.Module, height: int = 640, width: int = 640) -> int:
    """Returns the operations of the convolutions on one picture: two, a product and a sum, per weight and place.

    Nothing is computed: the picture goes through a copy of the network that has shapes only.
    """
    total = 0

    def count(conv: nn.Conv2d, _: object, output: Tensor) -> None:
        nonlocal total
        total += 2 * conv.weight.numel() * output.shape[2] * output.shape[3]

    shapes = copy.deepcopy(network).to("meta").eval()
    for module in shapes.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        shapes(torch.empty(1, 3, height, width, device="meta"))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m training.cost", description="parameters and operations of every head"
    )
    parser.add_argument("--classes", type=int, default=80, help="(default 80)")
    parser.add_argument("--imgsz", type=int, default=640, help="side of the input in pixels (default 640)")
    options = parser.parse_args()
    print("| size | head | parameters M | GFLOPs |\n|---|---|---|---|")
    for size in SIZES:
        for name, kind, hidden in HEADS:
            network = YOLOv5(Config(options.classes, size, kind, hidden))
            cost = operations(network, options.imgsz, options.imgsz) / 1e9
            print(f"| {size} | {name} | {parameters(network) / 1e6:.2f} | {cost:.1f} |", flush=True)


if __name__ == "__main__":
    main()
