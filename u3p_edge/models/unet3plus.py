"""UNet 3+ (Huang et al. 2020, arXiv:2004.08790): every decoder scale sees all five scales.

decoder t fuses, deepest first:   encoder 5, decoders 4 .. t+1 (upsampled) │ encoder t │ encoders t-1 .. 1 (pooled)
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from u3p_edge.models.backbone import encode_with_backbone
from u3p_edge.models.blocks import branch, down, encoder_block, fuse, head
from u3p_edge.models.cgm import classify
from u3p_edge.models.config import SCALES, UNet3PlusConfig


def build(config: UNet3PlusConfig) -> tf_keras.Model:
    """Build a UNet 3+ with fresh weights, of plain functional layers only.

    Input `image`: float32 [N, H, W, C]. Outputs are named by `config.output_names`; the first is always the mask at scale 1,
    [N, H, W, classes], probabilities. With deep supervision masks from scales 2 to 5 follow, of the same shape; with the
    classification-guided module `cgm_output` [N, units] comes last. A model of one output gives a tensor, not a list.
    """
    image = tf_keras.Input(config.input_shape, name="image")
    encoders = _encode(image, config)
    decoders = _decode(encoders, config)
    scales = range(1, SCALES + 1) if config.deep_supervision else range(1, 2)
    outputs = [head(decoders[s], config, s, name) for s, name in zip(scales, config.output_names, strict=False)]
    if config.cgm:
        outputs.append(classify(encoders[SCALES], config))
    return tf_keras.Model(image, outputs[0] if len(outputs) == 1 else outputs, name="unet3plus")


def _encode(image: tf.Tensor, config: UNet3PlusConfig) -> dict[int, tf.Tensor]:
    """Return the encoder outputs by scale, 1 to 5; a backbone gives the deepest, or all."""
    maps = encode_with_backbone(image, config.backbone) if config.backbone else []
    above = SCALES - len(maps)
    encoders = dict(enumerate(maps, start=above + 1))
    if above:
        encoders[1] = encoder_block(image, config, 1)
    for scale in range(2, above + 1):
        encoders[scale] = encoder_block(down(encoders[scale - 1], config, scale - 1), config, scale)
    return encoders


def _decode(encoders: dict[int, tf.Tensor], config: UNet3PlusConfig) -> dict[int, tf.Tensor]:
    """Return the decoder outputs by scale, 1 to 5; the fifth is encoder 5 itself."""
    decoders = {SCALES: encoders[SCALES]}
    for target in range(SCALES - 1, 0, -1):
        branches = []
        for scale in range(SCALES, 0, -1):
            kind = "dec" if target < scale < SCALES else "enc"
            source = decoders if kind == "dec" else encoders
            branches.append(branch(source[scale], config, (kind, scale), target))
        decoders[target] = fuse(branches, config, target)
    return decoders
