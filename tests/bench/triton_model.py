"""Triton's side of the bench: its python backend calls this with the requests of a batch.

A request has one encoded picture (IMAGE, bytes) and gets its objects (BOXES, (n, 6) as Detector.detect has them).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils

sys.path.append(str(Path(__file__).resolve().parent))

from detector import Detector  # noqa: E402 (the path has to be set first)


class TritonPythonModel:
    """What the python backend makes an object of, in a process for each instance."""

    def initialize(self, arguments: dict[str, str]) -> None:
        """Opens the network that the model's configuration names."""
        parameters = json.loads(arguments["model_config"])["parameters"]
        network, size, conf = (parameters[name]["string_value"] for name in ("network", "size", "conf"))
        self.detector = Detector(network, int(size), float(conf))

    def execute(self, requests: list) -> list:
        """Returns a response for each request."""
        files = [pb_utils.get_input_tensor_by_name(r, "IMAGE").as_numpy().reshape(-1)[0] for r in requests]
        pictures = [cv2.imdecode(np.frombuffer(f, np.uint8), cv2.IMREAD_COLOR) for f in files]
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("BOXES", boxes[None])])
            for boxes in self.detector.detect(pictures)
        ]
