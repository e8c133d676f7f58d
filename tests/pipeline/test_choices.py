"""Recorded choices: written, read back, read from a manifest, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from u3p_edge.errors import ArtifactError
from u3p_edge.manifest import Manifest, write_manifest
from u3p_edge.pipeline.choices import read_choices, selections_to_json
from u3p_edge.rewriting.engine import Candidate, Selection

FORMS = st.builds(
    Candidate,
    name=st.text(min_size=1),
    macs=st.none() | st.integers(0, 2**63 - 1),
    milliseconds=st.none() | st.floats(0, allow_infinity=False),
    refusal=st.text(),
)
CHOICES = st.lists(st.builds(Selection, st.text(), st.text(), st.lists(FORMS, max_size=3).map(tuple)), max_size=3).map(tuple)


@given(choices=CHOICES)
def test_what_is_written_is_read(choices: tuple[Selection, ...], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "choices.json"
    path.write_text(selections_to_json(choices), encoding="utf-8")
    assert read_choices(path) == choices


def test_a_manifest_gives_sites_and_forms(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(rewrites=(("conv", "separable"), ("mask", "reference"))))
    assert read_choices(tmp_path / "manifest.json") == (Selection("conv", "separable", ()), Selection("mask", "reference", ()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable JSON"),
        ("[]", "does not hold a JSON object"),
        ("{}", "holds no rewrites: it has no list `rewrites`"),
        ('{"rewrites": "conv"}', "it has no list `rewrites`"),
        ('{"rewrites": ["conv"]}', "holds no rewrites: Selection must be a table"),
        ('{"rewrites": [["conv"]]}', "is no pair of a site and its candidate"),
        ('{"rewrites": [["conv", 3]]}', "is no pair of a site and its candidate"),
        ('{"rewrites": [{"site": "conv", "chosen": "separable"}]}', "Selection lacks the option 'forms'"),
        ('{"rewrites": [{"site": 1, "chosen": "separable", "forms": []}]}', "Selection.site"),
    ],
)
def test_what_is_no_record_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rewrites.json"
    path.write_text(text)
    with pytest.raises(ArtifactError) as refused:
        read_choices(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)
    if text not in ("{", "[]"):
        assert "u3p-edge rewrite --out" in str(refused.value)


def test_a_missing_record_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"absent\.json does not exist"):
        read_choices(tmp_path / "absent.json")
    with pytest.raises(ArtifactError, match="is not a regular file"):
        read_choices(tmp_path)


def test_the_record_is_plain_json() -> None:
    value = json.loads(
        selections_to_json(
            (Selection("conv", "separable", (Candidate("reference", 8, 2.5), Candidate("winograd", refusal="no"))),)
        )
    )
    assert [form["name"] for form in value["rewrites"][0]["forms"]] == ["reference", "winograd"]
