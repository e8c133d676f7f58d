"""The device that TensorFlow computes on, and the threads that it splits an operation over."""

from __future__ import annotations

import contextlib
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


def count_threads() -> int:
    """Return the number of threads over which TensorFlow splits one operation: as set, else the cores that it may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(tf.config.threading.get_intra_op_parallelism_threads()) or cores


def use_threads(count: int) -> int:
    """Have TensorFlow split one operation over so many threads, in this whole process; return the number that it will use.

    Each thread sums a part, so the number decides in which order sums are added, and with it the last bits of what is trained.
    It is the only setting of TensorFlow that this package makes. It cannot be changed once TensorFlow has computed something.
    """
    if count != count_threads():
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(count)
    return count_threads()
