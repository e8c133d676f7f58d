"""What else a machine does while it is measured is noticed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.busy import busy_machine
from u3p_edge.benchmark.conditions import Conditions, MachineTimes, describe_conditions, read_machine_times
from u3p_edge.errors import ConfigError


def times(elapsed: float, whole: float, idle: float, own: float, interruptions: int | None = 0) -> MachineTimes:
    return MachineTimes(elapsed, whole, idle, own, interruptions)


def test_what_is_neither_idle_nor_of_this_process_is_of_others() -> None:
    # Two cores for 10 s: this process used 9 s, 8 s were idle, so others used 3 of 20.
    shown = describe_conditions(times(5, 100, 50, 1, 7), times(15, 120, 58, 10, 9), 1, "time")
    assert shown == Conditions(1, "time", 10, 0.15, 2)
    assert shown.is_busy
    assert not describe_conditions(times(0, 0, 0, 0), times(10, 20, 11, 9), 1, "rounds").is_busy


@pytest.mark.parametrize(("idle", "share"), [(11.5, 0.0), (-2, 0.65)])
def test_coarse_counters_give_shares_that_can_be(idle: float, share: float) -> None:
    assert describe_conditions(times(0, 0, 0, 0), times(10, 20, idle, 9), 1, "rounds").other_share == share


def test_what_the_system_does_not_say_is_none() -> None:
    shown = describe_conditions(times(0, 0, 0, 0, None), times(1, 0, 0, 0, None), 1, "rounds")
    assert (shown.other_share, shown.interruptions, shown.is_busy) == (None, None, False)


@pytest.mark.parametrize("wrong", [{"seconds": -1.0}, {"other_share": 1.1}, {"interruptions": -1}])
def test_conditions_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    values: dict[str, Any] = {"threads": 1, "ended": "rounds", "seconds": 1.0, **wrong}
    with pytest.raises(ConfigError, match="conditions"):
        Conditions(**values)


def test_other_programs_are_noticed() -> None:
    with busy_machine():
        before = read_machine_times()
        time.sleep(0.5)
        shown = describe_conditions(before, read_machine_times(), 1, "rounds")
    # Two programs compute: on up to 16 cores that is an eighth of the machine, and this process sleeps.
    assert shown.other_share is not None
    assert shown.is_busy
