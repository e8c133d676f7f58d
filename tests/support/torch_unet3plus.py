"""UNet 3+ in PyTorch: written from the paper (arXiv:2004.08790), with the parameter names of its authors' code.

Torch is not part of an installation for development: what imports this skips where it is not there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

SCALES = 5


def conv_block(given: int, width: int) -> nn.Module:
    """Two convolutions of a scale of the encoder."""
    block = nn.Sequential()
    for number, channels in ((1, given), (2, width)):
        layers = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        block.add_module(f"conv{number}", layers)
    return block


def branch_name(source: int, target: int) -> str:
    if source < target:
        return f"h{source}_PT_hd{target}"
    return f"h{source}_Cat_hd{target}" if source == target else f"hd{source}_UT_hd{target}"


class OfficialUNet3Plus(nn.Module):
    """UNet_3Plus, with masks of all scales UNet_3Plus_DeepSup, with `cgm` too UNet_3Plus_DeepSup_CGM.

    It gives the activated masks, finest first, and the two units of the classification-guided module, ungated.
    """

    def __init__(self, channels: int, width: int, *, classes: int = 1, supervised: bool = False, cgm: bool = False) -> None:
        super().__init__()
        self.heads = range(1, (SCALES if supervised else 1) + 1)
        widths = [width * 2**scale for scale in range(SCALES)]
        fused = width * SCALES
        for scale, own in enumerate(widths, 1):
            self.add_module(f"conv{scale}", conv_block(channels if scale == 1 else own // 2, own))
        for target in range(SCALES - 1, 0, -1):
            for source in range(1, SCALES + 1):
                given = fused if target < source < SCALES else widths[source - 1]
                self.add_module(f"{branch_name(source, target)}_conv", nn.Conv2d(given, width, 3, padding=1))
                self.add_module(f"{branch_name(source, target)}_bn", nn.BatchNorm2d(width))
            self.add_module(f"conv{target}d_1", nn.Conv2d(fused, fused, 3, padding=1))
            self.add_module(f"bn{target}d_1", nn.BatchNorm2d(fused))
        for scale in self.heads:
            self.add_module(f"outconv{scale}", nn.Conv2d(widths[-1] if scale == SCALES else fused, classes, 3, padding=1))
        if cgm:
            self.cls = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(widths[-1], 2, 1), nn.AdaptiveMaxPool2d(1), nn.Sigmoid())

    def forward(self, image: Any) -> Any:
        encoders = {1: self.layer("conv1", image)}
        for scale in range(2, SCALES + 1):
            encoders[scale] = self.layer(f"conv{scale}", functional.max_pool2d(encoders[scale - 1], 2))
        decoders = {SCALES: encoders[SCALES]}
        for target in range(SCALES - 1, 0, -1):
            branches = []
            for source in range(1, SCALES + 1):
                x = (decoders if source > target else encoders)[source]
                x = functional.max_pool2d(x, 2 ** (target - source)) if source < target else enlarge(x, 2 ** (source - target))
                name = branch_name(source, target)
                branches.append(functional.relu(self.layer(f"{name}_bn", self.layer(f"{name}_conv", x))))
            fused = self.layer(f"conv{target}d_1", torch.cat(branches, 1))
            decoders[target] = functional.relu(self.layer(f"bn{target}d_1", fused))
        logits = [enlarge(self.layer(f"outconv{s}", decoders[s]), 2 ** (s - 1)) for s in self.heads]
        outputs = [torch.sigmoid(x) for x in logits]
        if hasattr(self, "cls"):
            outputs.append(self.cls(encoders[SCALES]).flatten(1))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def layer(self, name: str, x: Any) -> Any:
        return getattr(self, name)(x)


def enlarge(x: Any, factor: int) -> Any:
    """Bilinear, half-pixel centres."""
    if factor == 1:
        return x
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
