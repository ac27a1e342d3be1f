"""Writes cases for the Go tests: cases.json, and data.bin with the arrays it points into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


class Blobs:
    """Collects arrays in one file; `add` returns where an array lies in it."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = open(self.folder / "data.bin", "wb")

    def add(self, array: np.ndarray | bytes) -> dict[str, int]:
        """Appends uint8 or float32 values, little-endian, row-major."""
        if isinstance(array, bytes):
            array = np.frombuffer(array, np.uint8)
        if array.dtype not in (np.uint8, np.float32):
            raise TypeError(f"an array of {array.dtype}: want uint8 or float32")
        offset = self.file.tell()
        raw = np.ascontiguousarray(array).tobytes()
        self.file.write(raw)
        return {"offset": offset, "size": len(raw)}

    def finish(self, cases: Any) -> None:
        """Writes the index and closes the data."""
        self.file.close()
        (self.folder / "cases.json").write_text(json.dumps(cases))
