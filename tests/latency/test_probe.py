"""Graphs are really run; no test looks at how long that takes, only at which takes longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.support.timed_graphs import convolution, every_end
from u3p_edge.conversion.tflite import schema
from u3p_edge.errors import ConfigError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency import probe
from u3p_edge.latency.clock import MINIMUM_ROUNDS
from u3p_edge.latency.probe import MAXIMUM_ROUNDS, Target, measure_graphs, time_calls, to_file

Weights = dict[str, np.ndarray]


@pytest.mark.parametrize("number", ["int8", "float32"])
@pytest.mark.parametrize("threads", [1, 2])
def test_more_arithmetic_takes_longer(number: str, threads: int) -> None:
    # 8 times the channels are 64 times the multiply-accumulates over a map of the same size.
    small, large = measure_graphs((convolution(16), convolution(128)), Target(number, threads))
    assert 0 < small < large


@pytest.mark.parametrize("number", ["int8", "float32"])
def test_graphs_of_several_inputs_and_outputs_run(number: str) -> None:
    (took,) = measure_graphs((every_end(),), Target(number))
    assert took > 0


def test_the_int8_file_is_all_integers_and_fuses_every_relu() -> None:
    file = schema.parse_tflite(to_file(every_end(), "int8"))
    assert {tensor.dtype for tensor in file.tensors} <= {np.dtype(np.int8), np.dtype(np.int32)}
    assert "RELU" not in {op.code for op in file.operators}


def after_an_image(op: str, attrs: dict[str, Any], weights: dict[str, np.ndarray], shape: tuple[int, ...] = (8, 8, 4)) -> Graph:
    nodes = (Node("x", "input", (), {"shape": (None, *shape)}), Node("y", op, ("x",), attrs, weights))
    return Graph(nodes, ("x",), ("y",))


FOUR = np.ones(4, np.float32)


@pytest.mark.parametrize("number", ["int8", "float32"])
@pytest.mark.parametrize(
    "graph",
    [
        after_an_image("activation", {"function": "mish"}, {}),
        after_an_image("layer_norm", {"axis": (-1,), "epsilon": 1e-3}, {"gamma": FOUR, "beta": FOUR}),
        after_an_image("prelu", {}, {"alpha": np.ones((8, 8, 4), np.float32)}),
        after_an_image("relu", {"max_value": 3.0}, {}),
        after_an_image("softmax", {"axis": 1}, {}),
        after_an_image("dense", {"activation": "tanh"}, {"kernel": np.ones((4, 2), np.float32)}, shape=(4,)),
    ],
    ids=lambda graph: graph["y"].op,
)
def test_an_op_without_an_operator_is_timed_in_parts_or_by_a_substitute(graph: Graph, number: str) -> None:
    (milliseconds,) = measure_graphs((graph,), Target(number))
    assert milliseconds > 0


@pytest.mark.parametrize("wrong", [{"number": "int4"}, {"threads": 0}, {"runtime": "abacus"}])
def test_a_target_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Target(**wrong)


def test_what_is_far_slower_is_left_out_of_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def watched(calls: list[Callable[[], None]], _rough: list[float], _clock: object) -> tuple[tuple[float, ...], ...]:
        seen.append(len(calls))
        return tuple((1e-9,) for _ in calls)  # less than anything takes, so that no real time equals it

    monkeypatch.setattr(probe, "time_calls", watched)
    near, far = measure_graphs((convolution(16), convolution(128)), Target("float32"))
    assert seen == [1]
    assert near == 1e-9
    assert far > 1e-9


@dataclass
class Clock:
    """Stands still until a network works."""

    now: int = 0
    log: list[str] = field(default_factory=list)

    def __call__(self) -> int:
        return self.now

    def worker(self, name: str, milliseconds: float) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            self.now += round(milliseconds * 1e6)

        return run


def test_every_round_times_all_in_turn() -> None:
    clock = Clock()
    timed = time_calls((clock.worker("a", 100), clock.worker("b", 300)), (100, 300), clock)
    # 0.4 s for each of two graphs is up before the fifth round of 400 ms, and fewer than five say nothing.
    assert timed == ((100.0,) * MINIMUM_ROUNDS, (300.0,) * MINIMUM_ROUNDS)
    # Every second round runs backwards, and every second pair of rounds begins with the other graph.
    assert "".join(clock.log) == "abbabaabab", "long runs are not preceded by one that is not timed"


def test_short_graphs_are_repeated_within_a_sample() -> None:
    clock = Clock()
    ((*samples,),) = time_calls((clock.worker("a", 0.01),), (0.01,), clock)
    assert len(samples) == MAXIMUM_ROUNDS
    assert samples == pytest.approx([0.01] * MAXIMUM_ROUNDS)
    # A sample of 2 ms is 200 runs of 0.01 ms; one run before all, and one before each sample, is not timed.
    assert len(clock.log) == 1 + MAXIMUM_ROUNDS * (1 + 200)


def test_a_clock_that_does_not_move_gives_no_zero() -> None:
    (samples,) = time_calls((lambda: None,), (1.0,), lambda: 0)
    assert min(samples) > 0
