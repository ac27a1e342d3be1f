"""Runs beside each other: all done, stopped together, or ended by a failure."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import unittest
from pathlib import Path

from training.jobs import side_by_side
from training.tests.limit import LIMIT


class Jobs(unittest.TestCase):
    def test_all_of_it(self) -> None:
        with tempfile.TemporaryDirectory() as name:

            def work(one: tuple[str, int]) -> bool:
                Path(name, f"{one[0]}{one[1]}").touch()
                return True

            todo = [(letter, seed) for letter in "abc" for seed in range(3)]
            self.assertTrue(side_by_side(work, todo, 4))
            self.assertEqual(len(list(Path(name).iterdir())), len(todo))
            self.assertTrue(side_by_side(work, [], 2))

    def test_as_many_at_a_time(self) -> None:
        meeting = multiprocessing.get_context("fork").Barrier(3)
        # each waits for two others, which one after the other never come
        self.assertTrue(side_by_side(lambda _: meeting.wait(LIMIT) >= 0, [("a", i) for i in range(6)], 3))

    def test_ctrl_c_stops_all(self) -> None:
        running = multiprocessing.get_context("fork").Semaphore(0)

        def work(_: tuple[str, int]) -> bool:
            running.release()
            return hang()

        def stop() -> None:
            for _ in range(3):
                running.acquire(timeout=LIMIT)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=stop, daemon=True).start()
        self.assertFalse(side_by_side(work, [("a", i) for i in range(9)], 3))

    def test_a_failure_ends_it(self) -> None:
        def work(one: tuple[str, int]) -> bool:
            if one[1] == 0:
                os._exit(7)
            return hang()

        with self.assertRaisesRegex(OSError, "the run of b, seed 0 ended with exit status 7"):
            side_by_side(work, [("a", 1), ("b", 0), ("c", 1)], 2)


def hang() -> bool:
    """Does what only a signal ends; the limit is for a test that has failed."""
    threading.Event().wait(LIMIT)
    return True


if __name__ == "__main__":
    unittest.main()
