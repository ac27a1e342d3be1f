"""The pages about the comparison: its figures, and what they say to each claim of the article."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from statistics import mean, stdev

from training import plots
from training.photographs import CREDIT, Photograph

Run = dict  # what training.compare.evaluate returns
Measure = Callable[[Run], float]


def at(conf: float, what: str) -> Measure:
    """Returns the measure of what - precision, recall, f1, mean_score_true, ... - at a fixed confidence.

    Precision, recall and F1 are over the boxes of all classes together: in a
    mean over classes, one that has no box above the threshold has precision 0.
    It is NaN where there is nothing to measure, such as a score of no boxes.
    """

    def measure(run: Run) -> float:
        point = next(point for point in run["conf_sweep"] if abs(point["conf"] - conf) < 1e-6)
        true, objects = point["true_positives"], run["overall"]["objects"]
        boxes = true + point["false_positives"]
        rates = {
            "precision": true / boxes if boxes else nan,
            "recall": true / objects,
            "f1": 2 * true / (boxes + objects),
        }
        value = rates[what] if what in rates else point[what]
        return nan if value is None else value

    return measure


def overall(what: str) -> Measure:
    """Returns the measure of one of pycocotools' figures over all classes."""
    return lambda run: run["overall"][what]


def of_classes(what: str, names: Sequence[str], among: bool = True) -> Measure:
    """Returns the measure of a figure's mean over the classes with, or without, these names."""
    return lambda run: mean(c[what] for c in run["classes"] if (c["class"] in names) == among)


def show(values: Sequence[float], digits: int = 3, sign: str = "") -> str:
    """Returns a mean and its standard deviation over the seeds, a dash where a seed has nothing to show."""
    if any(map(isnan, values)):
        return "-"
    text = f"{mean(values):{sign}.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text


@dataclass(frozen=True)
class Claim:
    """Something the article says of two heads: the differences it says are positive, each with its name."""

    text: str
    better: str
    worse: str
    differences: tuple[tuple[str, Callable[[Run, Run], float]], ...]


def gain(measure: Measure) -> Callable[[Run, Run], float]:
    """Returns how much more of a measure the better head's run has."""
    return lambda better, worse: measure(better) - measure(worse)


def minus(a: Callable[[Run, Run], float], b: Callable[[Run, Run], float]) -> Callable[[Run, Run], float]:
    """Returns by how much a is more than b."""
    return lambda better, worse: a(better, worse) - b(better, worse)


def higher(conf: float, than: float) -> Callable[[Run, Run], float]:
    """Returns how much more F1 a run has at one threshold than at another."""
    return lambda run, _: at(conf, "f1")(run) - at(than, "f1")(run)


def claims(rare: Sequence[str]) -> list[Claim]:
    """Returns what the article says that can be tried with these nets; rare are the classes with few samples."""
    base, plain, without = "decoupled-base", "coupled", "decoupled"
    m = overall("map50_95")
    p25, r25, p50, r50 = (at(conf, what) for conf in (0.25, 0.5) for what in ("precision", "recall"))
    p40, r40 = at(0.4, "precision"), at(0.4, "recall")
    few, many = of_classes("map50_95", rare), of_classes("map50_95", rare, among=False)
    true, false = at(0.25, "mean_score_true"), at(0.25, "mean_score_false")
    return [
        Claim("with base convolution mAP is higher (it says 3 points)", base, plain, (("mAP50-95", gain(m)),)),
        Claim(
            "its recall at conf 0.25 is higher, its precision lower",
            base,
            plain,
            (("R", gain(r25)), ("P lost", lambda a, b: p25(b) - p25(a))),
        ),
        Claim("at conf 0.5 both are higher", base, plain, (("R", gain(r50)), ("P", gain(p50)))),
        Claim(
            "recall gains more than precision (at conf 0.5)",
            base,
            plain,
            (("R's gain less P's", minus(gain(r50), gain(p50))),),
        ),
        Claim(
            "classes with few samples gain most",
            base,
            plain,
            (("rare classes' mAP50-95 gain less the others'", minus(gain(few), gain(many))),),
        ),
        Claim(
            "its class scores run high, true or false (at conf 0.25)",
            base,
            plain,
            (("score of true boxes", gain(true)), ("of false boxes", gain(false))),
        ),
        Claim("so that 0.5 is a better threshold than 0.25", base, base, (("F1", higher(0.5, 0.25)),)),
        Claim(
            "without the base convolution mAP gains less",
            base,
            without,
            (("mAP50-95 with it over without", gain(m)),),
        ),
        Claim("without it mAP is still above the coupled head's", without, plain, (("mAP50-95", gain(m)),)),
        Claim(
            "without it precision gains more than recall (at conf 0.4)",
            without,
            plain,
            (("P's gain less R's", minus(gain(p40), gain(r40))),),
        ),
        Claim("and 0.4 is a better threshold than 0.25", without, without, (("F1", higher(0.4, 0.25)),)),
        Claim(
            "what the article meant, the split layout, beats the fused one it trained (not a claim of the article)",
            "decoupled-base-split",
            base,
            (("mAP50-95", gain(m)),),
        ),
    ]


def verdict(differences: Sequence[Sequence[float]]) -> str:
    """Returns whether a claim held: each difference positive with every seed, or one of them positive with none."""
    if any(isnan(value) for values in differences for value in values):
        return "cannot be told"
    if all(value > 0 for values in differences for value in values):
        return "**held**"
    if any(all(value <= 0 for value in values) for values in differences):
        return "**did not hold**"
    return "the seeds disagree"


def _tables(results: dict) -> list[str]:
    heads = results["heads"]
    rare = results["rare"]
    few, many = of_classes("map50_95", rare), of_classes("map50_95", rare, among=False)
    lines = [
        "| head | parameters M | GFLOPs | mAP50-95 | mAP50 | rare classes | other classes | ms on a CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, head in heads.items():
        marks = [show([measure(run) for run in head["runs"]]) for measure in (overall("map50_95"), overall("map50"))]
        marks += [show([measure(run) for run in head["runs"]]) for measure in (few, many)]
        cost = f"{head['parameters'] / 1e6:.2f} | {head['gflops']:.3f}"
        lines.append(f"| {name} | {cost} | {' | '.join(marks)} | {show(head['milliseconds'], 2)} |")
    confs = [point["conf"] for point in heads["coupled"]["runs"][0]["conf_sweep"]]
    titles = [f"{letter} at {conf:.2g}" for conf in confs for letter in "PR"]
    lines += ["", f"| head | {' | '.join(titles)} | best F1 | at conf |", "|---" * (len(titles) + 3) + "|"]
    for name, head in heads.items():
        cells = [
            show([at(conf, what)(run) for run in head["runs"]]) for conf in confs for what in ("precision", "recall")
        ]
        cells += [show([run["best_f1"][what] for run in head["runs"]]) for what in ("f1", "conf")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "| head | mean score of true boxes | of false boxes | true boxes | false boxes |",
        "|---|---|---|---|---|",
    ]
    for name, head in heads.items():
        cells = [
            show([at(confs[0], what)(run) for run in head["runs"]]) for what in ("mean_score_true", "mean_score_false")
        ]
        cells += [
            show([at(confs[0], what)(run) for run in head["runs"]], 0) for what in ("true_positives", "false_positives")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _outcome(results: dict) -> list[str]:
    lines = ["| the article says | heads | difference | |", "|---|---|---|---|"]
    for claim in claims(results["rare"]):
        runs = [results["heads"][name]["runs"] for name in (claim.better, claim.worse)]
        differences = [[by(a, b) for a, b in zip(*runs, strict=True)] for _, by in claim.differences]
        shown = "; ".join(
            f"{name} {show(values, sign='+')}" for (name, _), values in zip(claim.differences, differences, strict=True)
        )
        names = ", ".join(dict.fromkeys((claim.better, claim.worse)))
        lines.append(f"| {claim.text} | {names} | {shown} | {verdict(differences)} |")
    return lines + COUNTED


def _thresholds(results: dict) -> list[str]:
    """Returns what each head loses and gains where the threshold goes up from 0.25."""
    lines = [
        "| head | R lost at 0.4 | R lost at 0.5 | P gained at 0.5 | F1 at 0.4 | F1 at 0.5 |",
        "|---|---|---|---|---|---|",
    ]
    for name, head in results["heads"].items():
        cells = []
        for what, conf, sign in (
            ("recall", 0.4, -1),
            ("recall", 0.5, -1),
            ("precision", 0.5, 1),
            ("f1", 0.4, 1),
            ("f1", 0.5, 1),
        ):
            more = [sign * (at(conf, what)(run) - at(0.25, what)(run)) for run in head["runs"]]
            cells.append(show(more, sign="+" if what == "f1" else ""))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


# What follows from the shapes alone, or needs another machine. The numbers are those of training.cost for yolov5s.
COUNTED = [
    "| without it 9 GFLOPs less | yolov5s, 640 pixels | 27.8; c = 256 has 37.4, c = x, which it trained, 28.4"
    " | **held** against c = 256 only |",
    "| without it fewer parameters | yolov5s | 13.43 M; c = 256 has 10.98, c = x 13.78 | **held** against c = x only |",
    "| without it less GPU memory | | needs a GPU | not tried |",
]

PAGE = """# The article's heads, compared

Six heads on one network ({plan} pixels), trained alike and measured alike: same pictures, same order of them, same
schedule, {seeds} seeds each. `/usr/bin/python3 -m training.compare` makes all of it again, this page too
(docs/training.md says how). Figures are `trtdet eval`'s on {pictures} test pictures with {objects} objects, mean ±
standard deviation over the seeds; mAP as pycocotools has it.

![scores of every seed, and precision over recall]({pictured})

Curves of the runs are in [{curves}]({curves}) - yolox's losses are others than the rest's and have a scale of
their own - and each run's metrics in `{metrics}`.

`decoupled-base-256` is the head as the article lists it, its 256 channels scaled from yolov5s to this network's width;
`decoupled-base` has c = x, what the article trained; both are `fused`, as its code reads the channels.
`decoupled-base-split` is what it meant. `decoupled` has no base convolution. `yolox` has no anchors and a loss of its
own (SimOTA).

{tables}

Precision, recall and F1 at a fixed confidence are over the boxes of all classes together; the best F1 is that of the
mean over classes, as YOLOv5 has it. Rare classes are {rare}:
{few:.1%} of the test's objects each, where the others have {many:.1%}. Scores are conf times label, of boxes
above 0.25; true boxes are those that found an object at IoU 0.5.
Times are the network's alone, one picture at a time, in ONNX Runtime, on whatever machine made this page: read them
beside each other only.

## What a threshold costs

trtdet's default confidence is the article's: 0.5 for decoupled-base, 0.4 for decoupled, 0.25 for all others. Beside
0.25, with the same seed:

{thresholds}

So 0.5 loses a fifth to a quarter of the objects here, with every head, and F1 falls. That is not so of every net:
scores rise with training, and F1 of the one in `models/emoji`, which was trained longer, rises from 0.761 at 0.25 to
0.839 at 0.4 and 0.862 at 0.5, for a recall of 0.897, 0.863 and 0.833 (300 pictures of `python3 -m training.compose
--split test --count 300`, measured with `trtdet eval --imgsz 320 --single-label`). The threshold follows from the net
rather than from the head: `trtdet eval --conf-sweep 0.25,0.4,0.5` measures yours, `--conf-thres` sets it.

## What the article says, and what came out here

A difference is that of two runs with the same seed, mean ± standard deviation. A claim *held* where each of its
differences is positive with every seed, *did not hold* where one of them is positive with none. Three seeds agree by
chance one time in four, so a narrow verdict is a narrow one.

{outcome}

{remark} The article had yolov5s and 25,000 photographs of its own, which nobody else has.
"""


def draw(results: dict, target: Path) -> None:
    """Draws what training.compare has measured: mAP of every seed, and precision over recall."""
    rare = results["rare"]
    figures = {
        "mAP50-95": overall("map50_95"),
        "of rare classes": of_classes("map50_95", rare),
        "of the others": of_classes("map50_95", rare, among=False),
    }
    runs = {name: head["runs"] for name, head in results["heads"].items()}
    scores = {
        title: {name: [measure(run) for run in of] for name, of in runs.items()} for title, measure in figures.items()
    }
    confs = [point["conf"] for point in next(iter(runs.values()))[0]["conf_sweep"]]
    rates = {
        name: [(*(mean(at(conf, what)(run) for run in of) for what in ("recall", "precision")), conf) for conf in confs]
        for name, of in runs.items()
    }
    plots.compare(scores, rates, target)


def page(results: dict, pictured: str, curves: str, metrics: str, remark: str) -> str:
    """Returns the page about what training.compare has measured.

    pictured and curves are the names of its two pictures, metrics the folder of
    the runs' CSVs, remark says what kind of nets these are.
    """
    first = results["heads"]["coupled"]["runs"]
    objects = first[0]["overall"]["objects"]
    shares = {c["class"]: c["objects"] / objects for c in first[0]["classes"]}
    return PAGE.format(
        plan=results["plan"],
        seeds=len(first),
        pictures=first[0]["overall"]["pictures"],
        objects=objects,
        few=mean(share for name, share in shares.items() if name in results["rare"]),
        many=mean(share for name, share in shares.items() if name not in results["rare"]),
        pictured=pictured,
        curves=curves,
        metrics=metrics,
        remark=remark,
        rare=" and ".join([", ".join(results["rare"][:-1]), results["rare"][-1]]),
        tables="\n".join(_tables(results)),
        thresholds="\n".join(_thresholds(results)),
        outcome="\n".join(_outcome(results)),
    )


README = """# Six heads, trained alike

Small YOLOv5s ({plan} pixels) that find twelve things, one with each head:
{names}.
Raw maps, batch and size free; docs/heads.md compares them. All of it is made by `/usr/bin/python3 -m training.compare`
(docs/training.md).

`images/` and `labels/` are the first {count} of the test pictures, which no net was trained on, nor on the photographs
below them; `slice.json` has what `trtdet eval` finds on these, `results.json` what it finds on all of them,
`metrics/` how each run went.

    trtdet eval models/heads/decoupled-base.onnx --data models/heads/data.yaml --split test --imgsz {imgsz}

The nets are the project's own work and under its licence. The things in the pictures are drawn with Noto Color Emoji
(Google Inc. and others, [SIL OFL 1.1](https://openfontlicense.org)), which puts no terms on pictures. The photographs
keep their authors' licences; they were cropped, scaled, changed in light and colour, and things were laid over them:

{sources}"""


def readme(plan: str, imgsz: int, names: Sequence[str], count: int, photographs: Sequence[Photograph]) -> str:
    """Returns the page that goes with the committed nets and pictures."""
    sources = (
        "\n".join([f"| {CREDIT} |", "|---|---|---|---|", *(f"| {photo.credit} |" for photo in photographs)]) + "\n"
    )
    return README.format(plan=plan, imgsz=imgsz, names=", ".join(names), count=count, sources=sources)
