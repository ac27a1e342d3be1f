"""Pictures made of colored noise, for calibrating and checking the nets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def noise(rng: np.random.Generator, count: int, height: int, width: int) -> NDArray[np.float32]:
    """Return (count, 3, height, width) RGB pictures, 0 to 255.

    Their spectrum falls with frequency as a photograph's does, boxes of plain
    color lie on them, and every other one has the gray bars of a letterbox.
    """
    fy = np.fft.fftfreq(height)[:, None]
    fx = np.fft.fftfreq(width)[None, :]
    falloff = 1 / np.maximum(np.hypot(fy, fx), 1 / max(height, width)) ** 1.2
    white = np.fft.fft2(rng.normal(size=(count, 3, height, width)))
    pictures = np.real(np.fft.ifft2(white * falloff))
    # colors of a photograph go up and down together
    pictures += 1.5 * pictures.mean(1, keepdims=True)
    pictures -= pictures.mean((2, 3), keepdims=True)
    pictures *= 50 / pictures.std((1, 2, 3), keepdims=True)
    pictures += rng.uniform(90, 150, (count, 3, 1, 1))
    for index, picture in enumerate(pictures):
        for _ in range(6):
            top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
            tall, wide = rng.integers(6, height // 2), rng.integers(6, width // 2)
            picture[:, top : top + tall, left : left + wide] = rng.uniform(0, 255, (3, 1, 1))
        if index % 2:
            bar = height // 8
            picture[:, :bar] = picture[:, height - bar :] = 114
    return np.clip(np.round(pictures), 0, 255).astype(np.float32)
