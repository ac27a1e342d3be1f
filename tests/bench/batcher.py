"""The batcher that people write in Python: asyncio callers, a queue, and threads that run ONNX Runtime, a core each.

    batcher.py MODEL PICTURE --size 64 --callers 1,64 --seconds 2

Prints one JSON object for each number of callers, as tests/bench/served does. Runs under /usr/bin/python3.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import json
import time

import cv2
import numpy as np
from detector import Detector


class Batcher:
    """Takes what waits, up to a batch, whenever a worker is free."""

    def __init__(self, detector: Detector, batch: int, workers: int) -> None:
        self.detector, self.batch = detector, batch
        self.queue: asyncio.Queue = asyncio.Queue()
        self.pool = concurrent.futures.ThreadPoolExecutor(workers)
        self.tasks = [asyncio.create_task(self.work()) for _ in range(workers)]
        self.batches = 0

    async def detect(self, picture: np.ndarray) -> np.ndarray:
        """Returns what Detector.detect does of one picture."""
        answer = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((picture, answer))
        return await answer

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            waiting = [await self.queue.get()]
            while len(waiting) < self.batch and not self.queue.empty():
                waiting.append(self.queue.get_nowait())
            self.batches += 1
            try:
                found = await loop.run_in_executor(self.pool, self.detector.detect, [picture for picture, _ in waiting])
            except Exception as error:
                for _, answer in waiting:
                    answer.set_exception(error)
                continue
            for (_, answer), boxes in zip(waiting, found, strict=True):
                answer.set_result(boxes)


async def measure(batcher: Batcher, picture: np.ndarray, callers: int, seconds: float) -> dict:
    """Has so many callers each wait for an answer before they ask again."""
    objects = len(await batcher.detect(picture))
    start = time.perf_counter()
    since, until = start + seconds / 4, start + seconds * 5 / 4
    latency, answered, all_answered = [], 0, 0

    async def call() -> None:
        nonlocal answered, all_answered
        while (asked := time.perf_counter()) < until:
            if len(await batcher.detect(picture)) != objects:
                raise ValueError("the picture has other objects than before")
            now = time.perf_counter()
            all_answered += 1
            answered += since <= now < until
            if asked >= since:
                latency.append(now - asked)

    batches, cpu = batcher.batches, time.process_time()
    await asyncio.gather(*(call() for _ in range(callers)))
    return {
        "callers": callers,
        "pictures_per_second": answered / seconds,
        "p50": float(np.quantile(latency, 0.5)),
        "p99": float(np.quantile(latency, 0.99)),
        "cpu": (time.process_time() - cpu) / all_answered,
        "batch": all_answered / (batcher.batches - batches),
        "objects": objects,
    }


async def run(arguments: argparse.Namespace) -> None:
    detector = Detector(arguments.model, arguments.size, arguments.conf)
    batcher = Batcher(detector, arguments.batch, arguments.workers)
    picture = cv2.imread(arguments.picture)
    for callers in map(int, arguments.callers.split(",")):
        print(json.dumps(await measure(batcher, picture, callers, arguments.seconds)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("picture")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--conf", type=float, default=0.25)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--callers", default="1,64")
    parser.add_argument("--seconds", type=float, default=2)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
