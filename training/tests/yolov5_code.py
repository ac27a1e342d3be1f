"""YOLOv5's own code, which `build/setup.sh test` fetches, to hold ours to. Nothing of it is in this project."""

from __future__ import annotations

import importlib
import os
import sys
import unittest
from pathlib import Path
from types import ModuleType
from unittest import mock

ORACLE = Path(__file__).resolve().parents[2] / "build" / "deps" / "oracle"

needed = unittest.skipUnless((ORACLE / "yolov5").is_dir(), f"no YOLOv5 in {ORACLE}: build/setup.sh test fetches it")


def load(name: str) -> ModuleType:
    """Returns a module of YOLOv5, such as models.yolo, that keeps its messages to itself."""
    with (
        mock.patch.object(sys, "path", [str(ORACLE), *sys.path]),
        mock.patch.dict(os.environ, {"YOLOv5_VERBOSE": "false"}),
    ):
        module = importlib.import_module(f"yolov5.{name}")
    if hasattr(module, "LOGGER"):
        module.LOGGER.disabled = True
    return module
