"""The search for a shape: a planted better candidate wins, at any interruption and every time; what cannot be has a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.latency_tables import two_scales
from tests.support.pruning_runs import ASKED, EPOCH, TUNED, recipe, to
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable
from u3p_edge.pipeline.budgets import CLOSE, LATENCY, Budget
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.halving import Rung
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.prune_step import Work, start_work
from u3p_edge.pipeline.search import LATE, choose_shape
from u3p_edge.pipeline.search_candidates import order_shapes
from u3p_edge.pipeline.search_decision import SearchDecision
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import open_staging
from u3p_edge.progress import Progress, silent
from u3p_edge.shapes.shape import Shape

GOOD, BAD, WORSE, LACKING = Shape(fold=2), Shape(), Shape(fold=4), Shape(topology="plain")
FIRST_RUNG, SECOND_RUNG = "Search: rung 1 of 2, 3 shapes", "Search: rung 2 of 2, 2 shapes"


def scramble(graph: Graph, seed: int) -> Graph:
    """The network with its kernels in another order of their elements: as large, and it has learnt nothing."""
    rng = np.random.default_rng(seed)

    def shuffled(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {key: rng.permuted(array.ravel()).reshape(array.shape) for key, array in weights.items()}

    return dataclasses.replace(
        graph,
        nodes=tuple(
            dataclasses.replace(node, weights=shuffled(node.weights)) if "kernel" in node.weights else node
            for node in graph.nodes
        ),
    )


@pytest.fixture(scope="module")
def planted(source: Source) -> Mapping[Shape, Graph]:
    """One shape is the trained network, two others have lost all that it learnt."""
    return {BAD: scramble(source.graph, 0), GOOD: source.graph, WORSE: scramble(source.graph, 1)}


@dataclasses.dataclass(frozen=True)
class Searched:
    """A search in a folder of its own, and how to run it."""

    work: Work
    wanted: Sequence[Budget]
    planted: Mapping[Shape, Graph]

    def run(self, *others: Shape) -> SearchDecision:
        return choose_shape(self.work, self.wanted, [*self.planted, *others], self.build)

    def build(self, shape: Shape) -> Graph:
        if shape not in self.planted:
            raise ModelError("the network has no such levels")
        return self.planted[shape]


@pytest.fixture(scope="module")
def search(
    source: Source, data: ExportData, table: LatencyTable, unpruned_ms: float, planted: Mapping[Shape, Graph],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Searched]:  # fmt: skip
    """Make a search in a folder: one of the same name goes on with what an earlier one left."""
    root = tmp_path_factory.mktemp("search")

    def make(
        folder: str, progress: Progress = silent, share: float = 0.6, minutes: float = 60, shapes: Sequence[Shape] = ()
    ) -> Searched:
        pruning = to(share * unpruned_ms, search=True, search_minutes=minutes, final_updates=2 * EPOCH)
        context = Context(source, data, recipe(pruning), open_staging(root / folder, "key"), progress)
        predictor = Predictor(table)
        budget = Budget(LATENCY, share * unpruned_ms, lambda graph: predictor.predict(graph).total_ms, None, unpruned_ms)
        return Searched(start_work(context, pruning), [budget], {shape: planted[shape] for shape in shapes or planted})

    return make


@pytest.fixture(scope="module")
def unbroken(search: Callable[..., Searched]) -> SearchDecision:
    """The decision of a search that nothing stopped."""
    return search("unbroken").run(LACKING)


def test_the_planted_candidate_wins_and_what_became_of_the_others_is_kept(unbroken: SearchDecision, unpruned_ms: float) -> None:
    assert unbroken.shape == GOOD
    assert unbroken.rungs == (Rung(3, 1), Rung(2, 2)), "two epochs, as the winner will be trained"
    by_name = {each.name: each for each in unbroken.candidates}
    assert list(by_name) == [BAD.name, GOOD.name, WORSE.name, LACKING.name]
    assert sorted(len(by_name[shape.name].dice) for shape in (BAD, GOOD, WORSE)) == [1, 2, 2]
    assert all(each.reached[LATENCY] <= 0.6 * unpruned_ms * (1 + CLOSE) for each in unbroken.candidates[:3])
    assert by_name[GOOD.name].dice[0] > max(by_name[BAD.name].dice[0], by_name[WORSE.name].dice[0])
    assert by_name[LACKING.name].reason == "the network has no such levels"
    assert from_dict(SearchDecision, dataclasses.asdict(unbroken)) == unbroken, "it goes through JSON"
    assert unbroken.notes[0].startswith("Shape folded by 2, chosen from 4, of which 3 keep to the budgets")
    assert "plain topology: the network has no such levels" in unbroken.notes[1]


def test_what_is_trained_is_not_trained_again(search: Callable[..., Searched], unbroken: SearchDecision) -> None:
    again = RecordedProgress()
    assert search("unbroken", again).run(LACKING) == unbroken
    assert (again.done[FIRST_RUNG], again.done[SECOND_RUNG]) == (0, 0)
    assert "Score channels" not in again.names


@pytest.mark.slow  # two searches with training; `tests/distill` resumes one training
@pytest.mark.parametrize(("stage", "step"), [(FIRST_RUNG, 2 * EPOCH + 1), (SECOND_RUNG, 2)])
def test_a_search_that_was_killed_goes_on_to_the_same_choice(
    search: Callable[..., Searched], unbroken: SearchDecision, stage: str, step: int
) -> None:
    killed, again = RecordedProgress(interrupt_at=(stage, step)), RecordedProgress()
    with pytest.raises(KeyboardInterrupt):
        search(stage, killed).run(LACKING)
    resumed = search(stage, again).run(LACKING)
    assert again.done[FIRST_RUNG] == (EPOCH if stage == FIRST_RUNG else 0), "what was trained is not trained again"
    assert resumed == unbroken, "to the last bit of every score, and so the same twice"


def test_the_time_limit_says_whom_it_keeps_out(search: Callable[..., Searched]) -> None:
    # A tenth of a minute scores one network.
    decided = search("short", minutes=0.1).run()
    assert (decided.shape, decided.rungs) == (BAD, ())
    assert [each.reason for each in decided.candidates] == ["", LATE, LATE]


def test_under_a_time_limit_those_go_first_that_need_the_least_pruning() -> None:
    widths = {BAD: 16, GOOD: 5, WORSE: 2}

    def build(shape: Shape) -> Graph:
        if shape not in widths:
            raise ModelError("the network has no such levels")
        return two_scales(widths[shape])

    # By factors: 5 / 4, 4 / 2, 16 / 4, and one of which nothing is known.
    budget = Budget(LATENCY, 4.0, lambda graph: float(graph.shapes["fine"][-1]), None, 16.0)
    assert order_shapes(budget, [LACKING, BAD, WORSE, GOOD], build) == (GOOD, WORSE, BAD, LACKING)


def test_a_budget_out_of_reach_is_refused_with_the_least_that_is_left(search: Callable[..., Searched]) -> None:
    with pytest.raises(ConfigError, match=r"no shape of this network keeps to the budgets: .* out of reach, .* is the least"):
        search("least", share=1e-3, shapes=[BAD]).run()


# --- within an export


@pytest.mark.slow  # a whole export, twice
def test_a_replay_trains_nothing_of_the_search(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    # A tenth of a minute looks at one shape.
    wanted = recipe(to(0.6 * unpruned_ms, search=True, search_minutes=0.1, final_updates=EPOCH))
    first, staging = RecordedProgress(), open_staging(tmp_path / "a", "key")
    result = prune_source(Context(source, data, wanted, staging, first, device=device))
    assert result.search is not None
    assert any(name.startswith("Search") for name in first.names)
    assert {"search", "budgets", "prune0/plan", "prune0/epoch", "prune0/kept"} == set(staging.decisions())
    replayed = RecordedProgress()
    again = prune_source(
        Context(source, data, wanted, open_staging(tmp_path / "b", "key", lock=staging.decisions()), replayed, device=device)
    )
    assert set(replayed.names) == {ASKED, TUNED}
    assert (again.search, again.shape, again.steps) == (result.search, result.shape, result.steps)
    for ours, theirs in zip(result.source.model.get_weights(), again.source.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
