"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Writes a file so that it is never seen half-written. Raises OSError that names it, and leaves what was there.

    Its name beside the place is known before: what others may have put there, or
    in the place itself, is removed and not written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    made = False
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:  # follows no link
            made = True
            file.write(content)
        os.replace(part, path)
    except BaseException as error:  # Ctrl+C too
        if made:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
