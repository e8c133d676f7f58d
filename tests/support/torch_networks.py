"""Small segmentation networks in PyTorch, and the files in tests/importing/data.

python -m tests.support.torch_networks tests/importing/data
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from tests.support.torch_unet3plus import OfficialUNet3Plus, enlarge

SIZE = (16, 32)
EXPORTERS = ("opset17", "dynamo")
"""The older exporter of PyTorch, which traces a network, and the newer one with its default opset."""


def conv(given: int, width: int, dilation: int = 1, stride: int = 1) -> nn.Module:
    layer = nn.Conv2d(given, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU())


class TorchUNet(nn.Module):
    """A UNet of three scales; `up` is "transposed", "bilinear" or "corners" (bilinear with align_corners)."""

    def __init__(self, up: str, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.up = up
        self.enc1, self.enc2, self.enc3 = conv(1, width), conv(width, 2 * width), conv(2 * width, 4 * width)
        transposed = up == "transposed"
        self.up2, self.up1 = (
            nn.ConvTranspose2d(2 * w, w, 2, stride=2) if transposed else nn.Conv2d(2 * w, w, 1) for w in (2 * width, width)
        )
        self.dec2, self.dec1 = conv(4 * width, 2 * width), conv(2 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: Any) -> Any:
        one = self.enc1(image)
        two = self.enc2(functional.max_pool2d(one, 2))
        three = self.enc3(functional.max_pool2d(two, 2))
        x = self.dec2(torch.cat((self.up2(self.enlarged(three)), two), 1))
        return self.head(self.dec1(torch.cat((self.up1(self.enlarged(x)), one), 1)))

    def enlarged(self, x: Any) -> Any:
        if self.up == "corners":
            return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return enlarge(x, 2 if self.up == "bilinear" else 1)


class DeepLab(nn.Module):
    """Dilated branches and a global one, joined at a quarter of the size."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(1, width), nn.MaxPool2d(2), conv(width, 2 * width), nn.MaxPool2d(2))
        self.branches = nn.ModuleList([conv(2 * width, width, dilation) for dilation in (1, 2, 3)])
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(2 * width, width, 1), nn.ReLU())
        self.join, self.head = conv(4 * width, width), nn.Conv2d(width, 1, 1)

    def forward(self, image: Any) -> Any:
        x = self.stem(image)
        whole = functional.interpolate(self.pooled(x), size=x.shape[-2:], mode="bilinear", align_corners=False)
        x = self.head(self.join(torch.cat([*(branch(x) for branch in self.branches), whole], 1)))
        return torch.sigmoid(enlarge(x, 4))


class LinkNet(nn.Module):
    """Encoder maps are added to decoder maps, which transposed convolutions enlarge."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.stem, self.down1 = conv(1, width), conv(width, 2 * width, stride=2)
        layer = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)
        self.down2 = nn.Sequential(layer, nn.BatchNorm2d(4 * width), nn.LeakyReLU(0.1))
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, image: Any) -> Any:
        one = self.stem(image)
        two = self.down1(one)
        x = functional.relu(self.up2(self.down2(two))) + two
        return functional.softmax(self.head(functional.relu(self.up1(x)) + one), 1)


class DepthwiseNet(nn.Module):
    """Depthwise and grouped convolutions, as in mobile encoders."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.depth = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width), nn.ReLU6())
        self.grouped = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=2), nn.SiLU())
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, image: Any) -> Any:
        return self.head(self.grouped(self.depth(self.stem(image))))


class GroupNet(nn.Module):
    """Group normalisation of two groups, of all channels as one, and of each channel, which is instance normalisation."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        layers = [nn.Conv2d(1, width, 3, padding=1), nn.GroupNorm(2, width), nn.ReLU()]
        for groups in (1, width):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(groups, width, eps=1e-3), nn.ReLU()]
        self.layers, self.head = nn.Sequential(*layers), nn.Conv2d(width, 3, 1)

    def forward(self, image: Any) -> Any:
        return self.head(self.layers(image))


NETWORKS: dict[str, tuple[nn.Module, int]] = {
    "unet_transposed": (TorchUNet("transposed"), 50),
    "unet_bilinear": (TorchUNet("bilinear"), 51),
    "unet_corners": (TorchUNet("corners"), 52),
    "deeplab": (DeepLab(), 53),
    "linknet": (LinkNet(), 54),
    "depthwise": (DepthwiseNet(), 55),
    "unet3plus": (OfficialUNet3Plus(1, 1), 56),
    "groups": (GroupNet(), 57),
}
"""Networks to export, each with the seed of its weights."""


def scramble(model: nn.Module, seed: int) -> nn.Module:
    """Draw every number, running statistics too, so that a mix-up shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            spread = torch.rand(value.shape, generator=generator)
            if value.dim() > 1:
                gain = 40 if name.startswith(("outconv", "head")) else 4  # heads whose masks vary
                value.copy_((spread - 0.5) * gain / value[0].numel() ** 0.5)
            elif name.endswith(("running_mean", "bias")):
                value.copy_((spread - 0.5) * 0.4)
            elif not name.endswith("num_batches_tracked"):
                value.copy_(0.5 + spread)
    return model.eval()


def save_values(path: Path, model: nn.Module, channels: int, seed: int) -> Any:
    """Write an image and the model's outputs; return the image."""
    image = torch.rand((1, channels, *SIZE), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        result = model(image)
    outputs = result if isinstance(result, tuple) else (result,)
    arrays = {f"output{number}": value.numpy() for number, value in enumerate(outputs)}
    np.savez_compressed(path, image=image.numpy(), **arrays)
    return image


def save_checkpoints(folder: Path) -> None:
    plain = scramble(OfficialUNet3Plus(1, 2), 0)
    save_values(folder / "plain.npz", plain, 1, 10)
    torch.save(plain.state_dict(), folder / "plain.pth")
    small = scramble(OfficialUNet3Plus(3, 1, supervised=True), 1)
    save_values(folder / "supervised.npz", small, 3, 11)
    save_file(small.state_dict(), folder / "supervised.safetensors")
    optimiser = torch.optim.SGD(small.parameters(), lr=0.1)
    wrapped = {"epoch": 7, "dice": 0.5, "state_dict": small.state_dict(), "optimizer": optimiser.state_dict(), "args": None}
    torch.save(wrapped, folder / "supervised_wrapped.pth")
    gated = scramble(OfficialUNet3Plus(1, 1, supervised=True, cgm=True), 2).half().float()
    save_values(folder / "gated.npz", gated, 1, 12)
    torch.save(nn.DataParallel(gated).half().state_dict(), folder / "gated_parallel_half.pt")
    torch.save({"weight": torch.ones(2)}, folder / "old_format.pth", _use_new_zipfile_serialization=False)
    torch.save(nn.ReLU(), folder / "whole_model.pth")
    torch.jit.save(torch.jit.script(nn.ReLU()), str(folder / "script.pt"))


def export(model: nn.Module, image: Any, path: Path, exporter: str) -> Path:
    """Write the ONNX file of a model by one of `EXPORTERS`."""
    if exporter == "opset17":
        torch.onnx.export(model, (image,), str(path), opset_version=17, dynamo=False)
        return path
    written = torch.onnx.export(model, (image,), dynamo=True, verbose=False).model_proto
    for node in written.graph.node:
        del node.metadata_props[:]  # where it came from in the source, with paths of the machine
    path.write_bytes(written.SerializeToString())
    return path


def save_exports(folder: Path) -> None:
    """Each network by both of PyTorch's exporters."""
    for name, (model, seed) in NETWORKS.items():
        image = save_values(folder / f"{name}.npz", scramble(model, seed), 1, 100 + seed)
        for exporter in EXPORTERS:
            export(model, image, folder / f"{name}.{exporter}.onnx", exporter)


if __name__ == "__main__":
    save_checkpoints(Path(sys.argv[1]))
    save_exports(Path(sys.argv[1]))
