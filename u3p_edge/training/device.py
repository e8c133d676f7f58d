"""What TensorFlow computes on."""

from __future__ import annotations

import os
import platform

import tensorflow as tf


def training_device() -> str:
    """The GPUs that TensorFlow uses, by their names, or the CPU with its cores and why no GPU is used where that is known."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = (tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)
        return f"the GPU {', '.join(names)}"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    why = f"; CUDA_VISIBLE_DEVICES={hidden} hides GPUs" if hidden in ("", "-1") else "; TensorFlow finds no GPU"
    return f"the CPU, {os.cpu_count()} cores of {platform.machine()}{why}"
