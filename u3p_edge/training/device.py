"""The device that TensorFlow computes on."""

from __future__ import annotations

import os
import platform

import tensorflow as tf


def training_device() -> str:
    """Return the GPUs that TensorFlow uses, or the CPU with its cores and, where that is known, why no GPU is used."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = (tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)
        return f"the GPU {', '.join(names)}"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    why = f"; CUDA_VISIBLE_DEVICES={hidden} hides GPUs" if hidden in ("", "-1") else "; TensorFlow finds no GPU"
    return f"the CPU, {os.cpu_count()} cores of {platform.machine()}{why}"
