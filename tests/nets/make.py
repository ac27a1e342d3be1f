#!/usr/bin/env python3
"""Write small ONNX detectors of every kind and layout, and index.json that says what each one is.

Weights are random but seeded, scaled so that a picture gives tens to hundreds
of candidates. Needs numpy and onnx; --check needs onnxruntime as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cases
import onnx
from net import make

SETS = {"smoke": cases.smoke, "pairwise": cases.pairwise, "full": cases.full}
INDEX = "index.json"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(argv)
    folder: Path = options.out
    folder.mkdir(parents=True, exist_ok=True)
    _remove_old(folder)
    start = time.monotonic()
    chosen = [case for case in SETS[options.set]() if options.only in case.name]
    entries = [_write(folder, case) for case in chosen]
    (folder / INDEX).write_text(json.dumps({"version": 1, "set": options.set, "nets": entries}, indent=1) + "\n")
    size = sum(p.stat().st_size for p in folder.iterdir())
    print(f"{len(entries)} nets, {size / 1e6:.1f} MB, in {time.monotonic() - start:.1f} s: {folder / INDEX}")
    return _check(folder, entries, options.set) if options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("build/out/nets"), help="folder to write (default: %(default)s)"
    )
    parser.add_argument(
        "--set",
        choices=sorted(SETS),
        default="pairwise",
        help="smoke: one net of every kind; pairwise: every pair of factor values; "
        "full: kind x layout x activation x na x levels (default: %(default)s)",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="make only nets whose file name holds TEXT")
    parser.add_argument(
        "--check",
        action="store_true",
        help="then hold every net to onnx.checker, run it, and hold what it decodes to numpy's decode of its raw maps",
    )
    return parser


def _remove_old(folder: Path) -> None:
    """Remove the files that the folder's index names, so that none outlives its entry."""
    index = folder / INDEX
    if not index.exists():
        return
    for entry in json.loads(index.read_text())["nets"]:
        for name in (entry["file"], f"{entry['file']}.data"):
            (folder / name).unlink(missing_ok=True)
    index.unlink()


def _write(folder: Path, case: cases.Case) -> dict[str, Any]:
    net = make(case)
    file = f"{case.name}.onnx"
    if case.external:
        # onnx appends to a data file that is there already
        (folder / f"{file}.data").unlink(missing_ok=True)
        onnx.save_model(
            net.model, str(folder / file), save_as_external_data=True, location=f"{file}.data", size_threshold=256
        )
    else:
        onnx.save_model(net.model, str(folder / file))
    return {"file": file, **net.entry}


def _check(folder: Path, entries: list[dict[str, Any]], name: str) -> int:
    import check  # onnxruntime is needed for this only

    start = time.monotonic()
    failed = 0
    counts = []
    for entry in entries:
        try:
            counts.append(check.check(folder, entry))
        except Exception as error:  # every net is reported, whatever is wrong with it
            failed += 1
            print(f"{entry['file']}: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
    if name == "pairwise":
        missing = cases.uncovered([cases.Case(**entry["case"]) for entry in entries])
        for pair in sorted(missing, key=sorted):
            print(f"no net has {dict(sorted(pair))}", file=sys.stderr)
        failed += len(missing)
    if counts:
        middle = sorted(counts)[len(counts) // 2]
        print(f"candidates per picture: {min(counts)} to {max(counts)}, median {middle}")
    print(f"checked {len(entries)} nets in {time.monotonic() - start:.1f} s: {failed or 'none'} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
