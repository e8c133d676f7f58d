"""A step is found where it was planted, and nothing is found in what only varies."""

from __future__ import annotations

import numpy as np
import pytest

from u3p_edge.benchmark.change_points import find_change_points

pytest.importorskip("ruptures", reason="the extra history is not installed")


def noise(seed: int, count: int = 40, share: float = 0.01) -> np.ndarray:
    """Values about 1 that vary by a normal distribution."""
    return 1 + share * np.random.default_rng(seed).standard_normal(count)


@pytest.mark.parametrize("growth", [-0.1, 0.05, 0.5])
@pytest.mark.parametrize("where", [8, 20, 33])
def test_a_step_is_found_at_its_point(growth: float, where: int) -> None:
    # The smallest step is five standard deviations of the noise, so no point lies nearer to the wrong level but by a chance of
    # one in 160 (2.5 standard deviations), and these seeds have none beside the step.
    values = noise(where) * np.where(np.arange(40) < where, 1, 1 + growth)
    (change,) = find_change_points(values.tolist(), 0.02)
    assert change.index == where
    # The mean of seven values or more is within 4 x 1 % / sqrt(7) = 1.5 % of its level.
    assert change.growth == pytest.approx(growth, abs=0.03)
    assert change.before == pytest.approx(values[:where].mean())


def test_steps_up_and_back_are_two() -> None:
    values = noise(1, 60) * np.where((np.arange(60) >= 20) & (np.arange(60) < 40), 1.2, 1)
    assert [change.index for change in find_change_points(values.tolist())] == [20, 40]


def test_a_count_that_never_varies_changes_at_its_step_and_else_nowhere() -> None:
    assert [change.index for change in find_change_points([5.0] * 6 + [6.0] * 6)] == [6]
    assert find_change_points([5.0] * 20) == ()
    assert find_change_points([0.0] * 20) == ()
    assert find_change_points([1.0, 2.0]) == ()


def test_a_level_that_varies_has_no_step() -> None:
    # Each split is tested at one in a thousand, but it is the best of 39 splits: so among 20 series a few per cent may alarm.
    alarms = sum(bool(find_change_points(noise(seed).tolist(), 0.01)) for seed in range(20))
    assert alarms <= 1


def test_a_small_step_is_none_where_only_large_ones_count() -> None:
    values = (noise(3) * np.where(np.arange(40) < 20, 1, 1.05)).tolist()
    assert len(find_change_points(values, 0.02)) == 1
    assert find_change_points(values, 0.1) == ()
