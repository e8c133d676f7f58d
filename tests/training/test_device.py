"""TensorFlow's threads are set once, before it computes anything."""

from __future__ import annotations

from tests.support.command_line import run_process

CODE = """
import tensorflow as tf
from u3p_edge.training.device import count_threads, use_threads
print("threads", count_threads() >= 1, use_threads(3), count_threads())
print(int(tf.constant(1) + 1), use_threads(5), count_threads())
"""


def test_the_number_of_threads_is_set_until_something_is_computed() -> None:
    done = run_process(code=CODE, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    assert done.out.split() == ["threads", "True", "3", "3", "2", "3", "3"], done.err
