"""What is timed, how a table is made of it, and once all of it for real; no test looks at how long anything takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.hasty_measuring import measure_hastily
from tests.support.latency_tables import COARSE, FINE, every_kind, kernel, made_up, two_scales
from tests.support.prunable_graphs import small_unet
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency import quiet_timer
from u3p_edge.latency.probe import Target, to_file
from u3p_edge.latency.quiet_timer import Build, QuietTimer, forget, make_reference_kernel
from u3p_edge.latency.table.calibrate import CorrectionSample, check_correction, fit_correction, hold_out, measure_samples
from u3p_edge.latency.table.layers import list_layers
from u3p_edge.latency.table.measure import find_steps, list_channel_points, measure_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import Correction, LayerTimes, Steps
from u3p_edge.progress import idle

STEPS = Steps(8, 16)


def counts(key: str, graph: Graph, quick: bool = False) -> list[tuple[int, int]]:
    return [(p.inputs, p.outputs) for p in list_channel_points(graph, STEPS, quick) if p.layer.key == key]


def test_channels_double_up_to_the_networks_own() -> None:
    assert counts(COARSE, two_scales(24)) == [(i, o) for i in (8, 16, 24) for o in (8, 16, 32, 48)]
    assert counts("upsample 4x4 interpolation=bilinear", two_scales(24)) == [(8, 0), (16, 0), (32, 0), (48, 0)]
    assert counts("conv 8x8 kernel=1x1", two_scales(40), quick=True) == [(i, 1) for i in (8, 32, 120)]
    assert counts(FINE, two_scales()) == [(1, 8), (1, 16)]


def test_a_wide_corner_that_no_layer_has_is_not_timed() -> None:
    # 1 to 8 channels and 8 to 1: nothing goes from 8 to 8.
    nodes = (
        Node("image", "input", (), {"shape": (None, 8, 8, 1)}),
        Node("out", "conv", ("image",), {}, kernel(1, 1, 1, 64)),
        Node("back", "conv", ("out",), {}, kernel(1, 1, 64, 16)),
    )
    actual = counts("conv 8x8 kernel=1x1", Graph(nodes, ("image",), ("back",)))
    assert (1, 64) in actual
    assert (64, 16) in actual
    assert all(i <= 1 or o <= 16 for i, o in actual)


@pytest.mark.parametrize("graph", [two_scales(), two_scales(24), two_scales(40, image=3)])
def test_what_is_timed_tells_every_narrower_network(graph: Graph) -> None:
    times: dict[str, list[tuple[int, int, float]]] = {}
    for p in list_channel_points(graph, STEPS):
        times.setdefault(p.layer.key, []).append((p.inputs, p.outputs, 1.0))
    table = made_up(steps=STEPS)
    filled = tuple(LayerTimes(key, tuple(entries)) for key, entries in times.items())
    predictor = Predictor(replace(table, layers=filled))
    for sample in (*measure_samples(graph), *hold_out(graph, 10)):
        assert predictor.missing(sample.graph) == ()


@pytest.mark.parametrize(("inputs", "outputs"), [(8, 16), (1, 32), (4, 8), (2, 1)])
def test_steps_are_found(inputs: int, outputs: int) -> None:
    def measure(builds: Sequence[Build]) -> list[float]:
        kernels = [build()["y"].weights["kernel"].shape for build in builds]
        return [-(-i // inputs) * -(-o // outputs) * 1.0 for _, _, i, o in kernels]

    assert find_steps(measure) == Steps(inputs, outputs)


def test_the_correction_is_found_exactly() -> None:
    table, networks = made_up(), measure_samples(two_scales())
    alone = [sum(Predictor(table).predict(s.graph).nodes.values()) for s in networks]
    for factor, each in ((1.25, 0.002), (1.1, -0.0005)):
        measured = [(s, factor * ms + each * len(list_layers(s.graph))) for s, ms in zip(networks, alone, strict=True)]
        actual = fit_correction(table, measured)
        assert (actual.factor, actual.each_ms) == pytest.approx((factor, each))


def test_networks_that_take_the_same_give_a_factor_alone() -> None:
    table, sample = made_up(Correction(9.0, 9.0)), CorrectionSample("itself", two_scales())
    alone = Predictor(made_up()).predict(sample.graph).total_ms
    actual = fit_correction(table, [(sample, 2 * alone)] * 3)
    assert (actual.factor, actual.each_ms) == pytest.approx((2.0, 0.0))
    assert check_correction(made_up(actual), sample, 2 * alone).error == pytest.approx(0.0)


def test_a_layer_never_takes_less_than_nothing() -> None:
    table, networks = made_up(), measure_samples(two_scales())
    steep = [(s, 1.0 if index == 0 else 0.01) for index, s in enumerate(networks)]
    actual = fit_correction(table, steep)
    least = min(Predictor(made_up()).alone_ms(layer) for s in networks for layer in list_layers(s.graph))
    assert actual.factor > 0
    assert actual.each_ms >= -actual.factor * least - 1e-12


def test_held_out_networks_are_uneven_and_the_same_every_time() -> None:
    first, again = hold_out(two_scales(), 2), hold_out(two_scales(), 2)
    widths = [[s.graph.shapes[name][-1] for name in ("fine", "coarse")] for s in (*first, *again)]
    assert widths[:2] == widths[2:]
    assert widths[0] != widths[1]
    assert all(4 <= fine <= 16 and 8 <= coarse <= 32 for fine, coarse in widths)


def test_a_table_for_any_size_is_fitted_to_other_shapes_and_checked_with_others_again() -> None:
    """As stored in an int8 file; a network that takes no other shape is measured in its own alone."""
    stored = replace(small_unet(folded=True), nodes=tuple(map(as_int8, small_unet(folded=True).nodes)))
    fitted, held = measure_samples(stored, any_size=True), hold_out(stored, 2, any_size=True)
    assert [sample.name for sample in fitted[3:]] == [
        "25% of the channels, folded by 2", "25% of the channels, folded by 4, plain topology, added branches"
    ]  # fmt: skip
    assert [sample.name for sample in held] == [
        "random widths 1",
        "random widths 2, images twice as large",
        "random widths 3, folded by 2, plain topology",
        "random widths 4, folded by 2, added branches",
    ]
    assert [sample.graph["stem_conv"].weights["kernel"].shape for sample in fitted[3:]] == [(2, 2, 1, 1), (4, 4, 1, 2)]
    assert all(to_file(sample.graph, "int8") for sample in (*fitted[3:], *held[2:]))
    assert len(measure_samples(two_scales(), any_size=True)) == 3


def as_int8(node: Node) -> Node:
    """The node with the weights of a network that was read from an int8 file."""
    return replace(node, weights={key: array.astype(np.int8) for key, array in node.weights.items()})


@pytest.mark.parametrize("number", ["int8", "float32"])
def test_narrower_networks_are_whole_and_can_be_written(number: str) -> None:
    half = measure_samples(two_scales())[1].graph
    assert {name: shape[-1] for name, shape in half.shapes.items()} == {
        "image": 1, "fine": 8, "down": 8, "coarse": 16, "relu": 16, "up": 16, "both": 24, "logits": 1, "mask": 1,
    }  # fmt: skip
    stored = replace(every_kind(), nodes=tuple(map(as_int8, every_kind().nodes)))
    for sample in (*measure_samples(every_kind()), *hold_out(every_kind(), 3), *measure_samples(stored)):
        assert [layer.node for layer in list_layers(sample.graph)] == [layer.node for layer in list_layers(every_kind())]
        assert to_file(sample.graph, number)


@pytest.mark.parametrize("target", [Target("int8"), Target("float32", threads=2)])
def test_a_table_is_filled_for_real_and_remembered(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[tuple[str, int]] = []

    def progress(stage: str, steps: int) -> object:
        stages.append((stage, steps))
        return lambda: None

    with measure_hastily():
        table = measure_table(two_scales(8), target, progress, checks=2, folder=tmp_path)  # type: ignore[arg-type]
    assert [stage for stage, _ in stages] == ["Time layers", "Time whole networks"]
    assert stages[1][1] == 3 + 2
    assert sum(len(layer.entries) for layer in table.layers) == stages[0][1]
    assert table.device.target == target
    assert table.device.version
    assert [check.name for check in table.checks] == ["random widths 1", "random widths 2"]
    assert Predictor(table).predict(two_scales(5)).total_ms > 0

    monkeypatch.setattr(QuietTimer, "_fastest", None)  # nothing is timed any more
    with measure_hastily():
        assert measure_table(two_scales(8), target, progress, checks=2, folder=tmp_path) == table  # type: ignore[arg-type]


class Office(QuietTimer):
    """A timer whose machine is slow at given runs of the reference kernel; each graph takes 1 ms, or 2 on the slow machine."""

    def __init__(self, slow: Sequence[bool], folder: Path, **options: float) -> None:
        super().__init__(Target(), folder, **options)
        self.readings = iter(slow)
        self.slow, self.timed = False, 0

    def _reference_ms(self) -> float:
        self.slow = next(self.readings, False)
        return 2.0 if self.slow else 1.0

    def _fastest(self, _file: bytes) -> float:
        self.timed += 1
        return 2.0 if self.slow else 1.0


GRAPHS = [
    lambda: make_reference_kernel(1, 1, 8),
    lambda: make_reference_kernel(1, 2, 8),
    lambda: make_reference_kernel(1, 3, 8),
]


def test_what_was_disturbed_is_timed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet_timer, "NAP", 0.0)
    # The reference kernel runs before and after each graph. The machine is slow when the second graph begins, and quiet again
    # after two more runs of the kernel.
    watch = Office((False, False, True, True, False, False, True, False, False), tmp_path)
    actual = watch.times(GRAPHS, idle)
    assert [(timing.ms, timing.disturbed) for timing in actual] == [(1.0, False)] * 3
    assert watch.timed == 4


def test_a_slow_beginning_is_noticed_afterwards(tmp_path: Path) -> None:
    watch = Office((True, True, True, True, False, False), tmp_path)
    assert {timing.ms for timing in watch.times(GRAPHS, idle)} == {1.0}
    assert watch.timed == 5, "the first two were taken for quiet until the machine was seen to be faster"


def test_patience_ends(tmp_path: Path) -> None:
    watch = Office((False, False, True, True, True, True), tmp_path, patience=0.0)
    assert [timing.disturbed for timing in watch.times(GRAPHS, idle)] == [False, True, True]
    assert watch.timed == 3


def test_an_interrupted_run_goes_on_and_a_fresh_one_begins_again(tmp_path: Path) -> None:
    Office((), tmp_path).times(GRAPHS[:2], idle)
    rest = Office((), tmp_path)
    assert np.mean([timing.ms for timing in rest.times(GRAPHS, idle)]) == 1.0
    assert rest.timed == 1
    forget(tmp_path)
    anew = Office((), tmp_path)
    anew.times(GRAPHS, idle)
    assert anew.timed == 3
