"""A front of networks: which there are, what each takes from the one before, and which is picked."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.command_line import Program, left_in, refusal
from tests.support.pruning_runs import TUNED, recipe
from tests.support.recorded_progress import RecordedProgress
from tests.support.sample_results import artifact, result
from u3p_edge.benchmark.loss_check import check_loss
from u3p_edge.benchmark.result import RunResult
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError, VerificationError
from u3p_edge.files.atomic import read_json
from u3p_edge.manifest import read_manifest
from u3p_edge.metrics import Scores
from u3p_edge.pipeline.export import export
from u3p_edge.pipeline.front import FILES, INT8, ParetoResult, export_pareto
from u3p_edge.pipeline.front_plan import NEAR, SPEEDUPS, FrontSpeeds, choose_speeds, list_steps
from u3p_edge.pipeline.front_points import Asked, FrontPoint, median_ms, pick_point
from u3p_edge.pipeline.front_sharing import copy_finished
from u3p_edge.progress import PartProgress
from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.report.front import front_table, list_dominated

# --- which networks there are


@given(st.floats(0.1, 200), st.floats(0.1, 200), st.floats(0.1, 200))
def test_speedups_ascend_from_the_start_and_the_asked_one_is_among_them(start: float, asked: float, fastest: float) -> None:
    speeds = choose_speeds(start, asked, fastest)
    assert len(speeds) <= 7, "eight networks with the exact one"
    assert all(speed <= fastest for speed in speeds)
    assert all(slow < fast for slow, fast in pairwise(speeds))
    assert all(speed > NEAR * start for speed in speeds)
    assert (asked in speeds) == (NEAR * start < asked <= fastest)
    assert all(fast / slow >= NEAR * (1 - 1e-9) for slow, fast in pairwise(speeds)), "no two networks are nearly the same"


def test_the_recipes_speedups_are_points_of_a_front() -> None:
    named = [build_recipe(name).pruning for name in ("balanced", "small")]
    assert {pruning.speedup for pruning in named if pruning is not None} <= set(SPEEDUPS)


@given(st.floats(1, 12), st.integers(1, 5))
def test_each_step_is_as_fast_as_the_network_that_it_stands_for(start: float, number: int) -> None:
    speeds = FrontSpeeds(start, SPEEDUPS[5:])
    shares = list_steps(speeds, number)
    assert len(shares) == number
    assert build_pruning(shares).shares == shares, "a recipe takes them"
    for share, speedup in zip(shares, speeds.wanted, strict=False):
        # `Budget.at_share`: equal shares are equal factors.
        assert start * (speeds.wanted[number] / start) ** share == pytest.approx(speedup)


def build_pruning(shares: tuple[float, ...]) -> Pruning:
    return Pruning(speedup=2, shares=shares)


@pytest.mark.parametrize("shares", [(0.0,), (0.5, 0.5), (0.6, 0.4), (1.0,), (math.nan,)])
def test_shares_that_do_not_ascend_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"pruning.shares cannot be .*They ascend between 0 and 1"):
        build_pruning(shares)


# --- what each takes from the one before


def test_a_network_starts_from_the_one_before_it_and_alone_takes_the_same_steps(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "a", tmp_path / "b"
    for folder in (ours, theirs):
        folder.mkdir()
    (ours / "prune0").mkdir()
    (ours / "prune0" / "plan").write_text("first")
    (ours / "soft.npy").write_text("teacher")
    (theirs / "soft.npy").write_text("of its own")
    copy_finished(ours, theirs, ["soft.npy", "prune0", "prune1"])
    assert (theirs / "prune0" / "plan").read_text() == "first"
    assert (theirs / "soft.npy").read_text() == "of its own", "what is there is not replaced"
    (theirs / "prune0" / "plan").unlink()
    assert (ours / "prune0" / "plan").exists()
    assert sorted(path.name for path in theirs.iterdir()) == ["prune0", "soft.npy"], "nothing half-copied is left"


# --- which is picked


def scores(lost: float) -> Scores:
    import numpy as np

    return np.array([[1.0, dice - lost / 100] for dice in np.linspace(0.6, 0.9, 8)])


def point(name: str, lost: float, allowed: float = 0.5) -> FrontPoint:
    return FrontPoint(name, None, "unchanged", "made up", check_loss(scores(0), scores(lost), allowed, 8))


def measured(**relative: float) -> RunResult:
    """The reference takes 100 ms or so, each network that share of it."""
    files = [
        artifact(f"{name}/{INT8}", relative=share, dice=0.88 + share / 10, peak=80, size=10**6, seed=seed)
        for seed, (name, share) in enumerate(relative.items())
    ]
    first = result().artifacts[0]
    return dataclasses.replace(result(), artifacts=(first, *files))


POINTS = (point("exact", 0.0), point("x13", 0.3), point("x20", 0.2), point("x45", 2.0))
RESULT = measured(exact=0.15, x13=1 / 13, x20=1 / 20, x45=1 / 45)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(0.5), "x20"),
        (Asked(0.1), "exact"),
        (Asked(5), "x45"),
        (Asked(0.5, speedup=12), "x20"),
        (Asked(0.25, speedup=12), "x20"),
        (Asked(5, speedup=40), "x45"),
        (Asked(0.5, speedup=40), None),
        (Asked(5, speedup=300), None),
        (Asked(-1), None),
    ],
)
def test_a_time_picks_what_loses_least_and_a_loss_what_is_fastest(asked: Asked, expected: str | None) -> None:
    picked = pick_point(POINTS, RESULT, asked)
    assert (None if picked is None else picked.name) == expected


def test_milliseconds_pick_as_a_speedup_does() -> None:
    reference = median_ms(RESULT.artifacts[0])
    picked = pick_point(POINTS, RESULT, Asked(5, latency_ms=reference / 40))
    assert picked is not None
    assert picked.name == "x45"


def test_without_a_network_to_pick_nothing_is_shown() -> None:
    with pytest.raises(VerificationError, match="no network of the front keeps to what was asked"):
        ParetoResult(Path("front"), RESULT, POINTS, "", ()).require_shown()
    with pytest.raises(VerificationError, match=r"lost 2\.00 points"):
        ParetoResult(Path("front"), RESULT, POINTS, "x45", ()).require_shown()
    ParetoResult(Path("front"), RESULT, POINTS, "x20", ()).require_shown()


def test_a_network_that_another_beats_in_both_is_off_the_front_and_said() -> None:
    better = artifact(f"x13/{INT8}", relative=1 / 13, dice=0.80, peak=80, size=10**6, seed=1)
    value = dataclasses.replace(RESULT, artifacts=(*RESULT.artifacts[:2], better, *RESULT.artifacts[3:]))
    names = [each.name for each in POINTS]
    assert list_dominated(value, names) == ("x13 is not on the front: x20 is no slower and scores no less.",)
    rows = front_table(value, [(each.name, each.shape, each.made) for each in POINTS]).splitlines()
    assert len(rows) == 2 + 1 + len(POINTS)
    assert rows[4].startswith("| x13 | 79.00 |")
    assert list_dominated(RESULT, names) == (), "here the slower one scores more"


# --- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--int8", "--recipe", "exact"), "the recipe has no speed-up. Give --recipe balanced."),
        ((), "--pareto is for int8 files"),
        (("--int8", "--shrink", 3), "--shrink has no effect on a front (--pareto)"),
        (("--int8", "--pruning-steps", 3), "--pruning-steps has no effect on a front"),
    ],
)
def test_what_says_nothing_of_a_front_is_refused(
    program: Program, wide: Path, pictures: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    out = tmp_path / "out"
    assert message in refusal(program("export", wide, "--data", pictures, "--out", out, "--pareto", *options))
    assert left_in(out) == []


def test_a_folder_with_an_export_is_no_place_for_a_front(wide: Path, pictures: Path, tmp_path: Path) -> None:
    from u3p_edge.manifest import Artifact, Manifest, write_manifest

    write_manifest(tmp_path, Manifest(artifacts=(Artifact("model.int8.tflite", "tflite-int8", "ab" * 32, 1),)))
    with pytest.raises(ArtifactError, match="holds an export, and a front has one in each folder within it"):
        export_pareto(wide, pictures, tmp_path)


def test_stages_and_notes_of_a_part_begin_with_its_name() -> None:
    whole = RecordedProgress()
    part = PartProgress(whole, "x30 (2 of 5)")
    part("Verify", 2)()
    part.note("Slow.")
    assert (whole.stages, whole.done["x30 (2 of 5): Verify"]) == ([("x30 (2 of 5): Verify", 2)], 1)
    assert whole.notes == ["x30 (2 of 5): Slow."]


# --- all of it


@pytest.mark.slow  # three exports, two of them with training
def test_a_front_from_end_to_end(wide: Path, pictures: Path, tmp_path: Path) -> None:
    run, stages = tmp_path / "front", RecordedProgress()
    options = recipe(Pruning(speedup=6, final_updates=6, batch_size=2), profile=False)
    done = export_pareto(wide, pictures, run, options, accept=True, progress=stages, max_drop=100)
    exact, *pruned = done.points
    assert (exact.name, exact.speedup) == ("exact", None)
    assert [each.speedup for each in pruned] == sorted(each.speedup or 0 for each in pruned)
    assert pruned, "there are channels to spare"
    assert done.picked == min(done.points, key=lambda each: milliseconds_of(done, each)).name, "the fastest within 100 points"
    trained = [name for name in stages.names if TUNED in name]
    assert 1 <= len(trained) <= len(pruned), "each network is trained once, from the one before"
    assert trained[0].startswith(f"{pruned[0].name} (2 of "), "a stage says which network it is of"
    for each in done.points:
        assert {"model.int8.tflite", "export.lock.json", "report.md"} <= set(left_in(run / each.name))
        assert read_manifest(run / each.name).get("model.int8.tflite") is not None
    assert set(FILES) <= set(left_in(run))
    assert {report.file for report in read_manifest(run).reports} == set(FILES)
    assert not list(run.glob(".u3p-edge-staging-*"))
    text = (run / "report.md").read_text()
    assert f"Picked: {done.picked}" in text.replace("*", "")
    assert "## The front" in text
    assert f'<th scope="row">{exact.name}</th>' in (run / "report.html").read_text()
    assert [from_dict(FrontPoint, each) for each in read_json(run / "pareto.json")["points"]] == list(done.points)
    again = export_pareto(wide, pictures, run, options, accept=True, progress=RecordedProgress(), max_drop=100)
    assert (again.reused, again.points, again.picked) == (True, done.points, done.picked)
    last = pruned[-1].name
    alone = export(wide, pictures, tmp_path / "alone", locked=run / last / "export.lock.json", accept=True)
    assert alone.notes[0].startswith("Replayed from a lock: all"), "by itself it takes the same steps"


def milliseconds_of(done: ParetoResult, wanted: FrontPoint) -> float:
    return median_ms(done.result.artifacts[1 + done.points.index(wanted)])
