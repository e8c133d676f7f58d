"""Encoders of other networks that a UNet 3+ can have: which of their maps are its scales, and how their images are normalised.

A backbone gives the scales from its first map on; those before are the UNet 3+'s own. All maps are taken before the network
halves them again, so each has the resolution of its scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Backbone = Literal["vgg16", "resnet50", "mobilenet_v2", "efficientnet_b0"]


@dataclass(frozen=True)
class BackboneKind:
    """One network of tf_keras.applications.

    Args:
        model: its name there.
        maps: layers whose outputs are the deepest scales of the UNet 3+, the last of them scale 5.
        first: its first convolution.
        mean, std: of the RGB images that it was trained on, in 8-bit pixel values.
        blue_first: its weights take the channels in the order blue, green, red.
    """

    model: str
    maps: tuple[str, ...]
    first: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    blue_first: bool = False

    @property
    def alike(self) -> bool:
        """Whether the three channels are normalised alike."""
        return len(set(self.mean)) == len(set(self.std)) == 1

    def preprocessing(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and deviation for images of 1 or 3 channels; those of grey images are the channels' averages."""
        if channels == len(self.mean):
            return self.mean, self.std
        return (sum(self.mean) / len(self.mean),), (sum(self.std) / len(self.std),)


_IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_CAFFE = (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)

BACKBONES: Mapping[str, BackboneKind] = MappingProxyType(
    {
        # Simonyan and Zisserman 2015, arXiv:1409.1556; the encoder of the paper's first table
        "vgg16": BackboneKind(
            "VGG16", ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"), "block1_conv1",
            *_CAFFE, blue_first=True,
        ),
        # He et al. 2016, arXiv:1512.03385
        "resnet50": BackboneKind(
            "ResNet50", ("conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out"), "conv1_conv",
            *_CAFFE, blue_first=True,
        ),
        # Sandler et al. 2018, arXiv:1801.04381
        "mobilenet_v2": BackboneKind(
            "MobileNetV2", tuple(f"block_{block}_expand_relu" for block in (1, 3, 6, 13)), "Conv1", (127.5,) * 3, (127.5,) * 3,
        ),
        # Tan and Le 2019, arXiv:1905.11946
        "efficientnet_b0": BackboneKind(
            "EfficientNetB0",
            tuple(f"block{block}a_expand_activation" for block in (2, 3, 4, 6)), "stem_conv", *_IMAGENET,
        ),
    }
)  # fmt: skip
"""Every backbone, by its name."""
