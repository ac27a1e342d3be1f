"""Makes a network of a checkpoint: YOLOv5's own best.pt with any of the heads, or last.pt of training.train.

YOLOv5 saves its network as a tree of objects. Each layer and each module in it
is held to the one here that does the same, so that nothing which changes the
numbers is left out: a tree that differs is refused, with the first difference.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training import pickled
from training.heads import BaseConv, CoupledHead, DecoupledHead
from training.pickled import Object
from training.yolov5 import SIZES, SPPF, STRIDES, Bottleneck, Config, YOLOv5

# YOLOv5's layers before its head: the part of the network that each is, its class, where its input comes from.
LAYERS = (
    ("stem", "Conv", -1),
    ("stage2.0", "Conv", -1),
    ("stage2.1", "C3", -1),
    ("stage3.0", "Conv", -1),
    ("stage3.1", "C3", -1),
    ("stage4.0", "Conv", -1),
    ("stage4.1", "C3", -1),
    ("stage5.0", "Conv", -1),
    ("stage5.1", "C3", -1),
    ("stage5.2", "SPPF", -1),
    ("lateral5", "Conv", -1),
    ("up", "Upsample", -1),
    ("", "Concat", [-1, 6]),
    ("top4", "C3", -1),
    ("lateral4", "Conv", -1),
    ("up", "Upsample", -1),
    ("", "Concat", [-1, 4]),
    ("out3", "C3", -1),
    ("down3", "Conv", -1),
    ("", "Concat", [-1, 14]),
    ("out4", "C3", -1),
    ("down4", "Conv", -1),
    ("", "Concat", [-1, 10]),
    ("out5", "C3", -1),
)
MOST = 4096  # classes, channels of a branch, anchors
LEVELS = [17, 20, 23]  # the layers that a head takes

ACTIVATIONS = {"SiLU": "silu", "ReLU": "relu", "LeakyReLU": "lrelu"}

# What decides, beside the weights, what a module computes.
SETTINGS: tuple[tuple[type[nn.Module], dict[str, str]], ...] = (
    (nn.Conv2d, {name: name for name in ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")}),
    (nn.MaxPool2d, {name: name for name in ("kernel_size", "stride", "padding", "dilation", "ceil_mode")}),
    (nn.Upsample, {name: name for name in ("size", "scale_factor", "mode")}),
    (nn.LeakyReLU, {"negative_slope": "negative_slope"}),
    (Bottleneck, {"shortcut": "add"}),
)

# A decoupled head's parts: here and in the article, and in each level's branches of training.yolov5_patch.
PARTS = {
    "base_conv": "base",
    "cls_convs": "cls",
    "reg_convs": "reg",
    "m_box": "box",
    "m_conf": "conf",
    "m_labels": "labels",
}


def load(path: Path, trust: bool = False) -> tuple[YOLOv5, list[str] | None]:
    """Returns the network of a checkpoint, ready for use, and the names of its classes where the file has them.

    Of YOLOv5's checkpoints it is the averaged network (ema) where there is one.
    trust lets the file run code, which it otherwise cannot. Raises OSError
    where the file cannot be read, pickled.UnsafeError where it would run code,
    and ValueError where it is damaged or holds another network.
    """
    saved = pickled.load(path, trust)
    try:
        if isinstance(saved, dict) and "average" in saved:
            network = _made(Config(**saved["config"]))
            network.load_state_dict({name: tensor.read() for name, tensor in saved["average"].items()})
            return network.eval(), None
        model = saved.get("ema") or saved.get("model") if isinstance(saved, dict) else saved
        if not isinstance(model, Object):
            raise ValueError("has no network under ema or model, as train.py saves it; a state_dict is not one")
        network, names = _network(model)
        return network.eval(), names
    except Exception as error:  # the file decides what every attribute is
        raise ValueError(
            f"{path} {pickled.describe(error)}: want YOLOv5 6.0 or newer, n, s, m, l or x, not fused;"
            " export another network with the checkout that it was trained in"
        ) from error


def _made(config: Config) -> YOLOv5:
    """Returns a network with the weights still to come. Raises ValueError on one that no memory would hold."""
    count = sum(len(level) for level in config.anchors)
    if max(config.classes, config.hidden or 0, count) > MOST:
        raise ValueError(f"claims {config.classes} classes, {config.hidden} channels and {count} anchors")
    return YOLOv5(config)


def _network(model: Object) -> tuple[YOLOv5, list[str]]:
    layers = model.get("model")
    layers = list(layers.modules().values()) if isinstance(layers, Object) else []
    for index, layer in enumerate(layers[: len(LAYERS)]):
        _, wanted, source = LAYERS[index]
        if (layer.type, layer.get("f")) != (wanted, source):
            raise ValueError(
                f"has as layer {index} a {layer.type} on {reprlib.repr(layer.get('f'))}"
                f" where there should be a {wanted} on {source}"
            )
    if len(layers) != len(LAYERS) + 1:
        raise ValueError(f"has {len(layers)} layers, not {len(LAYERS) + 1}")
    head = layers[-1]
    config, names = _config(model, head, layers[0])
    network = _made(config)
    for index, (part, _, _) in enumerate(LAYERS):
        if part:
            _copy(network.get_submodule(part), layers[index], f"model.{index}")
    _copy_head(network.head, head)
    return network, names


def _config(model: Object, head: Object, stem: Object) -> tuple[Config, list[str]]:
    """Returns what the network is, and the names of its classes."""
    modules = head.modules()
    act = ACTIVATIONS.get(stem.get("act").type)
    if not act:
        raise ValueError(f"has the activation {stem.get('act').type}, which is none of {', '.join(ACTIVATIONS)}")
    yaml = model.get("yaml")
    scale = yaml["depth_multiple"], yaml["width_multiple"]
    size = next((size for size, numbers in SIZES.items() if numbers == scale), "")
    if not size:
        raise ValueError(f"has depth_multiple {scale[0]} and width_multiple {scale[1]}, which is no size of YOLOv5")
    stride = head.get("stride").read().float()
    if stride.tolist() != STRIDES or head.get("f") != LEVELS:
        raise ValueError(f"has a head on layers {head.get('f')} at strides {stride.tolist()}, not {LEVELS}, {STRIDES}")
    # YOLOv5 keeps them in cells
    anchors = (head.get("anchors").read().float() * stride.view(-1, 1, 1)).tolist()

    layout = "fused"
    if "m_box" in modules:
        kind = "decoupled-base" if "base_conv" in modules else "decoupled"
        widths = {level.get("weight").shape[1] for level in modules["m_box"].modules().values()}
    elif head.type == "DecoupledDetect":
        kind, layout = head.get("kind"), head.get("layout")
        widths = {level.get("box").get("weight").shape[1] for level in modules["m"].modules().values()}
    elif head.type == "Detect" and list(modules) == ["m"]:
        kind, widths = "coupled", set()
    else:
        raise ValueError(f"has a head {head.type} of {', '.join(modules)}, which is none that training has")
    hidden = widths.pop() if kind == "decoupled-base" and len(widths) == 1 else None

    classes = head.get("nc")
    names = model.get("names")
    names = [names[i] for i in range(classes)]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("has names that are no text")
    return Config(classes, size, kind, hidden, act, tuple(tuple(map(tuple, level)) for level in anchors), layout), names


def _copy_head(ours: nn.Module, theirs: Object) -> None:
    where = f"model.{len(LAYERS)}"
    if isinstance(ours, CoupledHead):
        _copy(ours.m, theirs.get("m"), f"{where}.m")
        return
    assert isinstance(ours, DecoupledHead)
    base = isinstance(ours.base_conv[0], BaseConv)
    parts = {name: branch for name, branch in PARTS.items() if base or name != "base_conv"}
    if theirs.type != "DecoupledDetect":
        _same(f"{where} has", set(theirs.modules()), set(parts))
        for name in parts:
            _copy(ours.get_submodule(name), theirs.get(name), f"{where}.{name}")
        return
    levels = theirs.get("m").modules()
    _same(f"{where}.m has", set(levels), {str(level) for level in range(len(STRIDES))})
    for level, branches in levels.items():
        # without a base convolution an Identity stands for it
        _same(f"{where}.m.{level} has", set(branches.modules()), set(PARTS.values()))
        for name, branch in PARTS.items():
            _copy(ours.get_submodule(f"{name}.{level}"), branches.get(branch), f"{where}.m.{level}.{branch}")


@torch.no_grad()
def _copy(ours: nn.Module, theirs: Object, where: str) -> None:
    """Fills a module with the weights of theirs. Raises ValueError where the two do not compute the same."""
    # the article's BaseConv and YOLOv5's Conv are the same
    types = [name.replace("BaseConv", "Conv") for name in (theirs.type, type(ours).__name__)]
    _same(f"{where} is a", *types)
    for kind, settings in SETTINGS:
        if isinstance(ours, kind):
            for mine, name in settings.items():
                _same(f"{where} has {name}", theirs.get(name), getattr(ours, mine))
    if isinstance(ours, nn.BatchNorm2d):
        ours.eps = float(theirs.get("eps"))

    children = {"m" if isinstance(ours, SPPF) and name == "pool" else name: one for name, one in ours.named_children()}
    _same(f"{where} has modules", set(theirs.modules()), set(children))
    for name, child in children.items():
        _copy(child, theirs.modules()[name], f"{where}.{name}")

    mine = dict(ours.named_parameters(recurse=False)) | dict(ours.named_buffers(recurse=False))
    held = theirs.tensors()
    _same(f"{where} has tensors", set(held), set(mine))
    for name, tensor in mine.items():
        _same(f"{where}.{name} has shape", held[name].shape, tuple(tensor.shape))
        tensor.copy_(held[name].read())


def _same(what: str, theirs: Any, ours: Any) -> None:
    if theirs != ours:
        raise ValueError(f"differs: {what} {_shown(theirs)}, not {_shown(ours)}")


def _shown(x: Any) -> str:
    """Returns a value of a file as text, not the whole of one that is nested without end."""
    if isinstance(x, set):
        return ", ".join(sorted(map(str, x))) or "none"
    return x[:80] if isinstance(x, str) else reprlib.repr(x)
