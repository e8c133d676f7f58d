from __future__ import annotations

import pytest

from u3p_edge.optim.schedule import learning_rate


def test_warm_up_then_half_a_cosine_wave() -> None:
    rates = [learning_rate(step, total=8, warmup=4, peak=1.0) for step in range(8)]
    # 1/4, 2/4, 3/4, 4/4; then (1 + cos(pi k / 4)) / 2 for k = 0 .. 3: cos = 1, sqrt(1/2), 0, -sqrt(1/2).
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert learning_rate(0, total=5, warmup=0, peak=0.01) == 0.01


@pytest.mark.parametrize("total", [1, 2, 5])
def test_a_run_shorter_than_its_warm_up_still_reaches_the_peak(total: int) -> None:
    rates = [learning_rate(step, total=total, warmup=10, peak=2.0) for step in range(total)]
    assert max(rates) == 2.0
    assert all(rate > 0 for rate in rates)
