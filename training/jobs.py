"""Runs beside each other, each in a process of its own, that Ctrl+C stops together."""

from __future__ import annotations

import multiprocessing.connection
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess

STOPPED = 130  # exit status after Ctrl+C


def side_by_side(work: Callable[[tuple[str, int]], bool], todo: list[tuple[str, int]], jobs: int) -> bool:
    """Does work for each of todo, name and seed, in a process of its own, jobs at a time.

    Reports False where it is stopped: by Ctrl+C, which reaches every process,
    or because one of them says so. Raises OSError where one fails.
    """
    # forked, so that all share the pictures
    context = multiprocessing.get_context("fork")
    running: dict[int, tuple[str, BaseProcess]] = {}
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        for _, process in running.values():
            if process.is_alive():
                os.kill(process.pid, signal.SIGINT)

    def child(one: tuple[str, int]) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            sys.exit(0 if work(one) else STOPPED)
        except KeyboardInterrupt:
            sys.exit(STOPPED)

    before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    left = iter(todo)
    try:
        while True:
            while len(running) < jobs and not stopped and (one := next(left, None)):
                process = context.Process(target=child, args=(one,))
                # Ctrl+C waits until the child is known here and has let go of this process's handler
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                try:
                    process.start()
                    running[process.sentinel] = (f"{one[0]}, seed {one[1]}", process)
                finally:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            if not running:
                return not stopped
            for sentinel in multiprocessing.connection.wait(list(running)):
                name, process = running.pop(sentinel)
                process.join()
                # Ctrl+C may meet Python's own end of a process, which then has another status
                failed = process.exitcode not in (0, STOPPED) and not stopped
                if process.exitcode:
                    stop()
                if failed:
                    raise OSError(f"the run of {name} ended with exit status {process.exitcode}")
    finally:
        stop()
        for _, process in running.values():
            process.join()
        for one, handler in before.items():
            signal.signal(one, handler)
