"""The names of the authors' PyTorch code (Huang et al. 2020), mapped onto the variables of `u3p_edge.models.unet3plus`.

    conv<s>.conv<n>.0, .1                     enc<s>_conv<n>, enc<s>_norm<n>           encoder at scale s
    h<s>_PT_hd<t>_conv, _bn                   dec<t>_from_enc<s>_conv, _norm           pooled to decoder t
    h<t>_Cat_hd<t>_conv, _bn                  dec<t>_from_enc<t>_conv, _norm
    hd<s>_UT_hd<t>_conv, _bn                  dec<t>_from_dec<s>_conv, _norm (enc5)    upsampled to decoder t
    conv<t>d_1, bn<t>d_1                      dec<t>_fuse_conv, _norm                  branches joined, shallowest first
    outconv<s>                                head<s>_conv
    cls.1                                     cgm_conv

The authors' three networks (UNet_3Plus, UNet_3Plus_DeepSup, UNet_3Plus_DeepSup_CGM) differ in the heads and in `cls` alone.
Widths are taken from the shapes. The preset "paper" is the same network: convolutions with bias, half-pixel bilinear
upsampling, 3x3 heads. It joins branches deepest first, so the fusion's kernels are reordered. No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.models.config import SCALES, UNet3PlusConfig, preset

Array = npt.NDArray[Any]
FIRST, LAST = "conv1.conv1.0.weight", "outconv1.weight"
"""Names by which the authors' networks are recognised, and which say the widths."""

_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_COUNTER = "num_batches_tracked"
_OTHERWISE = "Export the model as ONNX, which needs no known names (see the how-to on ONNX files)."


@dataclass(frozen=True)
class _Layer:
    """A layer of the authors' network.

    Args:
        name: theirs. ours: of the layer here.
        channels: given and returned by a convolution; returned by a normalisation, which is given as many.
        kernel: side of the kernel; 0 for a normalisation.
        bias: whether a convolution has one.
        joins: its input is the branches of a decoder.
    """

    name: str
    ours: str
    channels: tuple[int, int]
    kernel: int = 0
    bias: bool = True
    joins: bool = False

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of its tensors by their names in the layer."""
        given, returned = self.channels
        if not self.kernel:
            return dict.fromkeys(_NORM, (returned,))
        kernel = {"weight": (returned, given, self.kernel, self.kernel)}
        return {**kernel, "bias": (returned,)} if self.bias else kernel


def read_official(tensors: Mapping[str, Array], size: tuple[int, int]) -> tuple[UNet3PlusConfig, dict[str, Array]]:
    """Return the configuration of the authors' network of these weights, and the weights by the names of its variables here.

    Args:
        tensors: of a state dict, kernels as [out, in, height, width].
        size: height and width of the image, which weights do not say.

    Raises:
        ModelError: the names are not the authors', one is missing or foreign, or a shape does not fit; the message names it.
        ConfigError: a size or width that cannot be.
    """
    config = _config(tensors, size)
    layers = tuple(_layers(config))
    expected = {f"{layer.name}.{key}": shape for layer in layers for key, shape in layer.shapes.items()}
    given = {name for name in tensors if not name.endswith(_COUNTER)}
    for wrong, what in ((set(expected) - given, "it lacks"), (given - set(expected), "it has the foreign weights")):
        if wrong:
            raise ModelError(f"it is not the authors' UNet 3+: {what} {min(wrong)[:200]!r}", mend=_OTHERWISE)
    for name, shape in expected.items():
        if tensors[name].shape != shape or tensors[name].dtype != np.float32:
            got, wanted = f"{tensors[name].dtype} {list(tensors[name].shape)}", f"float32 {list(shape)}"
            raise ModelError(f"{name!r} is {got}; a UNet 3+ of this width has {wanted} there", mend=_OTHERWISE)
    return config, {ours: array for layer in layers for ours, array in _variables(layer, tensors)}


def _config(tensors: Mapping[str, Array], size: tuple[int, int]) -> UNet3PlusConfig:
    for name in (FIRST, LAST):
        if name not in tensors or tensors[name].ndim != 4:
            listed = ", ".join(repr(key[:60]) for key in list(tensors)[:4])
            raise ModelError(f"it is not the authors' UNet 3+: it has no kernel {name!r} (but {listed}, ...)", mend=_OTHERWISE)
    width, channels, kernel, _ = tensors[FIRST].shape
    classes, _, head, _ = tensors[LAST].shape
    supervised, gated = "outconv5.weight" in tensors, "cls.1.weight" in tensors
    if gated and classes > 1:
        raise ModelError(
            f"it has a classification-guided module of two units for {classes} classes, and here it has one unit a class",
            mend="Import a network of one class, or export the model as ONNX without that module.",
        )
    return preset(
        "paper",
        input_shape=(*size, channels),
        base_width=width,
        kernel_size=kernel,
        classes=classes,
        deep_supervision=supervised,
        cgm=gated,
        conv_bias="conv1.conv1.0.bias" in tensors,
        head_kernel=None if supervised else head,
    )


def _layers(config: UNet3PlusConfig) -> Iterator[_Layer]:
    """Yield every layer with weights."""
    width, fused = config.base_width, config.base_width * SCALES
    widths = {scale: config.encoder_width(scale) for scale in range(1, SCALES + 1)}
    for scale, channels in widths.items():
        below = config.input_shape[2] if scale == 1 else widths[scale - 1]
        for number, given in ((1, below), (2, channels)):
            theirs, ours = f"conv{scale}.conv{number}", f"enc{scale}"
            yield _Layer(f"{theirs}.0", f"{ours}_conv{number}", (given, channels), config.kernel_size, config.conv_bias)
            yield _Layer(f"{theirs}.1", f"{ours}_norm{number}", (channels, channels))
    for target in range(SCALES - 1, 0, -1):
        for source in widths:
            theirs, ours, decoded = _branch(source, target)
            given = fused if decoded else widths[source]
            yield _Layer(f"{theirs}_conv", f"{ours}_conv", (given, width), config.kernel_size, config.conv_bias)
            yield _Layer(f"{theirs}_bn", f"{ours}_norm", (width, width))
        ours = f"dec{target}_fuse"
        yield _Layer(f"conv{target}d_1", f"{ours}_conv", (fused, fused), config.kernel_size, config.conv_bias, joins=True)
        yield _Layer(f"bn{target}d_1", f"{ours}_norm", (fused, fused))
    kernel = config.head_kernel or config.kernel_size
    for scale in range(1, SCALES + 1) if config.deep_supervision else (1,):
        given = widths[SCALES] if scale == SCALES else fused
        yield _Layer(f"outconv{scale}", f"head{scale}_conv", (given, config.classes), kernel)
    if config.cgm:
        yield _Layer("cls.1", "cgm_conv", (widths[SCALES], config.cgm_units), 1)


def _branch(source: int, target: int) -> tuple[str, str, bool]:
    """Return the two names of a branch of decoder `target`, and whether it comes from a decoder."""
    if source <= target:
        kind = "PT" if source < target else "Cat"
        return f"h{source}_{kind}_hd{target}", f"dec{target}_from_enc{source}", False
    decoded = source < SCALES
    return f"hd{source}_UT_hd{target}", f"dec{target}_from_{'dec' if decoded else 'enc'}{source}", decoded


def _variables(layer: _Layer, tensors: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield the variables of a layer, kernels as [height, width, in, out]."""
    for key in layer.shapes:
        array = tensors[f"{layer.name}.{key}"]
        if not layer.kernel:
            yield f"{layer.ours}/{_NORM[key]}", array
        elif key == "bias":
            yield f"{layer.ours}/bias", array
        else:
            kernel = np.transpose(array, (2, 3, 1, 0))
            yield f"{layer.ours}/kernel", np.ascontiguousarray(_deepest_first(kernel) if layer.joins else kernel)


def _deepest_first(kernel: Array) -> Array:
    """Return a fusion's kernel for branches in the opposite order."""
    return np.concatenate(np.split(kernel, SCALES, axis=2)[::-1], axis=2)
