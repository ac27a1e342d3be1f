"""Checkpoints: every head of YOLOv5's is read to the same numbers, and no file runs code or takes the reader down."""

from __future__ import annotations

import builtins
import collections
import contextlib
import copy
import io
import itertools
import os
import pickle
import random
import struct
import subprocess
import sys
import tempfile
import types
import unittest
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from training import checkpoint, pickled
from training.heads import ACTIVATIONS, BaseConv
from training.loss import Gains
from training.pickled import UnsafeError
from training.tests.test_heads import SMALL, stir
from training.train import Schedule, Trainer
from training.yolov5 import C3, SPPF, STRIDES, Bottleneck, Config, Conv, YOLOv5

TOP = Path(__file__).resolve().parents[2]
NAMES = ["disc", "bar's end", "é", "cross"]

# Every head as it is saved: kind, width, layout, whose names its modules have.
HEADS = (
    ("coupled", None, "fused", "yolov5"),
    ("decoupled-base", 16, "fused", "article"),
    ("decoupled-base", None, "fused", "article"),
    ("decoupled", None, "fused", "article"),
    *(
        (kind, hidden, layout, "patch")
        for kind, hidden in (("decoupled-base", 16), ("decoupled-base", None), ("decoupled", None))
        for layout in ("fused", "split")
    ),
)


class Concat(nn.Module):
    pass


class Detect(nn.Module):
    pass


class DecoupledDetect(nn.Module):
    pass


class DetectionModel(nn.Module):
    pass


class Focus(nn.Module):
    pass


SAVED = {
    "models.common": (Conv, C3, Bottleneck, SPPF, BaseConv, Concat, Focus),
    "models.yolo": (Detect, DecoupledDetect, DetectionModel),
}


@contextlib.contextmanager
def yolov5_modules() -> Iterator[None]:
    """Lets the classes be pickled by the names that YOLOv5's have."""
    with contextlib.ExitStack() as stack:
        for name, classes in SAVED.items():
            module = types.ModuleType(name)
            for one in classes:
                setattr(module, one.__name__, one)
                stack.enter_context(mock.patch.object(one, "__module__", name))
            stack.enter_context(mock.patch.dict(sys.modules, {name: module}))
        yield


def network_of(kind: str, hidden: int | None, layout: str, act: str = "silu") -> YOLOv5:
    """Returns a network whose weights are all different, and what a float16 can hold."""
    torch.manual_seed(5)
    network = YOLOv5(Config(len(NAMES), "demo", kind, hidden, act, SMALL, layout))
    stir(network)
    return network.half().float().eval()


def saved_as(network: YOLOv5, naming: str) -> nn.Module:
    """Returns a network as the tree that YOLOv5 saves."""
    network = copy.deepcopy(network)
    layers = []
    for part, kind, source in checkpoint.LAYERS:
        layer = copy.deepcopy(network.get_submodule(part)) if part else Concat()
        if kind == "SPPF":
            layer._modules = {{"pool": "m"}.get(name, name): one for name, one in layer._modules.items()}
        for module in layer.modules():
            if isinstance(module, Bottleneck):
                module.add = module.__dict__.pop("shortcut")
        layer.f = source
        layers.append(layer)
    head, theirs = network.head, DecoupledDetect() if naming == "patch" else Detect()
    if naming == "patch":
        theirs.m = nn.ModuleList(nn.Module() for _ in STRIDES)
        for (ours, branch), level in itertools.product(checkpoint.PARTS.items(), range(len(STRIDES))):
            theirs.m[level].add_module(branch, getattr(head, ours)[level])
        theirs.kind, theirs.layout = network.config.head, network.config.layout
    else:
        theirs._modules = head._modules
        if network.config.head == "decoupled":
            del theirs.base_conv
    theirs.nc, theirs.f = head.classes, checkpoint.LEVELS
    theirs.stride = torch.tensor(STRIDES).float()
    theirs.register_buffer("anchors", head.anchors / theirs.stride.view(-1, 1, 1))
    model = DetectionModel()
    model.model = nn.Sequential(*layers, theirs)
    model.yaml = {"nc": head.classes, "depth_multiple": 0.33, "width_multiple": 0.125}
    model.names = dict(enumerate(NAMES))
    return model


class InFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = self.folder / "best.pt"

    def save(self, saved: object) -> None:
        with yolov5_modules():
            torch.save(saved, self.file)


class Networks(InFolder):
    def test_every_head(self) -> None:
        x = torch.rand(1, 3, 96, 64)
        for (kind, hidden, layout, naming), act in zip(HEADS, itertools.cycle(ACTIVATIONS), strict=False):
            with self.subTest(kind=kind, hidden=hidden, layout=layout, naming=naming, act=act):
                wanted = network_of(kind, hidden, layout, act)
                self.save({"ema": saved_as(wanted, naming).half(), "model": "not this one"})
                found, names = checkpoint.load(self.file)
                self.assertEqual(names, NAMES)
                self.assertEqual(found.config, wanted.config)
                torch.testing.assert_close(found(x)[0], wanted(x)[0], rtol=0, atol=0)

    def test_without_ema_and_other_eps(self) -> None:
        wanted = network_of("coupled", None, "fused")
        for module in wanted.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.01
        model = saved_as(wanted, "yolov5")
        model.names = list(NAMES)
        x = torch.rand(1, 3, 64, 64)
        for saved in ({"ema": None, "model": model}, {"model": model}, model):
            self.save(saved)
            found, names = checkpoint.load(self.file)
            self.assertEqual(names, NAMES)
            torch.testing.assert_close(found(x)[0], wanted(x)[0], rtol=0, atol=0)

    def test_own(self) -> None:
        network = network_of("decoupled", None, "split")
        trainer = Trainer(network.config, Schedule(), Gains(), self.folder)
        trainer.start_from(network)
        trainer.network(torch.rand(2, 3, 64, 64))[0].sum().backward()
        trainer.optimizer.step()
        trainer.save()
        found, names = checkpoint.load(trainer.checkpoint)
        self.assertIsNone(names)
        x = torch.rand(1, 3, 64, 64)
        torch.testing.assert_close(found(x)[0], network(x)[0], rtol=0, atol=0)

    def test_other_networks(self) -> None:
        def layer(index: int, **attributes: object) -> Callable[[nn.Module], None]:
            return lambda model: [setattr(model.model[index], name, value) for name, value in attributes.items()]

        def fused(model: nn.Module) -> None:
            conv = model.model[0]
            conv.conv.bias = nn.Parameter(torch.zeros(conv.conv.out_channels))
            del conv.bn

        def replaced(index: int, module: nn.Module) -> Callable[[nn.Module], None]:
            return lambda model: model.model.__setitem__(index, module)

        for change, message in (
            (replaced(0, Focus()), "has as layer 0 a Focus on None where there should be a Conv on -1"),
            (
                layer(12, f=[-1, 4]),
                r"has as layer 12 a Concat on \[-1, 4\] where there should be a Concat on \[-1, 6\]",
            ),
            (lambda model: model.model.append(Concat()), "has 26 layers, not 25"),
            (lambda model: model.model.__delitem__(24), "has 24 layers, not 25"),
            (fused, "model.0 has modules act, conv, not act, bn, conv"),
            (
                lambda model: setattr(model.model[3], "extra", nn.Conv2d(1, 1, 1)),
                "model.3 has modules act, bn, conv, extra",
            ),
            (lambda model: setattr(model.model[0], "act", nn.Hardswish()), "has the activation Hardswish"),
            (lambda model: setattr(model.model[1], "act", nn.ReLU()), "model.1.act is a ReLU, not SiLU"),
            (
                lambda model: setattr(model.model[1].conv, "stride", (1, 1)),
                r"model.1.conv has stride \(1, 1\), not \(2, 2\)",
            ),
            (lambda model: setattr(model.model[2].m[0], "add", False), "model.2.m.0 has add False, not True"),
            (lambda model: setattr(model.model[9].m, "kernel_size", 9), "model.9.m has kernel_size 9, not 5"),
            (lambda model: setattr(model.model[11], "mode", "bilinear"), "model.11 has mode bilinear, not nearest"),
            (lambda model: model.yaml.update(width_multiple=0.3), "width_multiple 0.3, which is no size"),
            (
                lambda model: model.yaml.update(width_multiple=0.25),
                r"model.0.conv.weight has shape \(8, 3, 6, 6\), not",
            ),
            (layer(24, f=[17, 20]), r"has a head on layers \[17, 20\]"),
            (layer(24, extra=nn.Conv2d(1, 1, 1)), "has a head Detect of m, extra"),
            (lambda model: model.names.pop(3), "KeyError: 3"),
            (lambda model: setattr(model, "yaml", None), "cannot be read"),
        ):
            with self.subTest(message=message):
                model = saved_as(network_of("coupled", None, "fused"), "yolov5")
                change(model)
                self.save({"model": model})
                with self.assertRaisesRegex(ValueError, f"^{self.file}.*{message}.*export another network"):
                    checkpoint.load(self.file)

    def test_no_network(self) -> None:
        for saved in (
            {"model": None},
            {},
            [1],
            {"model": {"a": torch.zeros(1)}},
            {"average": 1},
            {"average": {}, "config": 1},
        ):
            with self.subTest(saved=saved):
                self.save(saved)
                with self.assertRaisesRegex(ValueError, f"^{self.file} "):
                    checkpoint.load(self.file)

    def test_export(self) -> None:
        export = [sys.executable, "-m", "training.export", "--weights", self.file, "--out", self.folder / "best.onnx"]
        self.save({"model": saved_as(network_of("decoupled", None, "split"), "patch").half()})
        ran = subprocess.run(export, cwd=TOP, capture_output=True, text=True)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertIn("é".encode(), (self.folder / "best.onnx").read_bytes())
        self.assertRegex(ran.stdout, "decoupled head, .* classes, layout split, input Bx3xHxW, float32, opset 13$")
        self.file.write_bytes(packed(pickle.dumps(Call(os.mkdir, str(self.folder / "made")), 2)))
        ran = subprocess.run(export, cwd=TOP, capture_output=True, text=True)
        self.assertEqual(ran.returncode, 1)
        self.assertEqual(ran.stderr.count("\n"), 1)
        self.assertRegex(ran.stderr, f"^training.export: {self.file} would run posix.mkdir .*--trust")
        self.assertFalse((self.folder / "made").exists())
        ran = subprocess.run([*export, "--trust"], cwd=TOP, capture_output=True, text=True)
        self.assertEqual(ran.returncode, 1, "a folder made is no network")
        self.assertTrue((self.folder / "made").exists(), "--trust runs what is in the file")

    def test_export_flags_that_contradict(self) -> None:
        self.file.write_bytes(b"weights")
        for arguments, message in (
            (("--out", self.file), "want a name that ends in .onnx"),
            (("--imgsz", "640"), "--imgsz fixes what --dynamic both lets vary"),
            (("--dynamic", "batch", "--batch", "4"), "--batch fixes what --dynamic batch lets vary"),
            (("--inplace",), "give --layout rows"),
        ):
            command = [sys.executable, "-m", "training.export", "--weights", self.file, *arguments]
            ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
            self.assertEqual((ran.returncode, ran.stdout), (2, ""))
            self.assertIn(message, ran.stderr)
            self.assertEqual(self.file.read_bytes(), b"weights")


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable, *arguments: object):
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def packed(content: bytes, storages: tuple[bytes, ...] = (), compression: int = zipfile.ZIP_STORED) -> bytes:
    """Returns a file of torch.save around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("best/data.pkl", content)
        for key, numbers in enumerate(storages):
            archive.writestr(f"best/data/{key}", numbers)
    return file.getvalue()


def name(module: str, text: str) -> bytes:
    """Returns the opcodes that push a name, of protocol 0."""
    return f"c{module}\n{text}\n".encode()


def dotted(module: str, text: str) -> bytes:
    """Returns the opcodes that push a name of protocol 4, which may go through attributes."""
    parts = [b"\x8c" + struct.pack("B", len(part)) + part.encode() for part in (module, text)]
    return b"\x80\x04" + b"".join(parts) + b"\x93"


STORAGE = (
    b"(X\x07\x00\x00\x00storage" + name("torch", "FloatStorage") + b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
)


def tensor(shape: str, strides: str, offset: str = "0") -> bytes:
    """Returns a pickle of a tensor on four numbers; shape and strides are integers apart by spaces."""
    ints = [b"(" + b"".join(f"L{n}L\n".encode() for n in text.split()) + b"t" for text in (shape, strides)]
    start = name("torch._utils", "_rebuild_tensor_v2") + b"(" + STORAGE + f"L{offset}L\n".encode()
    return start + b"".join(ints) + b"\x89}tR."


class Hostile(InFolder):
    def load(self, content: bytes, *storages: bytes) -> object:
        self.file.write_bytes(packed(content, storages))
        return pickled.load(self.file)

    def test_code(self) -> None:
        marker = self.folder / "ran"
        touch = f"open({str(marker)!r}, 'w')"
        shell = f"touch {marker}"
        system = b"(X" + struct.pack("<I", len(shell)) + shell.encode() + b"tR."
        code = b"(X" + struct.pack("<I", len(touch)) + touch.encode()
        for refused, content in (
            ("posix.system", pickle.dumps(Call(os.system, shell), 2)),
            ("posix.system", pickle.dumps({"model": [Call(os.system, shell)]}, 2)),
            ("posix.system", pickle.dumps(collections.OrderedDict(a=Call(os.system, shell)), 4)),
            ("os.system", name("os", "system") + system),
            ("subprocess.Popen", pickle.dumps(Call(subprocess.Popen, shell), 4)),
            ("builtins.eval", pickle.dumps(Call(eval, touch), 2)),
            ("builtins.exec", pickle.dumps(Call(exec, touch), 4)),
            ("builtins.eval", b"(X" + struct.pack("<I", len(touch)) + touch.encode() + b"i__builtin__\neval\n."),
            ("builtins.eval", b"(" + name("__builtin__", "eval") + code[1:] + b"o."),
            ("builtins.getattr", pickle.dumps(Call(getattr, 1, "real"), 2)),
            ("builtins.__import__", pickle.dumps(Call(builtins.__import__, "this"), 2)),
            ("torch.load", name("torch", "load") + system),
            ("torch._utils._import_dotted_name", name("torch._utils", "_import_dotted_name") + system),
            ("torch.nn.functional.relu", name("torch.nn.functional", "relu") + system),
            ("modelsx.yolo.Detect", name("modelsx.yolo", "Detect") + system),
            # a name that goes on from an allowed one
            ("models.yolo.os.system", dotted("models.yolo", "os.system") + system),
            ("torch.nn.modules.module.torch.os.system", dotted("torch.nn.modules.module", "torch.os.system") + system),
            ("collections._sys.modules", dotted("collections", "_sys.modules") + system),
            ("torch.Size.__class__", dotted("torch", "Size.__class__") + system),
            # a function of YOLOv5's, or a class of its called as one is
            ("utils.general.check_requirements", name("utils.general", "check_requirements") + system),
            ("models.yolo.Detect", name("models.yolo", "Detect") + system),
            ("torch.nn.modules.conv.Conv2d", name("torch.nn.modules.conv", "Conv2d") + system),
        ):
            with self.subTest(refused=refused, content=content):
                with self.assertRaises(UnsafeError) as caught:
                    self.load(content)
                self.assertRegex(str(caught.exception), rf"^{self.file} would run {refused} .*--trust")
                self.assertFalse(marker.exists(), "it ran")

    def test_objects_keep_to_themselves(self) -> None:
        module = b"\x80\x02" + name("models.yolo", "Detect") + b")\x81"
        text = b"X\x0c\x00\x00\x00__setstate__"
        # a state that would set a class, or put a function where pickle looks for one
        for state in (
            b"}X\x09\x00\x00\x00__class__" + name("torch", "Size") + b"sb",
            b"(N}X\x09\x00\x00\x00__class__" + name("torch", "Size") + b"stb",
            b"(N}X\x08\x00\x00\x00__dict__}stb",
            b"}" + text + name("torch._utils", "_rebuild_parameter") + b"sbX\x01\x00\x00\x00ab",
        ):
            with self.subTest(state=state):
                made = self.load(module + state + b".")
                self.assertEqual(type(made).__mro__[1], pickled.Object)
                self.assertEqual(made.origin, ("models.yolo", "Detect"))
                self.assertFalse(hasattr(made, "__dict__"))

    def test_what_is_refused_as_damaged(self) -> None:
        state = b"}X\x01\x00\x00\x00ab"
        for what, content in (
            ("state for a function", name("torch._utils", "_rebuild_tensor_v2") + b"}b."),
            ("state for a class", name("models.yolo", "Detect") + b"}b."),
            ("state for a builtin", name("builtins", "set") + b"(N}X\x01\x00\x00\x00aNstb."),
            ("state for a tensor", tensor("4", "1")[:-1] + b"}b."),
            ("state for a type", name("torch", "FloatStorage") + state + b"."),
            ("a call of an object", name("models.yolo", "Detect") + b")\x81)R."),
            ("a call of a tensor", tensor("4", "1")[:-1] + b")R."),
            ("another persistent id", b"(X\x06\x00\x00\x00moduleX\x01\x00\x00\x00atQ."),
            ("a persistent id of text", b"Pstorage\n."),
            ("numbers of an unknown type", STORAGE.replace(b"FloatStorage", b"Size") + b"."),
            ("an extension", b"\x82\x01."),
            ("a buffer beside the file", b"\x80\x05\x97."),
            (
                "a tensor without numbers",
                name("torch._utils", "_rebuild_tensor_v2") + b"(NK\x00))tR.",
            ),
            ("negative strides", tensor("4", "-1", "3")),
            ("a shape too large", tensor(str(1 << 62), "1")),
            ("strides for another shape", tensor("2 2", "1")),
            ("a text for a length", tensor("4", "1").replace(b"L4L\n", b"S'4'\n")),
            ("a text longer than the file", b"X\xff\xff\xff\x7fabc."),
            ("nothing", b""),
            ("no end", b"}"),
            ("an empty stack", b"."),
        ):
            with self.subTest(what=what), self.assertRaisesRegex(ValueError, f"^{self.file} .*torch.save"):
                self.load(content, bytes(16))

    def test_tensors(self) -> None:
        numbers = struct.pack("<4f", 1, 2, 3, 4)
        for shape, strides, offset, wanted in (
            ("4", "1", "0", [1, 2, 3, 4]),
            ("2 2", "1 2", "0", [[1, 3], [2, 4]]),
            ("2", "1", "2", [3, 4]),
            ("0", "1", "9", []),
            ("", "", "3", 4),
        ):
            found = self.load(tensor(shape, strides, offset), numbers).read()
            self.assertEqual(found.tolist(), wanted)
        for shape, strides, offset in (
            ("5", "1", "0"),
            ("4", "1", "1"),
            ("2", "9", "0"),
            (str(1 << 39), "0", "0"),
            ("", "", "4"),
        ):
            with self.subTest(shape=shape, strides=strides), self.assertRaisesRegex(ValueError, "holds 16 bytes for"):
                self.load(tensor(shape, strides, offset), numbers).read()

    def test_nothing_that_takes_the_reader_down(self) -> None:
        deep = b"N" + 400_000 * b"\x85"  # tuples of one, whose hash ends Python's stack
        for what, content in (
            ("a nested key", b"}" + deep + b"Ns."),
            ("a nested key of several", b"}(" + deep + b"Nu."),
            ("a nested key of a dict made at once", b"(" + deep + b"Nd."),
            ("a nested item of a set", b"\x8f(" + deep + b"\x90."),
            ("a set of nested items", name("builtins", "set") + b"(](" + deep + b"etR."),
            ("an OrderedDict of nested keys", name("collections", "OrderedDict") + b"(](" + deep + b"N\x86etR."),
            ("a frozen set", b"(" + deep + b"\x91."),
            ("a bytearray of 8 GB", b"\x96" + struct.pack("<Q", 8 << 30) + b"."),
        ):
            with self.subTest(what=what), self.assertRaisesRegex(ValueError, f"^{self.file} .*torch.save"):
                self.load(content)

    def test_claims_that_no_memory_holds(self) -> None:
        for claims in ({"classes": 1 << 30}, {"hidden": 1 << 20}, {"anchors": (((1.0, 1.0),) * 5000,)}):
            with self.subTest(claims=str(claims)[:40]), self.assertRaisesRegex(ValueError, "claims .* classes"):
                checkpoint._made(Config(**{"classes": 2, "size": "pico", **claims}))

    def test_memo_of_any_size(self) -> None:
        # an index of 4 billion: pickle's reader in C makes room for twice as many
        self.assertEqual(self.load(b"}r\xfe\xff\xff\xff."), {})

    def test_files(self) -> None:
        self.save({"model": saved_as(network_of("coupled", None, "fused"), "yolov5")})
        whole = self.file.read_bytes()
        legacy = io.BytesIO()
        torch.save({"a": torch.zeros(3)}, legacy, _use_new_zipfile_serialization=False)
        script = io.BytesIO()
        torch.jit.save(torch.jit.script(nn.ReLU()), script)
        other = io.BytesIO()
        zipfile.ZipFile(other, "w").close()
        for what, content, message in (
            ("nothing", b"", "damaged, or not a checkpoint of PyTorch 1.6 or newer"),
            ("a text", b"names: [dog]", "damaged, or not a checkpoint of PyTorch 1.6 or newer"),
            ("a file of old", legacy.getvalue(), "not a checkpoint of PyTorch 1.6 or newer"),
            ("half a file", whole[: len(whole) // 2], "damaged"),
            ("TorchScript", script.getvalue(), "is TorchScript"),
            ("an empty zip", other.getvalue(), "is a zip, but not one of torch.save"),
            ("a compressed file", packed(b"}.", (), zipfile.ZIP_DEFLATED), "compressed"),
            ("no numbers", packed(tensor("4", "1").replace(b"tR.", b"tRs.", 1)), "damaged"),
        ):
            with self.subTest(what=what):
                self.file.write_bytes(content)
                with self.assertRaisesRegex(ValueError, f"^{self.file} .*{message}"):
                    checkpoint.load(self.file)
        self.file.write_bytes(whole)
        link = self.folder / "link.pt"
        link.symlink_to(self.file)
        self.assertEqual(checkpoint.load(link)[1], NAMES)
        os.mkfifo(self.folder / "pipe.pt")
        for path in (self.folder, self.folder / "pipe.pt", Path("/dev/zero")):
            with self.assertRaisesRegex(ValueError, "is not a file"):
                checkpoint.load(path)
        with self.assertRaises(FileNotFoundError):
            checkpoint.load(self.folder / "none.pt")

    def test_damage(self) -> None:
        """Whatever bytes are changed, the reader says so, or reads what is left."""
        self.save({"model": saved_as(network_of("decoupled", None, "split"), "patch").half()})
        with zipfile.ZipFile(self.file) as archive:
            content = archive.read("best/data.pkl")
            numbers = [archive.read(f"best/data/{i}") for i in range(len(archive.namelist()) - 2)]
        chance = random.Random(6)
        refused = 0
        for _ in range(100):
            damaged = bytearray(content)
            for _ in range(chance.choice((1, 1, 4))):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            self.file.write_bytes(packed(bytes(damaged), numbers))
            try:
                checkpoint.load(self.file)
            except ValueError as error:
                refused += 1
                self.assertIn(str(self.file), str(error))
        self.assertGreater(refused, 10)


if __name__ == "__main__":
    unittest.main()
