"""Which nets to make: the factors, the combinations that make no sense, and the sets."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

Value = str | int
Pair = frozenset[tuple[str, Value]]

ANCHOR_FREE = ("yolox", "yolov8")
DECOUPLED = ("decoupled-base-c", "decoupled-base-x", "decoupled")
DECODED = ("rows", "rows+maps", "columns")


@dataclass(frozen=True)
class Case:
    """One net, by its factors. The defaults are the plainest choice."""

    kind: str  # decoupled-base-c has c fixed, decoupled-base-x has c = x
    layout: str  # in the file; split-cat is the concatenation of a split head's maps
    activation: str = "silu"
    na: int = 3
    levels: int = 3
    classes: int = 4
    dynamic: str = "none"  # none, batch, size, both
    bn: str = "folded"  # folded, separate
    opset: int = 13
    wiring: str = "fused"  # fused, split: how rows and 5-d maps view a decoupled head's channels
    decode: str = "none"  # in-place, slices, split: how rows are decoded in the graph
    precision: str = "fp32"  # fp32, fp16, int8-tensor, int8-channel
    metadata: str = "none"  # none, names (and the stride), anchors (as well)
    outputs: str = "in-order"  # in-order, shuffled
    simplified: str = "no"  # no: as torch writes it; yes: constants folded
    sigmoid: str = "outside"  # inside: conf and labels leave the graph as probabilities
    batch: int = 1  # of a net whose batch is fixed
    external: bool = False  # weights in a second file

    @property
    def name(self) -> str:
        """The file's stem: the main factors, and a hash of all of them."""
        digest = zlib.crc32(repr(dataclasses.astuple(self)).encode())
        main = f"{self.kind}_{self.layout}_{self.activation}_na{self.na}_l{self.levels}_nc{self.classes}"
        return f"{main}_{digest:08x}"

    @property
    def anchored(self) -> bool:
        """Whether the head has anchors (YOLOv5's)."""
        return self.kind not in ANCHOR_FREE

    @property
    def split(self) -> bool:
        """Whether the decoder keeps box, conf and labels apart per anchor."""
        return self.layout in ("split", "split-cat") or self.wiring == "split"


MAIN: dict[str, tuple[Value, ...]] = {
    "kind": ("coupled", *DECOUPLED, *ANCHOR_FREE),
    "layout": ("fused", "split", "split-cat", "5d", "rows", "rows+maps", "rows-grid", "columns"),
    "activation": ("silu", "relu", "leaky"),
    "na": (1, 2, 3, 4, 5),
    "levels": (1, 2, 3, 4),
    "classes": (1, 2, 4, 7, 20, 80),
    "dynamic": ("none", "batch", "size", "both"),
    "bn": ("folded", "separate"),
    "opset": (11, 12, 13, 14, 15, 16, 17),
}
# paired with PARTNERS only; the first value is the plain one
SECONDARY: dict[str, tuple[Value, ...]] = {
    "wiring": ("fused", "split"),
    "decode": ("none", "in-place", "slices", "split"),
    "precision": ("fp32", "fp16", "int8-tensor", "int8-channel"),
    "metadata": ("none", "names", "anchors"),
    "outputs": ("in-order", "shuffled"),
    "simplified": ("no", "yes"),
    "sigmoid": ("outside", "inside"),
}
PARTNERS = ("kind", "layout", "dynamic", "decode")
FACTORS = MAIN | SECONDARY
PAIRED = [*itertools.combinations(MAIN, 2), *((a, b) for a in PARTNERS for b in SECONDARY if a != b)]

# A combination is left out when a rule's condition holds; the parameters' names are the factors it looks at.
RULES: list[tuple[str, Callable[..., bool]]] = [
    ("anchor-free heads have one box per cell", lambda kind, na: kind in ANCHOR_FREE and na != 1),
    ("columns are YOLOv8's, and nothing else is", lambda kind, layout: (kind == "yolov8") != (layout == "columns")),
    ("rows that need a grid are YOLOX's", lambda kind, layout: layout == "rows-grid" and kind != "yolox"),
    ("one conv cannot be split", lambda kind, layout: kind == "coupled" and layout in ("split", "split-cat")),
    (
        "YOLOX writes maps or rows",
        lambda kind, layout: kind == "yolox" and layout not in ("fused", "split", "rows", "rows-grid"),
    ),
    ("one anchor's concatenation is fused and split at once", lambda layout, na: layout == "split-cat" and na == 1),
    ("only a decoupled head can be wired either way", lambda kind, wiring: wiring == "split" and kind not in DECOUPLED),
    (
        "wiring is told by these layouts only",
        lambda layout, wiring: wiring == "split" and layout not in ("5d", "rows", "rows+maps"),
    ),
    (
        "rows are decoded one way or another, raw maps and columns in none",
        lambda layout, decode: (decode != "none") != (layout in ("rows", "rows+maps")),
    ),
    ("decoding by Split is YOLOv5 7.0's", lambda kind, decode: decode == "split" and kind == "yolox"),
    ("YOLOv5 7.0 exports rows alone", lambda layout, decode: decode == "split" and layout == "rows+maps"),
    ("quantizers fold BatchNorm", lambda precision, bn: precision.startswith("int8") and bn == "separate"),
    ("per channel scales came with opset 13", lambda precision, opset: precision == "int8-channel" and opset < 13),
    ("YOLOX writes no metadata", lambda kind, metadata: kind == "yolox" and metadata != "none"),
    (
        "anchors are told where the graph does not hold them",
        lambda kind, layout, metadata: metadata == "anchors" and (kind == "yolov8" or layout in DECODED),
    ),
    (
        "shuffling takes more than one output",
        lambda layout, levels, outputs: (
            outputs == "shuffled"
            and (layout in ("rows", "rows-grid", "columns") or (levels == 1 and layout not in ("split", "rows+maps")))
        ),
    ),
    (
        "simplifying folds shapes, which must be fixed",
        lambda dynamic, simplified: simplified == "yes" and dynamic != "none",
    ),
    ("only YOLOX's maps leave with sigmoids", lambda kind, sigmoid: sigmoid == "inside" and kind != "yolox"),
    (
        "YOLOX joins its maps behind the sigmoids",
        lambda kind, layout, sigmoid: kind == "yolox" and layout.startswith("rows") and sigmoid == "outside",
    ),
]
_RULES = [(tuple(inspect.signature(test).parameters), test) for _, test in RULES]
_RULES_OF = {name: [(fields, test) for fields, test in _RULES if name in fields] for name in FACTORS}


def objection(values: Mapping[str, Value]) -> str:
    """Return why these factors (some or all) make no sense together, or nothing."""
    for (why, _), (fields, test) in zip(RULES, _RULES, strict=True):
        if all(f in values for f in fields) and test(*(values[f] for f in fields)):
            return why
    return ""


def complete(values: dict[str, Value], rank: Callable[[str, dict[str, Value]], list[Value]]) -> dict[str, Value] | None:
    """Fill in the other factors, trying their values in rank's order; None where nothing fits."""
    name = next((f for f in FACTORS if f not in values), "")
    if not name:
        return values
    for value in rank(name, values):
        tried = {**values, name: value}
        if not any(
            all(f in tried for f in fields) and test(*(tried[f] for f in fields)) for fields, test in _RULES_OF[name]
        ):
            full = complete(tried, rank)
            if full:
                return full
    return None


def _covered_pairs(values: Mapping[str, Value]) -> Iterator[Pair]:
    """Yield the pairs of values of a net that a covering set has to hold."""
    for a, b in PAIRED:
        yield frozenset(((a, values[a]), (b, values[b])))


def _random_rank(rng: random.Random) -> Callable[[str, dict[str, Value]], list[Value]]:
    """Rank main factors at random, secondary ones with the plain value first, mostly."""

    def rank(name: str, _: dict[str, Value]) -> list[Value]:
        options = list(FACTORS[name])
        rng.shuffle(options)
        if name in SECONDARY and rng.random() < 0.6:
            options.sort(key=lambda v: v != FACTORS[name][0])
        return options

    return rank


def feasible_pairs() -> set[Pair]:
    """Return every pair that some net can have."""
    wanted: set[Pair] = set()
    for a, b in PAIRED:
        for x, y in itertools.product(FACTORS[a], FACTORS[b]):
            start = {a: x, b: y}
            if not objection(start) and complete(start, lambda name, _: list(FACTORS[name])):
                wanted.add(frozenset(start.items()))
    return wanted


def pairwise(seed: int = 5) -> list[Case]:
    """Return a small set of nets that holds every feasible pair of factor values."""
    rng = random.Random(seed)
    missing = feasible_pairs()
    cases = []
    while missing:
        best: tuple[int, dict[str, Value]] = (0, {})
        for _ in range(8):
            start = dict(rng.choice(sorted(missing, key=sorted)))

            def rank(name: str, values: dict[str, Value]) -> list[Value]:
                options = _random_rank(rng)(name, values)
                gain = {v: sum(frozenset((p, (name, v))) in missing for p in values.items()) for v in options}
                return sorted(options, key=lambda v: -gain[v])

            full = complete(start, rank)
            if full:
                gain = sum(pair in missing for pair in _covered_pairs(full))
                best = max(best, (gain, full), key=lambda b: b[0])
        cases.append(_case(best[1]))
        missing.difference_update(_covered_pairs(best[1]))
    return cases + extras()


def uncovered(cases: list[Case]) -> set[Pair]:
    """Return the feasible pairs that no net of cases has."""
    return feasible_pairs().difference(*(_covered_pairs(dataclasses.asdict(case)) for case in cases))


def full() -> list[Case]:
    """Return kind x layout x activation x na x levels, the rest drawn by chance."""
    cases = []
    fields = ("kind", "layout", "activation", "na", "levels")
    for values in itertools.product(*(MAIN[f] for f in fields)):
        start = dict(zip(fields, values, strict=True))
        if not objection(start):
            rng = random.Random(repr(start))
            found = complete(start, _random_rank(rng))
            if found is None:
                raise ValueError(f"no net fits {start}, though no rule objects")
            cases.append(_case(found))
    return cases + extras()


def smoke() -> list[Case]:
    """Return one net of every kind, in as many layouts."""
    return [
        Case("coupled", "rows", decode="split", dynamic="both", metadata="names"),
        Case("coupled", "5d", activation="leaky", bn="separate", opset=12, metadata="anchors"),
        Case("decoupled-base-c", "fused", na=3, classes=80, metadata="names"),
        Case("decoupled-base-x", "rows+maps", decode="in-place", activation="relu", opset=11),
        Case("decoupled", "split", bn="separate", dynamic="both", opset=17, outputs="shuffled"),
        Case("decoupled", "rows", wiring="split", decode="slices", dynamic="batch", precision="fp16"),
        Case("yolox", "rows-grid", na=1, classes=1, sigmoid="inside", opset=11),
        Case("yolov8", "columns", na=1, dynamic="both", metadata="names", opset=17),
    ]


def extras() -> list[Case]:
    """Return nets that no factor asks for: a second file of weights, a fixed batch above one, real size."""
    return [
        Case("coupled", "rows", decode="split", metadata="names", external=True, opset=17),
        Case("decoupled-base-x", "fused", dynamic="both", metadata="anchors", external=True, bn="separate"),
        Case("decoupled", "fused", batch=4, metadata="names"),
        Case("coupled", "rows", batch=2, decode="in-place", simplified="yes", activation="relu"),
        Case("yolox", "rows", na=1, batch=2, decode="slices", sigmoid="inside"),
    ]


def _case(values: Mapping[str, Value]) -> Case:
    return Case(**values)  # type: ignore[arg-type]
