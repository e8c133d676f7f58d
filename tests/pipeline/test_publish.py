"""Whose files an export may replace, and what it makes of a folder that is damaged or of an older version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recorded_progress import RecordedProgress
from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import write_text
from u3p_edge.manifest import MANIFEST, Manifest, describe, read_manifest, write_manifest
from u3p_edge.pipeline.publish import NAMES, assemble, finished_result, open_run, publish
from u3p_edge.pipeline.staging import open_staging

MODEL, REPORT = "model.float32.tflite", "report.md"


def export(run: Path, key: str = "key", reports: tuple[str, ...] = (REPORT, "report.json")) -> Manifest:
    """What an export leaves, with contents of a few bytes."""
    run.mkdir(exist_ok=True)
    staging = open_staging(run, key)
    ready = assemble({MODEL: staging.file(MODEL, lambda: b"model")}, staging)
    for name in reports:
        write_text(ready / name, name)
    return publish(ready, run, open_run(run), Manifest((describe(ready / MODEL, "tflite-float32"),), key=key))


def test_the_manifest_lists_models_and_reports(tmp_path: Path) -> None:
    manifest = export(tmp_path)
    assert manifest.artifacts == read_manifest(tmp_path).artifacts == (describe(tmp_path / MODEL, "tflite-float32"),)
    assert sorted(a.file for a in manifest.reports) == ["report.json", REPORT]
    assert (manifest.pending, manifest.staging, manifest.claims) == ((), "", ())


@pytest.mark.parametrize("name", NAMES)
def test_somebody_elses_file_under_a_name_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    for force in (False, True):
        with pytest.raises(ArtifactError) as caught:
            open_run(tmp_path, force=force)
        assert str(caught.value).startswith(
            f"{tmp_path / name} would be replaced, and no manifest of this program names it. Move it"
        )
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_somebody_elses_file_beside_an_export_is_refused_too(tmp_path: Path) -> None:
    export(tmp_path)
    (tmp_path / "pruning.json").write_text("mine")
    with pytest.raises(ArtifactError, match=r"pruning\.json would be replaced"):
        open_run(tmp_path)


def test_the_reports_of_an_older_version_are_known(tmp_path: Path) -> None:
    export(tmp_path)
    (tmp_path / "samples.png").write_bytes(b"")
    old = {"artifacts": [vars(describe(tmp_path / MODEL, "tflite-float32"))], "key": "k", "recipe": "{}", "rewrites": []}
    (tmp_path / MANIFEST).write_text(json.dumps(old))
    manifest = open_run(tmp_path)
    assert manifest.names >= {MODEL, REPORT, "samples.png"}
    assert finished_result(tmp_path, manifest, "k") is None, "whether its reports are whole is not known"
    export(tmp_path, "another", (REPORT,))
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == sorted([MANIFEST, MODEL, REPORT])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(path: Path) -> None:
    path.write_text("{}")


@pytest.mark.parametrize("damage", [cut, spoil, Path.unlink, lambda path: (path.unlink(), path.mkdir())])
@pytest.mark.parametrize("name", [MODEL, REPORT, "report.json"])
def test_a_damaged_file_is_named_and_the_export_is_made_anew(
    tmp_path: Path, damage: Callable[[Path], object], name: str
) -> None:
    manifest = export(tmp_path)
    damage(tmp_path / name)
    progress = RecordedProgress()
    assert finished_result(tmp_path, manifest, "key", progress) is None
    assert progress.notes == [f"{tmp_path / name} is not as the export left it, so the export is made anew."]
    if not (tmp_path / name).is_dir():
        assert export(tmp_path) == manifest


@pytest.mark.parametrize("force", [False, True])
def test_a_damaged_manifest_is_made_anew(tmp_path: Path, force: bool) -> None:
    manifest = export(tmp_path)
    cut(tmp_path / MANIFEST)
    progress = RecordedProgress()
    assert open_run(tmp_path, force=force, progress=progress).names == {MANIFEST, MODEL, REPORT, "report.json"}
    assert progress.notes == [f"{tmp_path / MANIFEST} is damaged, so it is made anew, and so is all that it named."]
    assert export(tmp_path) == manifest


def test_a_manifest_cannot_have_another_folder_published(tmp_path: Path) -> None:
    (tmp_path / "mine" / "ready").mkdir(parents=True)
    (tmp_path / "mine" / "ready" / MODEL).write_text("mine")
    waiting = describe(tmp_path / "mine" / "ready" / MODEL, "tflite-float32")
    write_manifest(tmp_path, Manifest(pending=(waiting,), staging="mine", key="key"))
    manifest = open_run(tmp_path)
    assert (manifest.pending, manifest.key) == ((), "")
    assert (tmp_path / "mine" / "ready" / MODEL).read_text() == "mine"


def test_forced_nothing_unfinished_is_finished(tmp_path: Path) -> None:
    export(tmp_path)
    staging = open_staging(tmp_path, "other")
    ready = assemble({MODEL: staging.file(MODEL, lambda: b"another")}, staging)
    pending = (describe(ready / MODEL, "tflite-float32"),)
    write_manifest(
        tmp_path, Manifest(pending=pending, staging=staging.folder.name, key="other", claims=(REPORT, "report.json"))
    )
    forced = open_run(tmp_path, force=True)
    assert (tmp_path / MODEL).read_bytes() == b"model"
    assert (forced.pending, forced.key) == ((), "")
    assert forced.names >= {MODEL, REPORT, "report.json"}
    assert open_run(tmp_path).key == "other"
    assert (tmp_path / MODEL).read_bytes() == b"another"
    assert not (tmp_path / REPORT).exists(), "what it was to replace is gone"
