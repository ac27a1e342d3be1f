"""The change to a YOLOv5 checkout: made, found made, undone; and the checkout trains, exports and detects with it."""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from training.tests import yolov5_code
from training.tests.limit import LIMIT
from training.tests.test_export import TRTDET
from training.tests.yolov5_code import ORACLE
from training.yolov5_patch import apply
from training.yolov5_patch.apply import DROP_IN, HEADS, Checkout, Head, PatchError, parse_head

TOP = Path(__file__).resolve().parents[2]
FULL = os.environ.get("TRTDET_FULL")

# As much of a models/yolo.py as the change looks at, of a clone.
SOURCE = """import math

from models.common import *
from models.experimental import *


class Detect(nn.Module):
    pass


class Model(nn.Module):
    def _initialize_biases(self, cf=None):
        m = self.model[-1]
        for mi, s in zip(m.m, m.stride):
            pass


def parse_model(d, ch):
    if m is Conv:
        pass
    elif m is Detect:
        pass
"""
CFG = """# a size
nc: 80
head:
  [[-1, 1, Conv, [512, 1, 1]],
   [[17, 20, 23], 1, Detect, [nc, anchors]],  # Detect(P3, P4, P5)
  ]
"""


class Heads(unittest.TestCase):
    def test_names(self) -> None:
        self.assertEqual(len(set(map(str, HEADS))), 6)
        for head in HEADS:
            self.assertEqual(parse_head(str(head)), head)
        self.assertIsNone(parse_head("coupled"))
        self.assertEqual(Head.parse("decoupled-base,128,split"), Head("decoupled-base", 128, "split"))
        for text in ("", "yolox", "decoupled", "decoupled,256,fused", "decoupled-base,fused", "decoupled-base,x,rows"):
            with self.subTest(text=text), self.assertRaisesRegex(ValueError, "want decoupled-base,WIDTH"):
                Head.parse(text)

    def test_drop_in_is_for_every_python_of_yolov5(self) -> None:
        ast.parse(DROP_IN.read_text(encoding="utf-8"), feature_version=(3, 8))


class Change(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.models = self.folder / "models"
        self.models.mkdir()
        self.yolo = self.models / "yolo.py"
        self.yolo.write_text(SOURCE, encoding="utf-8")
        (self.models / "yolov5s.yaml").write_text(CFG, encoding="utf-8")

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.models.iterdir()}

    def run_apply(self, *arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        command = ["apply", str(self.folder), *map(str, arguments)]
        with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                apply.main()
                status = 0
            except SystemExit as end:
                status = end.code
        return status, out.getvalue(), err.getvalue()

    def test_there_and_back(self) -> None:
        self.yolo.chmod(0o755)
        before = self.files()
        status, diff, _ = self.run_apply("--dry-run")
        self.assertEqual((status, self.files()), (0, before))
        self.assertEqual(self.run_apply(), (0, diff.replace("would be written", "written"), ""))
        after = self.files()
        self.assertEqual(after["decoupled.py"], DROP_IN.read_bytes())
        changed = [line[1:] for line in diff.splitlines() if line.startswith("+") and line[1:].strip()]
        self.assertEqual(
            changed,
            [
                "++ b/models/yolo.py",
                "from models.decoupled import Decoupled",
                "class DecoupledDetect(Decoupled, Detect):",
                '    """A decoupled head of the kind that models/decoupled.py is told."""',
                "        if isinstance(m, DecoupledDetect):",
                "            return m.add_first_biases(cf)",
                "    elif m is DecoupledDetect or m is Detect:",
            ],
        )
        ast.parse(after["yolo.py"])
        self.assertEqual(self.yolo.stat().st_mode & 0o777, 0o755)
        status, out, _ = self.run_apply()
        self.assertEqual((status, out), (0, f"{self.yolo} needs no change\n"))
        self.assertEqual(self.files(), after)
        self.assertEqual(self.run_apply("--revert")[0], 0)
        self.assertEqual(self.files(), before)
        self.assertEqual(self.run_apply("--revert")[:2], (0, f"{self.yolo} needs no change\n"))

    def test_lines_of_windows(self) -> None:
        self.yolo.write_bytes(SOURCE.replace("\n", "\r\n").encode())
        before = self.files()
        self.assertEqual(self.run_apply()[0], 0)
        after = self.files()["yolo.py"]
        self.assertEqual(after.count(b"\n"), after.count(b"\r\n"))
        ast.parse(after)
        self.assertEqual(self.run_apply("--revert")[0], 0)
        self.assertEqual(self.files(), before)

    def test_what_was_edited_stays(self) -> None:
        self.run_apply("--head", HEADS[0])
        (cfg,) = self.models.glob("yolov5s-*.yaml")
        cfg.write_text("nc: 12\n", encoding="utf-8")
        status, _, err = self.run_apply("--head", HEADS[0])
        self.assertEqual(status, 1)
        self.assertRegex(err, f"{cfg} has been changed: remove or rename it first")
        drop_in = self.models / "decoupled.py"
        drop_in.write_bytes(DROP_IN.read_bytes() + b"# mine\n")
        before = self.files()
        status, _, err = self.run_apply("--revert")
        self.assertEqual((status, self.files()), (1, before))
        self.assertRegex(err, f"{drop_in} has been changed")

    def test_cfgs(self) -> None:
        status, out, _ = self.run_apply(*itertools.chain(*(("--head", head) for head in HEADS)))
        self.assertEqual(status, 0)
        # PATH written: train.py --cfg PATH
        lines = [line.split(" written: train.py --cfg ") for line in out.splitlines() if line.endswith(".yaml")]
        self.assertTrue(all(path.endswith(f"/{cfg}") for path, cfg in lines))
        paths = [Path(path) for path, _ in lines]
        self.assertEqual(len(set(paths)), len(HEADS))
        for path, head in zip(paths, HEADS, strict=True):
            lines = path.read_text(encoding="utf-8").splitlines()
            differ = [i for i, line in enumerate(CFG.splitlines()) if lines[i] != line]
            self.assertEqual(differ, [4])
            arguments = f"[nc, anchors, {head.kind}, {head.hidden}, {head.layout}]"
            self.assertEqual(lines[4], f"   [[17, 20, 23], 1, DecoupledDetect, {arguments}],  # Detect(P3, P4, P5)")

    def test_what_does_not_fit(self) -> None:
        for what, change, message in (
            ("no Detect", lambda: SOURCE.replace("class Detect(", "class Head("), "the class that follows Detect is"),
            ("two loops", lambda: SOURCE + "    for mi, s in zip(m.m, m.stride):\n", "_initialize_biases is there 2"),
            ("another case", lambda: SOURCE.replace("elif m is Detect", "elif m == Detect"), "parse_model's case for"),
            ("half of it", lambda: SOURCE + "class DecoupledDetect: pass\n", "undo it by hand"),
        ):
            with self.subTest(what=what):
                self.yolo.write_text(change(), encoding="utf-8")
                before = self.files()
                status, out, err = self.run_apply("--head", HEADS[0])
                self.assertEqual((status, out, self.files()), (1, "", before))
                self.assertRegex(err, f"^training.yolov5_patch.apply: {self.yolo}: .*{message}")
        self.yolo.write_text(SOURCE, encoding="utf-8")
        (self.models / "yolov5s.yaml").write_text("nc: 80\n", encoding="utf-8")
        self.assertRegex(self.run_apply("--head", HEADS[0])[2], "yolov5s.yaml has 0 lines")
        self.assertRegex(self.run_apply("--size", "n", "--head", HEADS[0])[2], "yolov5n.yaml is not there")
        self.run_apply("--revert")
        (self.models / "decoupled.py").write_text("mine = 1\n", encoding="utf-8")
        self.assertRegex(self.run_apply()[2], "decoupled.py is another file")
        self.run_apply("--revert")
        self.assertEqual((self.models / "decoupled.py").read_text(encoding="utf-8"), "mine = 1\n")
        with self.assertRaisesRegex(PatchError, "has no models/yolo.py"):
            Checkout(self.models)
        (self.models / "decoupled.py").unlink()
        self.yolo.write_bytes(b"\x8d")
        self.assertRegex(self.run_apply()[2], f"^training.yolov5_patch.apply: {self.yolo} is not UTF-8")

    def test_flags_that_do_nothing_are_refused(self) -> None:
        before = self.files()
        for arguments, message in (
            (("--head", "coupled"), "needs no change"),
            (("--head", "decoupled-base,0,split"), "want decoupled-base,WIDTH"),
            (("--head", HEADS[0], "--revert"), "leave --head out"),
            (("--size", "n"), "give --head too"),
            (("--dry",), "unrecognized arguments: --dry"),
        ):
            status, out, err = self.run_apply(*arguments)
            self.assertEqual((status, out), (2, ""), arguments)
            self.assertIn(message, err)
        self.assertEqual(self.files(), before)
        out = self.run_apply("--dry-run", "--head", HEADS[0])[1]
        self.assertEqual(self.files(), before)
        self.assertIn("decoupled.py would be written", out)
        self.assertIn(".yaml would be written: ", out)

    def test_a_link_stays_one(self) -> None:
        target = self.models.parent / "elsewhere.py"
        self.yolo.rename(target)
        self.yolo.symlink_to(target)
        self.assertEqual(self.run_apply()[0], 0)
        self.assertTrue(self.yolo.is_symlink())
        self.assertIn("DecoupledDetect", target.read_text(encoding="utf-8"))


@yolov5_code.needed
@unittest.skipUnless(TRTDET.exists(), f"no {TRTDET}: make build makes it")
class Check(unittest.TestCase):
    def test_package(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            checkout = Path(folder, "yolov5")
            shutil.copytree(ORACLE / "yolov5", checkout, ignore=shutil.ignore_patterns("__pycache__"))
            before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
            heads = () if FULL else ("--size=n", "--head=decoupled-base,256,fused", "--head=decoupled,x,split")
            env = {"PYTHONPATH": str(ORACLE), "YOLOV5_CONFIG_DIR": folder, "YOLO_CONFIG_DIR": folder}
            ran = subprocess.run(
                [sys.executable, "-m", "training.yolov5_patch.check", checkout, "--json", *heads],
                cwd=TOP,
                env=os.environ | env,
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            outcomes = json.loads(ran.stdout)
            self.assertEqual(len(outcomes), 14 if FULL else 2)
            for outcome in outcomes:
                self.assertEqual(len(outcome["passed"]), 6)
                self.assertGreater(outcome["detections"], 20)
            after = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
            self.assertEqual(after, before, "the checkout is not what it was")

    def test_installs_nothing(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            checkout = Path(folder, "checkout")
            shutil.copytree(ORACLE / "yolov5" / "models", checkout / "models")
            installing = "import os\nos.system('touch installed')\n"
            for name in ("general", "augmentations", "loss", "downloads"):
                Path(checkout, "utils").mkdir(exist_ok=True)
                Path(checkout, "utils", f"{name}.py").write_text(installing, encoding="utf-8")
            yolo = checkout / "models" / "yolo.py"
            yolo.write_text(f"{installing}{yolo.read_text(encoding='utf-8')}", encoding="utf-8")
            ran = subprocess.run(
                [sys.executable, "-m", "training.yolov5_patch.check", checkout],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(TOP)},
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
            self.assertEqual(ran.returncode, 1, ran.stderr)
            self.assertIn("the checkout would run 'touch installed'", ran.stderr)
            self.assertFalse(Path(folder, "installed").exists())


if __name__ == "__main__":
    unittest.main()
