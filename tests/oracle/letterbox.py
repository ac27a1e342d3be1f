"""The letterbox with cv2: YOLOv5's (centered, auto off, scaleup on) and YOLOX's (top-left)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

PAD = 114


@dataclass
class Fit:
    """Where a picture lies in the input, and how boxes go back."""

    width: int
    height: int
    resized_w: int
    resized_h: int
    left: int
    top: int
    gain: float
    pad_x: float
    pad_y: float


def fit(width: int, height: int, input_w: int, input_h: int, placement: str) -> Fit:
    """Geometry of a letterbox; a resized side is at least 1 px."""
    gain = min(input_h / height, input_w / width)
    if placement == "top-left":
        resized_w, resized_h = max(int(width * gain), 1), max(int(height * gain), 1)
        return Fit(width, height, resized_w, resized_h, 0, 0, gain, 0.0, 0.0)
    resized_w, resized_h = max(int(round(width * gain)), 1), max(int(round(height * gain)), 1)
    left = int(round((input_w - resized_w) / 2 - 0.1))
    top = int(round((input_h - resized_h) / 2 - 0.1))
    pad_x, pad_y = (input_w - width * gain) / 2, (input_h - height * gain) / 2
    return Fit(width, height, resized_w, resized_h, left, top, gain, pad_x, pad_y)


def letterbox(picture: np.ndarray, input_w: int, input_h: int, placement: str) -> tuple[np.ndarray, Fit]:
    """Lays a picture (h, w, 3) in an input; returns (H, W, 3) 8-bit and its geometry."""
    height, width = picture.shape[:2]
    f = fit(width, height, input_w, input_h, placement)
    if (f.resized_w, f.resized_h) != (width, height):
        picture = cv2.resize(picture, (f.resized_w, f.resized_h), interpolation=cv2.INTER_LINEAR)
    bottom, right = input_h - f.resized_h - f.top, input_w - f.resized_w - f.left
    border = (PAD, PAD, PAD)
    return cv2.copyMakeBorder(picture, f.top, bottom, f.left, right, cv2.BORDER_CONSTANT, value=border), f


def to_input(letterboxed: np.ndarray, channel_order: str, pixel_range: float) -> np.ndarray:
    """(H, W, 3) 8-bit RGB to the network's (1, 3, H, W) float32."""
    if channel_order == "bgr":
        letterboxed = letterboxed[..., ::-1]
    planes = np.ascontiguousarray(letterboxed.transpose(2, 0, 1)[None]).astype(np.float32)
    return planes / np.float32(255) if pixel_range == 1 else planes * np.float32(pixel_range / 255)


def to_picture(boxes: np.ndarray, f: Fit) -> np.ndarray:
    """scale_boxes: corners in pixels of the input to pixels of the picture, clipped to it."""
    out = (boxes.astype(np.float64) - [f.pad_x, f.pad_y, f.pad_x, f.pad_y]) / f.gain
    return out.clip(0, [f.width, f.height, f.width, f.height]).astype(np.float32)
