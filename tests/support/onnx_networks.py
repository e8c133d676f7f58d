"""Small segmentation networks as ONNX files, in the style of PyTorch's exports: NCHW, sizes computed from shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.onnx_files import FileBuilder

WIDTH = 4


class TorchExport(FileBuilder):
    """The parts of a network of `width` channels at its first level."""

    def conv(self, x: str, channels: tuple[int, int], kernel: int = 3, activation: str = "Relu") -> str:
        """Convolution, batch normalisation, activation. Kernels keep the spread of their input (He et al. 2015)."""
        inputs, outputs = channels
        weight = self.random(outputs, inputs, kernel, kernel, scale=(2 / (inputs * kernel**2)) ** 0.5)
        x = self.add("Conv", x, weight, pads=[kernel // 2] * 4, kernel_shape=[kernel] * 2, dilations=[1, 1], strides=[1, 1])
        variance = self.constant(self.rng.uniform(0.5, 1.5, outputs))
        norm = [
            self.random(outputs, mean=1, scale=0.2),
            self.random(outputs, scale=0.1),
            self.random(outputs, scale=0.1),
            variance,
        ]
        x = self.add("BatchNormalization", x, *norm, epsilon=1e-5, momentum=0.9)
        if activation == "Silu":
            return self.add("Mul", x, self.add("Sigmoid", x))
        options: dict[str, Any] = {"alpha": 0.1} if activation == "LeakyRelu" else {}
        return self.add(activation, x, **options)

    def pool(self, x: str, factor: int = 2) -> str:
        return self.add("MaxPool", x, kernel_shape=[factor] * 2, strides=[factor] * 2, ceil_mode=0)

    def head(self, x: str, inputs: int, outputs: int, output: str = "logits") -> str:
        return self.add("Conv", x, self.random(outputs, inputs, 1, 1, scale=inputs**-0.5), self.random(outputs, scale=0.1),
                        kernel_shape=[1, 1], output=output)  # fmt: skip

    def up(self, x: str, factor: int = 2, mode: str = "linear") -> str:
        """nn.Upsample(scale_factor)."""
        grid = {"linear": "half_pixel", "nearest": "asymmetric"}[mode]
        options: dict[str, Any] = {"nearest_mode": "floor"} if mode == "nearest" else {}
        scales = self.constant([1, 1, factor, factor])
        region = "" if self.opset >= 13 else self.constant([])
        return self.add("Resize", x, region, scales, mode=mode, coordinate_transformation_mode=grid, **options)

    def up_to(self, x: str, like: str) -> str:
        """F.interpolate(x, size=like.shape[2:])."""
        two, four, zero = (self.constant([n], np.int64) for n in (2, 4, 0))
        size = self.add("Slice", self.add("Shape", like), two, four, zero)
        first = self.add("Slice", self.add("Shape", x), zero, two, zero)
        sizes = self.add("Concat", first, self.add("Cast", size, to=7), axis=0)
        return self.add("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode="pytorch_half_pixel")

    def up_and_pad(self, x: str, like: str, channels: int) -> str:
        """ConvTranspose2d, and F.pad by the difference of the sizes, halved, as the usual PyTorch UNet does."""
        x = self.add("ConvTranspose", x, self.random(channels, channels, 2, 2, scale=channels**-0.5), self.random(channels),
                     strides=[2, 2], kernel_shape=[2, 2])  # fmt: skip
        pads = []
        for axis in (3, 2):
            sizes = [self.add("Gather", self.add("Shape", m), self.constant(axis, np.int64), axis=0) for m in (like, x)]
            more = self.add("Sub", *sizes)
            half = self.add("Div", more, self.constant(2, np.int64))
            pads += [half, self.add("Sub", more, half)]
        axes = self.constant([0], np.int64)
        left, right, top, bottom = (self.add("Unsqueeze", pad, axes) for pad in pads)
        zeros = self.add("ConstantOfShape", self.constant([2], np.int64))
        zeros = self.add("Cast", zeros, to=7)
        return self.add("Pad", x, self.add("Concat", zeros, top, left, zeros, bottom, right, axis=0), mode="constant")


def save_unet(path: Path, size: tuple[int, int] | tuple[str, str] = (32, 48), channels: int = 1, classes: int = 3,
              end: str = "", activation: str = "Relu") -> Path:  # fmt: skip
    """A UNet of three levels with a kind of upsampling each; it ends in logits, or in the operator `end`."""
    w, file = WIDTH, TorchExport("batch", channels, *size)
    one = file.conv(file.conv("image", (channels, w), activation=activation), (w, w))
    two = file.conv(file.pool(one), (w, 2 * w))
    three = file.conv(file.pool(two), (2 * w, 2 * w))
    x = file.add("Concat", two, file.up_and_pad(three, two, 2 * w), axis=1)
    x = file.conv(x, (4 * w, w), activation=activation)
    x = file.add("Concat", file.up_to(x, one), one, axis=1)
    x = file.add("Dropout", file.conv(x, (2 * w, w)))
    y = file.head(x, w, classes, "" if end else "logits")
    if end:
        options: dict[str, Any] = {"axis": 1} if end == "Softmax" else {}
        y = file.add(end, y, output="probabilities", **options)
    return file.save(path, y)


def save_unet3plus(path: Path, size: tuple[int, int] = (32, 32), classes: int = 1, opset: int = 17) -> Path:
    """A UNet 3+ of three levels (Huang et al. 2020, arXiv:2004.08790) with deep supervision, each map reduced before it is
    joined to the others."""
    w, file = WIDTH, TorchExport(1, 1, *size, opset=opset)
    e1 = file.conv("image", (1, w))
    e2 = file.conv(file.pool(e1), (w, 2 * w))
    e3 = file.conv(file.pool(e2), (2 * w, 4 * w))
    parts2 = [file.conv(file.pool(e1), (w, w)), file.conv(e2, (2 * w, w)), file.conv(file.up(e3), (4 * w, w))]
    d2 = file.conv(file.add("Concat", *parts2, axis=1), (3 * w, 3 * w))
    parts1 = [file.conv(e1, (w, w)), file.conv(file.up(d2), (3 * w, w)), file.conv(file.up(e3, 4, "nearest"), (4 * w, w))]
    d1 = file.conv(file.add("Concat", *parts1, axis=1), (3 * w, 3 * w))
    side = file.add("Sigmoid", file.up(file.head(d2, 3 * w, classes, ""), 2), output="side")
    main = file.add("Sigmoid", file.head(d1, 3 * w, classes, ""), output="mask")
    return file.save(path, main, side)
