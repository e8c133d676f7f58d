"""Real numbers to int8 and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from u3p_edge.runtime.base import PortQuantization, dequantize_array, quantize_array

SCALES = st.floats(1e-4, 1e2)
ZEROS = st.integers(-128, 127)


@settings(deadline=None)  # the machine is shared
@given(scale=SCALES, zero=ZEROS, integers=hnp.arrays(np.int8, st.integers(1, 64)))
def test_integers_survive_the_round_trip(scale: float, zero: int, integers: np.ndarray) -> None:
    q = PortQuantization(scale, zero)
    np.testing.assert_array_equal(quantize_array(dequantize_array(integers, q), q), integers)


@settings(deadline=None)  # the machine is shared
@given(scale=SCALES, zero=ZEROS, index=st.floats(0, 1))
def test_a_value_in_range_loses_half_a_step_at_most(scale: float, zero: int, index: float) -> None:
    q = PortQuantization(scale, zero)
    low, high = scale * (-128 - zero), scale * (127 - zero)
    value = np.array([low + index * (high - low)], np.float32)
    # half a step, and float32 rounding of numbers of up to 255 steps
    assert abs(float(dequantize_array(quantize_array(value, q), q)[0] - value[0])) <= scale * (0.5 + 255 * 2**-21)


@pytest.mark.parametrize(("value", "integer"), [(-1e9, -128), (1e9, 127), (0.0, 3), (0.5, 4), (-0.5, 2)])
def test_values_out_of_range_are_clipped(value: float, integer: int) -> None:
    assert quantize_array(np.array([value], np.float32), PortQuantization(0.5, 3))[0] == integer
