"""Losses of distillation, one number per image: on a teacher's probabilities, and on its decoder's attention maps."""

from __future__ import annotations

import tensorflow as tf

from u3p_edge.training.losses import LOWEST_PROBABILITY


def divergence(soft: tf.Tensor, predicted: tf.Tensor, counts: tf.Tensor | None = None) -> tf.Tensor:
    """Return the binary Kullback-Leibler divergence of student from teacher, summed over channels, mean over counting pixels.

    Hinton et al. 2015 (arXiv:1503.02531), at a temperature of 1, as a graph gives probabilities and no logits. Each channel
    counts as a separate binary variable, because a gated mask's channels do not sum to 1, where the cross-entropy of a
    softmax has no minimum at the teacher's answer; this one has, and is 0 there. Its gradient by a sigmoid's logit is p - q:
    unlike that of the squared error, it does not vanish where the student is sure and wrong, as it is just after a cut.

    Args:
        soft, predicted: float32 [N, H, W, K], probabilities q of the teacher and p of the student.
        counts: float32 [N, H, W, 1], 1 for pixels that count and 0 for others; None for all.

    Returns:
        float32 [N].
    """
    q, p = (tf.clip_by_value(maps, LOWEST_PROBABILITY, 1.0 - LOWEST_PROBABILITY) for maps in (soft, predicted))
    terms = q * tf.math.log(q / p) + (1.0 - q) * tf.math.log((1.0 - q) / (1.0 - p))
    if counts is None:
        return tf.reduce_mean(tf.reduce_sum(terms, axis=-1), axis=(1, 2))
    return tf.math.divide_no_nan(tf.reduce_sum(terms * counts, axis=(1, 2, 3)), tf.reduce_sum(counts, axis=(1, 2, 3)))


def attention_distance(ours: tf.Tensor, theirs: tf.Tensor) -> tf.Tensor:
    """Return the squared distance of two attention maps: 0 for the same, at most 2.

    Zagoruyko and Komodakis 2017 (arXiv:1612.03928): the mean over channels of squared activations, scaled to norm 1. The
    numbers of channels may differ.

    Args:
        ours, theirs: float32 [N, h, w, C]; the two may differ in C.

    Returns:
        float32 [N].
    """
    return tf.reduce_sum(tf.math.squared_difference(_attention(ours), _attention(theirs)), axis=(1, 2))


def _attention(maps: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(tf.reduce_mean(tf.square(maps), axis=-1), axis=(1, 2))
