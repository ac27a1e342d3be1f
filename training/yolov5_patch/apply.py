"""Puts decoupled heads into a checkout of YOLOv5, or takes them out again.

Run as `python3 -m training.yolov5_patch.apply CHECKOUT --head decoupled-base,256,fused`.
models/decoupled.py is added, models/yolo.py changed in four places (the change
is printed as a diff), and for each --head a YAML is written that is the
checkout's own but for its last line. CHECKOUT is the folder that has models/.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.files import write

DROP_IN = Path(__file__).with_name("decoupled.py")


@dataclass(frozen=True)
class Head:
    """A decoupled head as the last line of a YAML has it; hidden None is each level's own width."""

    kind: str
    hidden: int | None
    layout: str

    def __str__(self) -> str:
        return f"{self.kind},{self.hidden or 'x'},{self.layout}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Reads what str writes: decoupled-base,256,fused or decoupled,x,split. Raises ValueError on anything else."""
        found = re.fullmatch(r"(decoupled-base),([1-9]\d{0,3}|x),(fused|split)|(decoupled),(x),(fused|split)", text)
        if not found:
            raise ValueError(f"head {text!r}: want decoupled-base,WIDTH|x,fused|split or decoupled,x,fused|split")
        kind, hidden, layout = filter(None, found.groups())
        return cls(kind, None if hidden == "x" else int(hidden), layout)


# Those that the article and its readers train.
HEADS = tuple(
    Head(kind, hidden, layout)
    for kind, hidden in (("decoupled-base", 256), ("decoupled-base", None), ("decoupled", None))
    for layout in ("fused", "split")
)


@dataclass(frozen=True)
class Insertion:
    """Text put into models/yolo.py where the one match of a pattern ends; \\1 in it is the match's first group."""

    what: str
    pattern: str
    text: str


# Each pattern is a few tokens that YOLOv5 has had since 6.0.
INSERTIONS = (
    Insertion(
        "the import of models.experimental",
        r"(?m)^(?=from (\S*)models\.experimental import )",
        "from \\1models.decoupled import Decoupled\n",
    ),
    Insertion(
        "the class that follows Detect",
        r"(?ms)^class Detect\(.*?(?=^class )",
        "class DecoupledDetect(Decoupled, Detect):\n"
        '    """A decoupled head of the kind that models/decoupled.py is told."""\n\n\n',
    ),
    Insertion(
        "parse_model's case for Detect",
        r"elif m (?=is Detect:|in \{Detect\b)",
        "is DecoupledDetect or m ",
    ),
    Insertion(
        "the loop of _initialize_biases",
        r"(?m)^(?= +for mi, s in zip\(m\.m, m\.stride\):)",
        "        if isinstance(m, DecoupledDetect):\n            return m.add_first_biases(cf)\n",
    ),
)


class PatchError(Exception):
    """A checkout that cannot be changed as asked; the text says which file, and what to do."""


def patched(source: str) -> str:
    """Returns models/yolo.py with the change in it. Raises PatchError where a place is not found exactly once."""
    for insertion in INSERTIONS:
        found = list(re.finditer(insertion.pattern, source))
        if len(found) != 1:
            raise PatchError(
                f"{insertion.what} is there {len(found)} times, want once, as YOLOv5 has it since 6.0:"
                " make the change by hand, as docs/training.md says"
            )
        at = found[0].end()
        source = source[:at] + found[0].expand(_lines_as_in(source, insertion.text)) + source[at:]
    return source


def _lines_as_in(source: str, text: str) -> str:
    """Returns a text with Windows' ends of lines where a source has them."""
    return text.replace("\n", "\r\n") if "\r\n" in source else text


def unpatched(source: str) -> str:
    """Returns models/yolo.py without the change. Raises PatchError where a part of it is not there as it was made."""
    prefix = re.search(r"(?m)^from (\S*)models\.decoupled import ", source)
    for insertion in INSERTIONS:
        text = _lines_as_in(source, insertion.text.replace("\\1", prefix[1] if prefix else ""))
        if source.count(text) != 1:
            raise PatchError(f"the change at {insertion.what} is not as it was made: undo it by hand, or with git")
        source = source.replace(text, "")
    return source


class Checkout:
    """A folder with YOLOv5's models/: a clone of the repository, or the package that PyPI has."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.yolo = (self.folder / "models" / "yolo.py").resolve()  # not a link to it
        self.drop_in = self.folder / "models" / "decoupled.py"
        if not self.yolo.is_file():
            inside = self.folder / "yolov5"
            hint = f", perhaps {inside}" if (inside / "models" / "yolo.py").is_file() else ""
            raise PatchError(f"{folder} has no models/yolo.py: name the folder of a YOLOv5 checkout{hint}")

    def is_patched(self) -> bool:
        return "DecoupledDetect" in _read(self.yolo)

    def apply(self, dry: bool = False) -> str:
        """Adds decoupled.py and changes yolo.py; returns the change as a diff, empty where it had been made before."""
        if self.drop_in.exists() and self.drop_in.read_bytes() != DROP_IN.read_bytes():
            raise PatchError(f"{self.drop_in} is another file than {DROP_IN}: remove or rename it first")
        before = after = _read(self.yolo)
        if self.is_patched():
            self._change(unpatched, before)  # all of it is there
        else:
            after = self._change(patched, before)
        if not dry:
            # first what the other imports
            write(self.drop_in, DROP_IN.read_bytes())
            self._write_yolo(before, after)
        return _diff(before, after)

    def revert(self, dry: bool = False) -> str:
        """Removes decoupled.py and the change of yolo.py; returns what that changed as a diff."""
        if not self.is_patched():
            return ""
        if self.drop_in.exists() and self.drop_in.read_bytes() != DROP_IN.read_bytes():
            raise PatchError(f"{self.drop_in} has been changed: remove or rename it, then revert takes out the rest")
        before = _read(self.yolo)
        after = self._change(unpatched, before)
        if not dry:
            self._write_yolo(before, after)
            self.drop_in.unlink(missing_ok=True)
        return _diff(before, after)

    def cfg(self, size: str, head: Head) -> tuple[Path, str]:
        """Returns path and text of a YAML with a head: the checkout's own of that size but for its last line."""
        stock = self.folder / "models" / f"yolov5{size}.yaml"
        if not stock.is_file():
            raise PatchError(f"{stock} is not there: it is what a YAML with another head is made of")
        line = f"DecoupledDetect, [nc, anchors, {head.kind}, {head.hidden}, {head.layout}]"
        text, count = re.subn(r"\bDetect, \[nc, anchors\]", line, _read(stock))
        if count != 1:
            raise PatchError(f"{stock} has {count} lines with Detect, [nc, anchors], want one")
        return stock.with_name(f"yolov5{size}-{str(head).replace(',', '-')}.yaml"), text

    def _change(self, change: Callable[[str], str], source: str) -> str:
        try:
            return change(source)
        except PatchError as error:
            raise PatchError(f"{self.yolo}: {error}") from None

    def _write_yolo(self, before: str, after: str) -> None:
        if after != before:
            mode = self.yolo.stat().st_mode
            write(self.yolo, after.encode())
            self.yolo.chmod(mode)


def _read(path: Path) -> str:
    """Returns a text with its ends of lines as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise PatchError(f"{path} is not UTF-8 ({error}): is it YOLOv5's?") from None


def _diff(before: str, after: str) -> str:
    lines = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(difflib.unified_diff(*lines, "a/models/yolo.py", "b/models/yolo.py"))


def parse_head(text: str) -> Head | None:
    """Reads a head off a command line; coupled, the stock one, is None."""
    try:
        return None if text == "coupled" else Head.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m training.yolov5_patch.apply",
        description="put decoupled heads into a checkout of YOLOv5",
        allow_abbrev=False,
    )
    parser.add_argument("checkout", type=Path, help="folder that has YOLOv5's models/")
    parser.add_argument(
        "--head",
        type=parse_head,
        action="append",
        default=[],
        metavar="KIND,WIDTH,LAYOUT",
        help="write a YAML with this head, such as decoupled-base,256,fused or decoupled,x,split; may be repeated",
    )
    parser.add_argument("--size", choices=tuple("nsmlx"), help="of the YAMLs (default s)")
    parser.add_argument("--revert", action="store_true", help="take the change out again; YAMLs stay")
    parser.add_argument("--dry-run", action="store_true", help="write nothing, only say what would be written")
    o = parser.parse_args()
    if None in o.head:
        parser.error("--head coupled: the stock head needs no change and no YAML of its own")
    if o.head and o.revert:
        parser.error("--revert writes no YAML: leave --head out")
    if o.size and not o.head:
        parser.error(f"--size {o.size} is that of a YAML: give --head too")
    try:
        checkout = Checkout(o.checkout)
        cfgs = [checkout.cfg(o.size or "s", head) for head in o.head]
        for path, text in cfgs:
            if path.exists() and _read(path) != text:
                raise PatchError(f"{path} has been changed: remove or rename it first")
        had_drop_in = checkout.drop_in.exists()
        diff = checkout.revert(o.dry_run) if o.revert else checkout.apply(o.dry_run)
        for path, text in cfgs if not o.dry_run else []:
            write(path, text.encode())
    except (OSError, PatchError) as error:
        parser.exit(1, f"training.yolov5_patch.apply: {error}\n")
    print(diff or f"{checkout.yolo} needs no change", end="" if diff else "\n")
    would = "would be " if o.dry_run else ""
    if had_drop_in == o.revert and (diff or not o.revert):
        print(f"{checkout.drop_in} {would}{'removed' if o.revert else 'written'}")
    for path, _ in cfgs:
        print(f"{path} {would}written: train.py --cfg {path.relative_to(checkout.folder)}")


if __name__ == "__main__":
    main()
