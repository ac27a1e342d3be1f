"""Writes a trained network as ONNX: its raw maps, BN folded, batch and size free.

Run as `python3 -m training.export --weights DIR/last.pt --names dog,cat --out model.onnx`.
The file's input is `images` (B, 3, H, W), RGB in 0..1; its outputs `output0`,
`output1`, ... are the maps (B, na*(5+nc), H/stride, W/stride) of the levels,
finest first, in layout `fused`. Stride, names and anchors are its metadata.
Needs no onnx package. The same weights give the same bytes.
"""

from __future__ import annotations

import argparse
import copy
import io
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from training.train import load_network
from training.yolov5 import STRIDES, YOLOv5

OPSET = 13
METADATA_PROPS = 14  # field of ModelProto in onnx.proto; 1 and 2 below are a StringStringEntryProto's key and value


class _RawMaps(nn.Module):
    def __init__(self, network: YOLOv5):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.raw_maps(images))


def to_onnx(network: YOLOv5, names: list[str], size: int = 320) -> bytes:
    """Returns the network as an ONNX file. The network itself is not changed.

    size is the side of the input it is traced with and does not show in the
    file. Raises ValueError where names do not fit the classes.
    """
    if len(names) != network.config.classes:
        raise ValueError(f"{len(names)} names do not fit {network.config.classes} classes")
    fused = copy.deepcopy(network).eval().fuse()
    outputs = [f"output{level}" for level in range(len(STRIDES))]
    axes = {"images": {0: "batch", 2: "height", 3: "width"}}
    for name, stride in zip(outputs, STRIDES, strict=True):
        axes[name] = {0: "batch", 2: f"height_{stride}", 3: f"width_{stride}"}
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # of shapes it cannot infer through its own constants; the tests hold the file to the network
        warnings.filterwarnings("ignore", "The shape inference of prim::Constant", UserWarning)
        torch.onnx.export(
            _RawMaps(fused),
            torch.zeros(1, 3, size, size),
            file,
            opset_version=OPSET,
            input_names=["images"],
            output_names=outputs,
            dynamic_axes=axes,
        )
    anchors = [[list(anchor) for anchor in level] for level in network.config.anchors]
    # as YOLOv5's export writes them: Python's own text of an int, a dict, a list
    metadata = {"stride": max(STRIDES), "names": dict(enumerate(names)), "anchors": anchors}
    return file.getvalue() + b"".join(_entry(key, str(value)) for key, value in metadata.items())


def _entry(key: str, value: str) -> bytes:
    """Returns one metadata entry as the bytes that, behind a serialized model, make it part of the model.

    Protocol buffers join a repeated field from wherever its parts stand.
    """
    return _field(METADATA_PROPS, _field(1, key.encode()) + _field(2, value.encode()))


def _field(number: int, payload: bytes) -> bytes:
    """Returns a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write(path: Path, content: bytes) -> None:
    """Writes a file so that it is never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.export", description="write a trained network as ONNX")
    parser.add_argument("--weights", type=Path, required=True, help="last.pt of training.train")
    parser.add_argument("--names", required=True, help="comma-separated class names, in the order of their indices")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    options = parser.parse_args()
    try:
        content = to_onnx(load_network(options.weights), options.names.split(","))
    except (OSError, ValueError) as error:
        parser.exit(1, f"training.export: {error}\n")
    write(options.out, content)
    print(f"{options.out}: {len(content) / 1e6:.1f} MB, raw maps, opset {OPSET}")


if __name__ == "__main__":
    main()
