"""PyTorch has two exporters to ONNX: which of them runs, what it may miss, and what is said of the file."""

from __future__ import annotations

import contextlib
import io
import tempfile
import unittest
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from training import checkpoint, export
from training.protobuf import BYTES, VARINT, pack
from training.tests.test_heads import SMALL
from training.yolov5 import Config, YOLOv5

NAMES = ["disc", "bar"]
REAL, TORCHSCRIPT = torch.onnx.export, export._exporter()


def newer(*arguments: object, dynamo: bool = True, **keywords: object) -> None:
    """Stands in for the torch.onnx.export of PyTorch 2.9 and newer, where onnxscript is not installed."""
    if dynamo:
        raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript")
    warnings.warn("You are using the legacy TorchScript-based ONNX export.", DeprecationWarning, stacklevel=2)
    REAL(*arguments, **keywords, **TORCHSCRIPT)


def without_onnx(*_: object, dynamo: bool = True, **__: object) -> None:
    """Stands in for the same where onnx is not installed, as PyTorch 2.15 says it."""
    try:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
    except ImportError as error:
        raise RuntimeError("Module onnx is not installed!") from error


def dynamo_alone(*_: object, **__: object) -> None:
    """Stands in for a PyTorch that has one exporter, the newer one, without onnxscript."""
    raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript.function_libs")


def of_its_own_choice(*arguments: object, opset_version: int, **keywords: object) -> None:
    """Stands in for an exporter that writes another opset than it is asked for."""
    REAL(*arguments, opset_version=opset_version + 1, **keywords, **TORCHSCRIPT)


class Exporters(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name) / "best.onnx"

    def run_main(self, exporter: Callable) -> tuple[int, str, str]:
        """Returns the status of the program under a PyTorch with this exporter, and what it prints."""
        network = YOLOv5(Config(len(NAMES), "demo", "decoupled", None, "silu", SMALL, "fused"))
        stdout, stderr = io.StringIO(), io.StringIO()
        status = 0
        with (
            mock.patch("torch.onnx.export", exporter),
            mock.patch.object(checkpoint, "load", lambda *_: (network, NAMES)),
            mock.patch("sys.argv", ["export", "--weights", "best.pt", "--out", str(self.out)]),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            try:
                export.main()
            except SystemExit as end:
                status = end.code
        return status, stdout.getvalue(), stderr.getvalue()

    def test_the_exporter_of_torchscript_runs(self) -> None:
        status, said, complaint = self.run_main(newer)
        self.assertEqual((status, complaint), (0, ""))
        self.assertRegex(said, f"opset {export.OPSET}$")
        self.assertEqual(export.opset(self.out.read_bytes()), export.OPSET)

    def test_a_missing_package_is_named(self) -> None:
        for exporter, package in ((without_onnx, "onnx"), (dynamo_alone, "onnxscript")):
            with self.subTest(package=package):
                status, said, complaint = self.run_main(exporter)
                self.assertEqual((status, said, complaint.count("\n")), (1, "", 1), complaint)
                self.assertRegex(complaint, rf"^training.export: PyTorch \d.* pip install {package}$")
                self.assertFalse(self.out.exists())

    def test_another_failure_stays_what_it_is(self) -> None:
        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("unsupported")

        with self.assertRaisesRegex(RuntimeError, "^unsupported$"):
            self.run_main(broken)

    def test_the_opset_that_is_printed_stands_in_the_file(self) -> None:
        status, said, complaint = self.run_main(of_its_own_choice)
        self.assertEqual((status, complaint), (0, ""))
        self.assertRegex(said, f"opset {export.OPSET + 1}$")

    def test_opset(self) -> None:
        def imported(*content: tuple) -> bytes:
            return pack([(export.OPSET_IMPORT, BYTES, pack(content))])

        other = imported((1, BYTES, b"com.microsoft"), (2, VARINT, 1))
        self.assertEqual(export.opset(other + imported((2, VARINT, 17))), 17)
        self.assertEqual(export.opset(imported((1, BYTES, b"ai.onnx"), (2, VARINT, 9)) + other), 9)
        self.assertEqual(export.opset(other), 0)


if __name__ == "__main__":
    unittest.main()
