"""Fetches the Debian packages with the photographs and the emoji font into build/deps/training.

Nothing is installed: `apt-get download` gets each package, `dpkg-deb` unpacks
it. Run as `python3 -m training.fetch`; quick when everything is there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from training.photographs import FONT, PACKAGES, SPLITS

ROOT = Path(__file__).resolve().parent.parent / "build" / "deps" / "training" / "root"


class FetchError(Exception):
    """An input could not be had; the message says which and what to do."""


def missing(root: Path = ROOT) -> list[str]:
    """Returns the paths under root that the composer needs and that are not there."""
    needed = [FONT] + [photo.path for photos in SPLITS.values() for photo in photos]
    return [path for path in needed if not (root / path).is_file()]


def fetch(root: Path = ROOT) -> None:
    """Fetches and unpacks what is missing under root. Raises FetchError."""
    if not missing(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        mark = root / f".{package}"
        if mark.exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            _call(["apt-get", "download", package], folder, f"cannot download package {package}")
            (deb,) = Path(folder).glob("*.deb")
            _call(["dpkg-deb", "-x", str(deb), str(root)], folder, f"cannot unpack package {package}")
        mark.touch()
    if left := missing(root):
        raise FetchError(
            f"{left[0]} and {len(left) - 1} more are in none of the packages: use Debian 12's package lists"
        )


def _call(command: list[str], folder: str, what: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise FetchError(f"{what}: {command[0]} is not here; run this on Debian 12") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise FetchError(f"{what}: {last}; run apt-get update and try again")


if __name__ == "__main__":
    try:
        fetch()
    except FetchError as error:
        sys.exit(f"training.fetch: {error}")
    print(f"photographs and font are in {ROOT}")
