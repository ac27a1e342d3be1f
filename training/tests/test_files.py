"""Files that are whole or not there, on a disk that is full too."""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from training.files import write


class Write(unittest.TestCase):
    def test_whole_or_as_before(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name, "deep", "file")
            write(path, b"old")
            write(path, b"new")
            self.assertEqual(path.read_bytes(), b"new")
            # as on a full disk, the file cannot grow
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
            try:
                with self.assertRaisesRegex(OSError, "deep/file'$"):
                    write(path, bytes(5000))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
            self.assertEqual([p.name for p in path.parent.iterdir()], ["file"])
            self.assertEqual(path.read_bytes(), b"new")

    def test_place_taken(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            Path(name, "folder").mkdir()
            with self.assertRaisesRegex(OSError, "folder'$"):
                write(Path(name, "folder"), b"x")
            self.assertEqual([p.name for p in Path(name).iterdir()], ["folder"])
            with mock.patch("os.replace", side_effect=PermissionError(13, "no")), self.assertRaises(PermissionError):
                write(Path(name, "x"), b"x")
            self.assertEqual([p.name for p in Path(name).iterdir()], ["folder"])

    def test_planted(self) -> None:
        """What lies under a name that others know is not written to."""
        plants = {
            "link": lambda victim, place: place.symlink_to(victim),
            "lost link": lambda victim, place: place.symlink_to(victim.with_name("absent")),
            "second name": lambda victim, place: place.hardlink_to(victim),
            "pipe": lambda _, place: os.mkfifo(place),
        }
        for what, plant in plants.items():
            for place in ("file", "file.part"):
                with self.subTest(what, place=place), tempfile.TemporaryDirectory() as name:
                    victim, path = Path(name, "victim"), Path(name, "folder", "file")
                    path.parent.mkdir()
                    victim.write_bytes(b"mine")
                    plant(victim, path.with_name(place))
                    write(path, b"new")
                    self.assertEqual(victim.read_bytes(), b"mine")
                    self.assertEqual([p.name for p in Path(name).iterdir() if p.name == "absent"], [])
                    self.assertFalse(path.is_symlink())
                    self.assertEqual(path.read_bytes(), b"new")
                    self.assertEqual([p.name for p in path.parent.iterdir()], ["file"])


if __name__ == "__main__":
    unittest.main()
