"""Writes a trained network as ONNX, BN folded, in the layouts that detectors are exported in.

Run as `python3 -m training.export --weights best.pt --out model.onnx`. The
weights are a checkpoint of YOLOv5's own train.py, or last.pt of training.train,
which has no names of classes: give them with --names.
The file's input is `images` (B, 3, H, W), RGB in 0..1; for a yolox head it is
what YOLOX takes, BGR in 0..255. What its outputs hold is its layout:

    fused      output0, output1, ... are one map (B, na*(5+nc), ny, nx) per level, finest first
    split      box0, conf0, labels0, box1, ... are the parts of each level's map, (B, na*4, ny, nx) and so on
    split-cat  one map per level, the parts of a split head concatenated
    5d         (B, na, ny, nx, 5+nc) per level
    rows       output0 is (B, N, 5+nc), decoded: centre x, centre y, width, height in pixels, conf, labels
    rows+maps  rows, then the 5d maps they come from, as YOLOv5 has exported them
    rows-grid  output0 is (B, N, 5+nc) as YOLOX exports it: conf and labels done, boxes still without grid and stride

Stride and names are its metadata as YOLOv5 writes them, and anchors, which raw
maps do not hold. Needs no package beside PyTorch 1; PyTorch 2's exporter needs
onnx. The same weights give the same bytes.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from training import checkpoint
from training.files import write
from training.half import to_half
from training.heads import YOLOXHead
from training.protobuf import BYTES, fields, pack
from training.yolov5 import STRIDES, Config, YOLOv5

OPSET = 13
# Fields of ModelProto in onnx.proto; 1 and 2 below are a StringStringEntryProto's key and value, and an
# OperatorSetIdProto's domain and version.
OPSET_IMPORT, METADATA_PROPS = 8, 14

LAYOUTS = ("fused", "split", "split-cat", "5d", "rows", "rows+maps", "rows-grid")
DYNAMIC = ("none", "batch", "size", "both")


def layouts_of(config: Config) -> tuple[str, ...]:
    """Returns the layouts a network can be exported in; the first is the plainest."""
    if config.head == "yolox":
        return ("fused", "split", "rows", "rows-grid")
    if config.layout == "split":
        return ("split", "split-cat", "5d", "rows", "rows+maps")
    return ("fused", "5d", "rows", "rows+maps")


class _Exported(nn.Module):
    """A network with the outputs of a layout."""

    def __init__(self, network: YOLOv5, layout: str):
        super().__init__()
        self.network = network
        self.layout = layout

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if self.layout in ("fused", "split-cat"):
            return tuple(self.network.raw_maps(images))
        if self.layout == "split":
            return tuple(part for parts in self.network.raw_parts(images) for part in parts)
        rows, views = self.network(images)
        if self.layout == "rows":
            return (rows,)
        if self.layout == "rows+maps":
            return (rows, *views)
        if self.layout == "rows-grid" and isinstance(self.network.head, YOLOXHead):
            return (self.network.head.rows_grid(views),)
        return tuple(views)


def _outputs(layout: str) -> dict[str, dict[int, str]]:
    """Returns the outputs of a layout, in order: their names, and what their free dimensions are called."""
    rows = {0: "batch", 1: "rows"}
    if layout in ("rows", "rows-grid"):
        return {"output0": rows}
    maps = [{0: "batch", 2: f"height_{stride}", 3: f"width_{stride}"} for stride in STRIDES]
    if layout == "split":
        return {f"{part}{level}": axes for level, axes in enumerate(maps) for part in ("box", "conf", "labels")}
    if layout == "rows+maps":
        maps = [rows, *maps]
    return {f"output{index}": axes for index, axes in enumerate(maps)}


def to_onnx(
    network: YOLOv5,
    names: list[str],
    size: int | tuple[int, int] = 320,
    *,
    layout: str = "",
    dynamic: str = "both",
    batch: int = 1,
    half: bool = False,
    inplace: bool = True,
) -> bytes:
    """Returns the network as an ONNX file. The network itself is not changed.

    size is the side, or height and width, of the input; it and batch show in
    the file only where dynamic (of DYNAMIC) does not let them vary. layout is
    one of layouts_of, by default the first. With inplace, rows are decoded by
    assignment, otherwise by concatenation. half makes weights, inputs and
    outputs float16. Raises ValueError where the arguments do not fit the
    network or each other, ImportError where this PyTorch wants a package for
    its exporter that is not installed.
    """
    config = network.config
    height, width = (size, size) if isinstance(size, int) else size
    if len(names) != config.classes:
        raise ValueError(f"{len(names)} names do not fit {config.classes} classes")
    allowed = layouts_of(config)
    layout = layout or allowed[0]
    if layout not in allowed:
        head = config.head if config.layout == "fused" else f"{config.head}, {config.layout}"
        raise ValueError(f"layout {layout!r} is none of a {head} head: {', '.join(allowed)}")
    if dynamic not in DYNAMIC:
        raise ValueError(f"dynamic {dynamic!r} is none of {', '.join(DYNAMIC)}")
    if min(height, width) < 1 or height % max(STRIDES) or width % max(STRIDES):
        raise ValueError(f"an input of {height}x{width} is not made of multiples of {max(STRIDES)}")
    if batch < 1:
        raise ValueError(f"batch is {batch}, want at least 1")

    free = {"none": (), "batch": (0,), "size": (1, 2, 3), "both": (0, 1, 2, 3)}[dynamic]
    outputs = _outputs(layout)
    axes = {"images": {0: "batch", 2: "height", 3: "width"}, **outputs}
    fused = copy.deepcopy(network).eval().cpu().fuse()
    fused.head.inplace = inplace
    if config.head == "yolox":
        # it was trained on what the others were; the first convolution takes YOLOX's input from here on
        first = fused.stem.conv.weight
        first.data = first.data.flip(1) / 255
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # of shapes it cannot infer through its own constants; the tests hold the file to the network
        warnings.filterwarnings("ignore", "The shape inference of prim::Constant", UserWarning)
        # of the exporter that _exporter chooses on purpose
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            torch.onnx.export(
                _Exported(fused, layout),
                torch.zeros(batch, 3, height, width),
                file,
                opset_version=OPSET,
                input_names=["images"],
                output_names=list(outputs),
                dynamic_axes={name: {i: text for i, text in dims.items() if i in free} for name, dims in axes.items()},
                **_exporter(),
            )
        except Exception as error:
            if missing := _missing(error):
                raise ImportError(
                    f"PyTorch {torch.__version__} exports with the package {missing}, which is not installed:"
                    f" pip install {missing}"
                ) from error
            raise
    content = to_half(file.getvalue()) if half else file.getvalue()
    return content + b"".join(_entry(key, str(value)) for key, value in _metadata(config, names, layout).items())


def _exporter() -> dict[str, bool]:
    """Returns what asks torch.onnx.export for its exporter of TorchScript.

    Since PyTorch 2.9 another one is the default. It needs onnxscript, and writes
    an opset of its own choice.
    """
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


def _missing(error: BaseException | None) -> str:
    """Returns the name of the package whose absence is why an error was raised, "" where it is another reason."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            return (error.name or "").partition(".")[0]
        error = error.__cause__ or error.__context__
    return ""


def opset(model: bytes) -> int:
    """Returns the version of ONNX's own operators that a serialized model says it uses, 0 where it says none."""
    for number, kind, value in fields(model):
        if number == OPSET_IMPORT and kind == BYTES:
            said = {n: v for n, _, v in fields(value)}
            if said.get(1, b"") in (b"", b"ai.onnx"):
                return said.get(2, 0)
    return 0


def _metadata(config: Config, names: list[str], layout: str) -> dict[str, object]:
    """Returns what the file says about itself; str makes of it what YOLOv5's export writes."""
    metadata: dict[str, object] = {"stride": max(STRIDES), "names": dict(enumerate(names))}
    if config.head != "yolox":
        metadata["anchors"] = [[list(anchor) for anchor in level] for level in config.anchors]
    if layout == "split-cat":
        # nothing in the graph tells this concatenation from a fused one
        metadata["head"] = f"{config.head},split"
    return metadata


def _entry(key: str, value: str) -> bytes:
    """Returns one metadata entry as the bytes that, behind a serialized model, make it part of the model.

    Protocol buffers join a repeated field from wherever its parts stand.
    """
    entry = pack([(1, BYTES, key.encode()), (2, BYTES, value.encode())])
    return pack([(METADATA_PROPS, BYTES, entry)])


def _size(text: str) -> tuple[int, int]:
    sides = text.split(",")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise argparse.ArgumentTypeError(f"want H,W or one side in pixels, not {text!r}")
    return int(sides[0]), int(sides[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m training.export",
        description="write a trained network as ONNX",
        epilog="example: python3 -m training.export --weights runs/train/exp/weights/best.pt",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--weights", type=Path, required=True, help="best.pt or last.pt of YOLOv5, or last.pt of training.train"
    )
    parser.add_argument(
        "--names", help="comma-separated class names, by their indices (default those in YOLOv5's weights)"
    )
    parser.add_argument("--trust", action="store_true", help="let the weights file run the code that is in it")
    parser.add_argument("--out", type=Path, help="the ONNX file to write (default the weights' name with .onnx)")
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="", help="of the outputs (default raw maps, as the head reads them)"
    )
    parser.add_argument("--dynamic", choices=DYNAMIC, default="both", help="what may vary (default both)")
    parser.add_argument("--imgsz", type=_size, help="H,W or one side, where --dynamic fixes the size (default 640)")
    parser.add_argument("--batch", type=int, help="pictures, where --dynamic fixes the batch (default 1)")
    parser.add_argument("--half", action="store_true", help="float16 weights, inputs and outputs")
    parser.add_argument("--inplace", action="store_true", help="decode rows by assignment, as YOLOv5's inplace does")
    o = parser.parse_args()
    if o.imgsz and o.dynamic in ("size", "both"):
        parser.error(f"--imgsz fixes what --dynamic {o.dynamic} lets vary: give --dynamic none or batch")
    if o.batch is not None and o.dynamic in ("batch", "both"):
        parser.error(f"--batch fixes what --dynamic {o.dynamic} lets vary: give --dynamic none or size")
    if o.inplace and not o.layout.startswith("rows"):
        parser.error("--inplace is a way to decode rows: give --layout rows")
    out = o.out or o.weights.with_suffix(".onnx")
    if out.suffix != ".onnx":
        parser.error(f"--out {out}: want a name that ends in .onnx")
    size, batch = o.imgsz or (640, 640), 1 if o.batch is None else o.batch
    try:
        network, names = checkpoint.load(o.weights, o.trust)
        names = names if o.names is None else o.names.split(",")
        if not names:
            raise ValueError(f"{o.weights} has no names of its {network.config.classes} classes: give --names")
        layout = o.layout or layouts_of(network.config)[0]
        content = to_onnx(
            network, names, size, layout=layout, dynamic=o.dynamic, batch=batch, half=o.half, inplace=o.inplace
        )
        write(out, content)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(1, f"training.export: {error}\n")
    pictures = "B" if o.dynamic in ("batch", "both") else batch
    sides = "HxW" if o.dynamic in ("size", "both") else f"{size[0]}x{size[1]}"
    print(
        f"{out}: {len(content) / 1e6:.1f} MB, {network.config.head} head, {len(names)} classes, layout {layout},"
        f" input {pictures}x3x{sides}, float{16 if o.half else 32}, opset {opset(content)}"
    )


if __name__ == "__main__":
    main()
