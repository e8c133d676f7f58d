"""Build a backbone: the layers of a network of tf_keras.applications, with fresh weights, up to a UNet 3+'s deepest scale.

Its layers keep their names, behind `backbone_`. What the network does to pixels itself is left out: the preprocessing does it.
A grey image is three equal channels. Where these are normalised alike, the first convolution takes one channel, with the sum
of its kernel; elsewhere a 1x1 convolution, `backbone_colours`, makes the three channels first. Both are exact at the border
too, where a shift that was folded into a padded convolution would not be.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras

from u3p_edge.graph.image_scale import drop_image_scale, find_image_scale
from u3p_edge.graph.ir import Graph, rename, subgraph
from u3p_edge.graph.keras_io import connect, from_keras
from u3p_edge.models.backbone_kinds import BACKBONES, BackboneKind

PREFIX = "backbone_"
COLOURS = f"{PREFIX}colours"


def encode_with_backbone(image: tf.Tensor, name: str) -> list[tf.Tensor]:
    """Return the maps of a backbone, the shallowest first.

    Args:
        image: [N, H, W, C] of 1 or 3 channels.
        name: of the backbone, a key of `BACKBONES`.
    """
    kind = BACKBONES[name]
    height, width, channels = image.shape[1:]
    if channels == 1 and not kind.alike:
        image, channels = _colours(image, kind), len(kind.mean)
    graph = _read(kind, (height, width, channels))
    tensors = connect(graph, {graph.inputs[0]: image})
    return [tensors[name] for name in graph.outputs]


def is_backbone(layer: str) -> bool:
    """Return whether a layer of that name belongs to a backbone and has its weights from there."""
    return layer.startswith(PREFIX) and layer != COLOURS


def _colours(image: tf.Tensor, kind: BackboneKind) -> tf.Tensor:
    """Return the three channels that a grey image, normalised by the averages, has under each channel's own normalisation."""
    (mean,), (std,) = kind.preprocessing(1)
    kernel, shift = std / np.array([[[kind.std]]]), (mean - np.array(kind.mean)) / kind.std
    layer = tf_keras.layers.Conv2D(len(kind.mean), 1, name=COLOURS, weights=[kernel, shift], trainable=False)
    return layer(image)


def _read(kind: BackboneKind, shape: tuple[int, int, int]) -> Graph:
    """Return a network for images that are normalised already, up to its last map."""
    model = getattr(tf_keras.applications, kind.model)(include_top=False, weights=None, input_shape=shape)
    graph = subgraph(from_keras(model), kind.maps)
    scale = find_image_scale(graph)
    graph = graph if scale is None else drop_image_scale(graph, scale)
    return rename(graph, {node.name: PREFIX + node.name for node in graph.nodes})
