"""Writes what run.sh found as Markdown, for docs/gpu.md.

    table.py RESULTS

Every step is in it, those that failed too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# What trtdet bench calls the network alone.
ALONE = (
    "The network alone: enqueueV3 or its graph without a pause on as many streams at once, timed by CUDA events on "
    "these, once warm; the median of windows of 10 ms and more before and after, and the spread of their middle half.\n"
)


def rows(header: str, lines: list[list[object]]) -> str:
    """Returns a Markdown table."""
    columns = header.count("|") + 1
    body = "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
    return f"| {header} |\n|{'---|' * columns}\n{body}"


def read(path: Path) -> list | dict | None:
    """Returns a JSON file's content, None where a step has left none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def speed(run: dict) -> list[str]:
    """Returns pictures a second, those of the network alone and their spread, share, p50 and p99 of trtdet bench."""
    latency, limit = run["latency_ms"], run["limit_pictures_per_second"]
    spread = f"{100 * (run['limit_high'] - run['limit_low']) / limit:.1f} %"
    if not run["limit_steady"]:
        spread += ", not warm"
    return [
        f"{run['pictures_per_second']:.0f}", f"{limit:.0f}", spread,
        f"{run['share_of_limit']:.3f}", f"{latency['p50']:.2f}", f"{latency['p99']:.2f}",
    ]  # fmt: skip


def speeds(results: Path) -> list[list[object]]:
    """Returns a line for each head, precision, size of pictures, batch and number of slots."""
    lines = []
    for path in sorted(results.glob("bench-*.out")):
        head, precision, size = path.stem.removeprefix("bench-").rsplit("-", 2)
        beside = {(b["what"], b["precision"], b["batch"]): b for b in read(results / f"beside-{head}.out") or []}
        for run in (read(path) or {}).get("runs", []):
            others = [beside.get((what, precision, run["batch"])) for what in ("pytorch", "onnxruntime")]
            stages = run["stages_ms"]
            lines.append(
                [
                    head, precision, size, run["batch"], run["slots"], *speed(run),
                    *(f"{stages[s]:.3f}" for s in ("copy_in", "letterbox", "network", "decode", "copy_out", "nms")),
                    *(f"{o['pictures_per_second']:.0f}" if o else "-" for o in others),
                ]
            )  # fmt: skip
    return lines


def served(results: Path) -> list[list[object]]:
    """Returns a line for each head, precision, form of pictures, number of slots and of callers."""
    lines = []
    for path in sorted(results.glob("served-*.out")):
        head, precision, form = path.stem.removeprefix("served-").rsplit("-", 2)
        found = read(path) or {}
        if found.get("encoded"):
            form += f", decoded by {found['jpeg_decoder'].split(' (')[0]}"
        for run in found.get("runs", []):
            lines.append([head, precision, form, run["slots"], run["concurrency"], *speed(run)])
    return lines


def main() -> None:
    results = Path(sys.argv[1])
    about = read(results / "environment.json") or {}
    info = read(results / "info.json") or {}
    if "simulated" in str(about.get("card")):
        sys.exit("table.py: a simulated GPU's figures go nowhere")
    usable = [t for t in info.get("tensorrt", []) if not t.get("reason")]
    tensorrt = ", ".join(f"TensorRT {t['flavor']} {t['version']}" for t in usable)
    print(f"## {about.get('date')}, {about.get('card')}\n")
    print(f"Driver {about.get('driver')}, {tensorrt}, commit {about.get('commit')}, {about.get('system')}.\n")
    steps = [line.split("\t") for line in (results / "steps.tsv").read_text().splitlines()]
    print(rows("step | outcome | seconds", steps))
    lines = speeds(results)
    if lines:
        print(ALONE)
        print("Pictures a second; milliseconds of a batch.\n")
        print(
            rows(
                "head | precision | pictures | batch | slots | pictures/s | network alone | spread | share | p50 | "
                "p99 | copy in | letterbox | network | decode | copy out | NMS | "
                "PyTorch, network alone | ONNX Runtime, network alone",
                lines,
            )
        )
    lines = served(results)
    if lines:
        print("Callers hand in one picture of 1920x1080 at a time, in batches of up to 8; milliseconds of a call.\n")
        print(
            rows(
                "head | precision | pictures | slots | callers | pictures/s | network alone | spread | share | p50 | "
                "p99",
                lines,
            )
        )


if __name__ == "__main__":
    main()
