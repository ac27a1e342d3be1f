"""Networks that nobody trained but that find things: random, with scales and biases set by what flows through."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.heads import Detect
from training.yolov5 import Config, YOLOv5

# Standard deviation of predictions: centre, width and height, conf and labels.
SPREAD = (1.0, 1.0, 0.5, 0.5, 1.5)


@torch.no_grad()
def calibrated(config: Config, batches: list[Tensor], threshold: float, share: float = 0.04, seed: int = 1) -> YOLOv5:
    """Returns a network in which a share of all rows of these images (B, 3, H, W) scores above a threshold.

    Every batch norm has a gain and a bias of its own, as after training.
    """
    torch.manual_seed(seed)
    network = YOLOv5(config)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        # Mostly above zero, where the activations are nearly linear: sixty random layers that cut half of what comes
        # amplify a rounding a thousand times, which no trained network does.
        nn.init.uniform_(norm.weight, 0.4, 0.8)
        nn.init.uniform_(norm.bias, 0.5, 1.5)
        norm.momentum = None  # the mean over all batches
    network.train()
    for images in batches:
        network(images)
    for norm in norms:
        norm.momentum = 0.03
    network.eval()
    features = [network.features(images) for images in batches]
    _spread(network.head, features)
    _pass(network.head, features, threshold, share)
    return network


def _predictions(head: Detect, level: int, x: Tensor) -> list[Tensor]:
    """Returns what the last convolutions of a level give, before any sigmoid."""
    found: list[Tensor] = []
    hooks = [conv.register_forward_hook(lambda _m, _i, y: found.append(y)) for conv in head.convs(level)]
    head.parts(level, x)
    for hook in hooks:
        hook.remove()
    return found


def _spread(head: Detect, features: list[list[Tensor]]) -> None:
    """Gives each prediction a mean of 0 and its spread, whichever convolution makes it."""
    wanted = torch.tensor([*SPREAD, *[SPREAD[-1]] * head.classes]).repeat(head.na, 1)
    for level, maps in enumerate(zip(*features, strict=True)):
        batches = [_predictions(head, level, x) for x in maps]
        shown = zip(head.convs(level), zip(*batches, strict=True), head.by_conv(level, wanted), strict=True)
        for conv, outputs, spread in shown:
            y = torch.cat([output.transpose(0, 1).flatten(1) for output in outputs], 1)
            gain = spread / (y.std(1) + 1e-3)
            conv.weight *= gain.view(-1, 1, 1, 1)
            conv.bias.copy_((conv.bias - y.mean(1)) * gain)


def _pass(head: Detect, features: list[list[Tensor]], threshold: float, share: float) -> None:
    """Moves conf so that a share of the rows passes the threshold."""
    views = [head.view(_predictions(head, level, x)) for maps in features for level, x in enumerate(maps)]
    rows = torch.cat([view.flatten(0, 3) for view in views])
    label = rows[:, 5:].max(1).values.add(1).sigmoid()
    # a row passes where sigmoid(conf + move) times its best label is above the threshold
    needed = (threshold / label).clamp(max=0.999).logit() - rows[:, 4]
    move = torch.zeros(head.na, head.width)
    move[:, 4] = torch.quantile(needed, share)
    move[:, 5:] = 1
    for level in range(len(head.strides)):
        head.add_biases(level, move)
