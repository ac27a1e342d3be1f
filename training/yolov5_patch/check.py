"""Tries decoupled heads in a checkout of YOLOv5, from its YAML to trtdet's boxes.

Run as `python3 -m training.yolov5_patch.check CHECKOUT`, by the Python that the
checkout runs under, with onnx. The checkout stays as it is: what is tried is a
copy with the change of `apply` in it. For each size and head it

    builds    the model from its YAML, with as many parameters as training.cost says
    trains    one step with the checkout's own loss, after which every weight is another
    exports   the checkpoint, saved as train.py saves it, with the checkout's own export.py
    plans     an engine of it with `trtdet build`
    detects   with `trtdet run` on that ONNX file what the checkout itself detects in a picture
    converts  the checkpoint with training.export, which gives the same rows, and detects the same once more

and prints a table. The exit status is 1 where anything failed.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from training import checkpoint
from training.cost import parameters
from training.export import to_onnx
from training.files import write
from training.yolov5 import Config, YOLOv5
from training.yolov5_patch.apply import HEADS, Checkout, Head, PatchError, parse_head

TOP = Path(__file__).resolve().parents[2]
PICTURE = TOP / "models" / "emoji" / "images" / "meadow.jpg"

STEPS = ("builds", "trains", "exports", "plans", "detects", "converts")

SIZE = (192, 256)  # of the input, height and width
SHOWN = (160, 256)  # of the picture, which lies in the middle of the input
BOX, SCORE = 0.05, 1e-4  # pixels, and the score, that a detection may be off


@dataclass
class Outcome:
    """How far a size with a head came: the steps that passed, and why the next one did not."""

    size: str
    head: str
    parameters: int = 0
    passed: tuple[str, ...] = ()
    detections: int = 0
    error: str = ""


class Code:
    """The modules of a checkout that the check uses, imported from where they lie."""

    def __init__(self, folder: Path):
        # the package of PyPI says yolov5.models, a clone models
        package = (folder / "__init__.py").exists()
        sys.path.insert(0, str(folder.parent if package else folder))
        self.prefix = "yolov5." if package else ""
        with mock.patch.object(os, "system", _install_nothing):
            self._import(folder)

    def _import(self, folder: Path) -> None:
        self.yolo = self._module("models.yolo")
        self.experimental = self._module("models.experimental")
        self.augmentations = self._module("utils.augmentations")
        self.general = self._module("utils.general")
        self.loss = self._module("utils.loss")
        self.export = self._module("export")
        # PyPI's asks Hugging Face for every weights file, local ones too
        self._module("utils.downloads").attempt_download_from_hub = lambda *_, **__: None
        self.hyp = self.general.yaml.safe_load((folder / "data/hyps/hyp.scratch-low.yaml").read_text(encoding="utf-8"))

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(self.prefix + name)


def _install_nothing(command: str) -> int:
    """os.system while a checkout is imported: YOLOv5 runs pip itself where a package of its own is missing."""
    raise ImportError(f"the checkout would run {command!r}: install that first, or see PYTHONPATH in docs/training.md")


class Trial:
    """One size with one head, None for the stock one. The steps are to be called in their order."""

    def __init__(self, code: Code, checkout: Checkout, trtdet: Path, folder: Path, size: str, head: Head | None):
        self.code, self.checkout, self.trtdet = code, checkout, trtdet
        self.size, self.head = size, head
        self.weights = folder / "best.pt"
        self.png = folder / "picture.png"
        with Image.open(PICTURE) as image:
            self.picture = np.array(image.convert("RGB").resize(SHOWN[::-1]))
        Image.fromarray(self.picture).save(self.png)
        laid, _, (left, top) = code.augmentations.letterbox(self.picture, SIZE, auto=False)
        self.corner = torch.tensor([left, top, left, top])
        self.image = torch.from_numpy(np.ascontiguousarray(laid.transpose(2, 0, 1)))[None].float() / 255
        self.wanted = torch.empty(0, 6)
        self.threshold = 0.0

    def run(self) -> Outcome:
        outcome = Outcome(self.size, str(self.head or "coupled"))
        for step in STEPS:
            try:
                getattr(self, step)()
            except Exception as error:  # a checkout may fail in any way
                outcome.error = f"{step}: {type(error).__name__}: {error}"
                break
            outcome.passed += (step,)
        if "builds" in outcome.passed:
            outcome.parameters = parameters(self.model)
        outcome.detections = len(self.wanted)
        return outcome

    def builds(self) -> None:
        cfg = self.checkout.folder / "models" / f"yolov5{self.size}.yaml"
        config = {"head": "coupled"}
        if self.head:
            cfg, text = self.checkout.cfg(self.size, self.head)
            write(cfg, text.encode())
            config = {"head": self.head.kind, "hidden": self.head.hidden, "layout": self.head.layout}
        torch.manual_seed(0)
        self.model = self.code.yolo.Model(str(cfg))
        self.model.nc = self.model.yaml["nc"]
        self.model.names = [f"class {i}" for i in range(self.model.nc)]
        expected = parameters(YOLOv5(Config(self.model.nc, self.size, **config)))
        if parameters(self.model) != expected:
            raise ValueError(f"{parameters(self.model)} parameters, training.cost says {expected}")
        torch.save({"model": self.model}, self.weights)
        head = checkpoint.load(self.weights)[0].head
        for level in range(len(head.strides)):
            convs = head.convs(level)
            found = head.view([conv.bias.detach().view(1, -1, 1, 1) for conv in convs])[0, :, 0, 0]
            # as far as a convolution's own first bias goes
            if (found - head.first_biases(level)).abs().max() > convs[0].in_channels ** -0.5:
                raise ValueError(f"the first biases of level {level} are {found.mean(0)[:6].tolist()}")

    def trains(self) -> None:
        self.model.hyp = self.code.hyp
        loss = self.code.loss.ComputeLoss(self.model.train())
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        before = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}
        # for every level an object: picture, class, centre, width and height
        sides = enumerate((20, 60, 150))
        objects = torch.tensor([[0, i, 0.5, 0.5, side / SIZE[1], side / SIZE[0]] for i, side in sides])
        total, _ = loss(self.model(torch.cat([self.image, self.image.flip(3)])), objects)
        total.backward()
        optimizer.step()
        if not total.isfinite():
            raise ValueError(f"the loss is {float(total)}")
        same = [name for name, weight in self.model.named_parameters() if torch.equal(weight, before[name])]
        if same:
            raise ValueError(f"{len(same)} weights are what they were, such as {same[0]}")

    def exports(self) -> None:
        self._let_find()
        saved = {"epoch": 0, "model": copy.deepcopy(self.model).half(), "ema": None, "optimizer": None}
        torch.save(saved, self.weights)
        self.code.export.run(weights=str(self.weights), imgsz=list(SIZE), include=("onnx",), device="cpu")
        if not self.onnx.exists():
            raise ValueError("export.py wrote no ONNX file; it says why on standard error with --verbose")

    @property
    def onnx(self) -> Path:
        return self.weights.with_suffix(".onnx")

    def plans(self) -> None:
        self._trtdet("build", self.onnx, "-o", self.weights.with_suffix(".engine"))

    def detects(self) -> None:
        model = self.code.experimental.attempt_load(str(self.weights), device=torch.device("cpu"))
        with torch.no_grad():
            rows = self.rows = model(self.image)[0].clone()
        # between two scores as far apart as they come, so that no rounding decides what passes
        scores = (rows[0, :, 4] * rows[0, :, 5:].max(1).values).sort(descending=True).values[60:120]
        gap = (scores[:-1] - scores[1:]).argmax()
        self.threshold = float(scores[gap] + scores[gap + 1]) / 2
        found = self.code.general.non_max_suppression(rows, self.threshold)[0]
        found[:, :4] -= self.corner
        found[:, 0:4:2].clamp_(0, SHOWN[1])
        found[:, 1:4:2].clamp_(0, SHOWN[0])
        # trtdet leaves out what lies beside the picture
        self.wanted = found[(found[:, 2:4] > found[:, :2]).all(1)]
        self._compare(self.onnx)

    def converts(self) -> None:
        network, names = checkpoint.load(self.weights)
        if names != self.model.names:
            raise ValueError(f"the names are {names}")
        with torch.no_grad():
            rows = network(self.image)[0]
        for name, found, wanted, off in (
            ("box", rows[..., :4], self.rows[..., :4], BOX),
            ("score", rows[..., 4:], self.rows[..., 4:], SCORE),
        ):
            if (far := float((found - wanted).abs().max())) > off:
                raise ValueError(f"a {name} is {far} off")
        self.onnx.write_bytes(to_onnx(network, names, SIZE, dynamic="none"))
        self._compare(self.onnx)

    @torch.no_grad()
    def _let_find(self) -> None:
        """Gives a model that saw one step predictions of some spread, so that there are boxes to compare."""
        norms = [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            # mostly above zero, where activations are nearly linear and do not amplify roundings
            nn.init.uniform_(norm.weight, 0.4, 0.8)
            nn.init.uniform_(norm.bias, 0.5, 1.5)
            norm.momentum = None
            norm.reset_running_stats()
        self.model.train()(torch.cat([self.image, self.image.flip(2), self.image.flip(3)]))
        found: list[Tensor] = []
        for conv in self.model.model[-1].modules():
            if isinstance(conv, nn.Conv2d) and conv.bias is not None:
                hook = conv.register_forward_hook(lambda _m, _i, y: found.append(y))
                self.model.eval()(self.image)
                hook.remove()
                y = found.pop()
                conv.weight /= y.std() + 1e-3
                conv.bias.copy_((conv.bias - y.mean((0, 2, 3))) / (y.std() + 1e-3))

    def _compare(self, file: Path) -> None:
        """Raises ValueError where trtdet does not find in a file what the checkout finds."""
        flags = ["--conf-thres", repr(self.threshold), "--max-det", "300", "--device", "cpu", "--threads", "2"]
        out = self._trtdet("run", file, self.png, "--format", "jsonl", "--nosave", *flags)
        found = json.loads(out)["detections"]
        left = self.wanted.tolist()
        if len(found) != len(left):
            raise ValueError(f"trtdet finds {len(found)} objects, the checkout {len(left)}")
        for one in found:
            near = [
                row
                for row in left
                if row[5] == one["class_id"]
                and abs(row[4] - one["score"]) < SCORE
                and max(abs(a - b) for a, b in zip(row, one["box"], strict=False)) < BOX
            ]
            if not near:
                raise ValueError(f"trtdet finds {one}, which the checkout does not")
            left.remove(near[0])

    def _trtdet(self, *arguments: object) -> str:
        command = [str(argument) for argument in (self.trtdet, *arguments)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if ran.returncode:
            raise ValueError(ran.stderr.strip() or f"trtdet {command[1]} ended with status {ran.returncode}")
        return ran.stdout


def copied(checkout: Path, folder: Path) -> Checkout:
    """Copies what the check needs of a checkout, and puts the heads into it unless they are there."""
    source = Checkout(checkout)
    source.apply(dry=True)  # an error names this checkout, not the copy
    # its imports name the package so
    target = folder / "yolov5"
    target.mkdir()
    for path in sorted(source.folder.iterdir()):
        if path.suffix == ".py":
            shutil.copy(path, target)
        elif path.name in ("models", "utils", "data"):
            shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns("__pycache__", "images", "*.pt"))
    made = Checkout(target)
    made.apply()
    return made


def table(outcomes: list[Outcome]) -> str:
    """Returns the outcomes as a Markdown table, errors under it."""
    lines = [f"| size | head | parameters M | {' | '.join(STEPS)} | objects |", "|---" * (len(STEPS) + 4) + "|"]
    for one in outcomes:
        failed = one.error.split(":")[0]
        cells = ["yes" if step in one.passed else "NO" if step == failed else "" for step in STEPS]
        count = f"{one.parameters / 1e6:.2f}"
        lines.append(f"| {one.size} | {one.head} | {count} | {' | '.join(cells)} | {one.detections} |")
    return "\n".join([*lines, *(f"{one.size} {one.head} {one.error}" for one in outcomes if one.error)])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m training.yolov5_patch.check",
        description="try decoupled heads in a checkout of YOLOv5",
        allow_abbrev=False,
    )
    parser.add_argument("checkout", type=Path, help="folder that has YOLOv5's models/; it is not changed")
    parser.add_argument("--size", choices=tuple("nsmlx"), action="append", help="may be repeated (default n and s)")
    parser.add_argument(
        "--head",
        type=parse_head,
        action="append",
        metavar="KIND,WIDTH,LAYOUT",
        help="coupled, or a head as apply takes it; may be repeated (default all)",
    )
    program = TOP / "build" / "out" / "bin" / "trtdet"
    parser.add_argument("--trtdet", type=Path, default=program, help="the program (default build/out/bin/trtdet here)")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    parser.add_argument("--verbose", action="store_true", help="let YOLOv5 say what it does")
    o = parser.parse_args()
    if not o.trtdet.exists():
        parser.exit(1, f"training.yolov5_patch.check: no {o.trtdet}: make build makes it\n")
    heads = [None, *HEADS] if o.head is None else o.head
    # what YOLOv5 and its packages print is not for --json's readers
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):
        folder = Path(name)
        # the check installs nothing
        os.environ |= {"YOLOv5_AUTOINSTALL": "false", "YOLO_AUTOINSTALL": "false"}
        os.environ |= {"YOLOv5_VERBOSE": str(o.verbose).lower(), "MPLBACKEND": "Agg"}
        try:
            checkout = copied(o.checkout, folder)
            code = Code(checkout.folder)
        except (OSError, PatchError, ImportError) as error:
            parser.exit(1, f"training.yolov5_patch.check: {error}\n")
        logging.disable(logging.NOTSET if o.verbose else logging.ERROR)
        outcomes = []
        for size in o.size or ("n", "s"):
            for head in heads:
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    outcomes.append(Trial(code, checkout, o.trtdet, Path(place), size, head).run())
                print(f"{size} {outcomes[-1].head}: {outcomes[-1].error or 'passed'}", file=sys.stderr, flush=True)
    print(json.dumps([asdict(one) for one in outcomes]) if o.json else table(outcomes))
    sys.exit(any(one.error for one in outcomes))


if __name__ == "__main__":
    main()
