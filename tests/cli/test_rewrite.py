"""`rewrite` shows every form of every part with its cost, error or refusal, and writes a choice that `export` takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.command_line import QUICK, Program, left_in, refusal
from tests.support.small_artifacts import Zoo
from u3p_edge.cli.rewrite import _show
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.manifest import read_manifest
from u3p_edge.pipeline.choices import read_choices
from u3p_edge.rewriting.engine import REFERENCE, Candidate, Selection
from u3p_edge.rewriting.passes import RULES
from u3p_edge.tools.explain_rewrites import RewriteExplanation

PARTS = ("fine", "coarse", "mask_logits")
"""The zoo's convolutions."""
EXACT = {rule.name for rule in RULES}


@pytest.fixture(scope="module")
def model(keras_files: dict[str, Path]) -> Path:
    return keras_files[".keras"]


Row = tuple[str, ...]


def rows(printed: str) -> list[Row]:
    """The first table's cells (part, form, MMAC, ms, error), the part repeated on every row of its forms."""
    result: list[Row] = []
    lines = iter(printed.splitlines())
    start = next(line for line in lines if line.startswith(" part")).index("form")
    next(lines)
    for line in lines:
        if not line.strip():
            return result
        part, cells = line[:start].strip(), re.split(r" {2,}", line[start:].strip())
        result.append((part or result[-1][0], *cells, *[""] * (4 - len(cells))))
    raise AssertionError("the table does not end")


def test_the_help_teaches(program: Program) -> None:
    done = program("rewrite", "--help")
    text = " ".join(done.out.split())
    assert done.code == 0
    assert "Winograd's F(2, 3)" in text
    assert "What is not faster is not taken." in text
    assert "APPROXIMATE" in text
    assert re.search(r"^ +u3p-edge rewrite --explain", done.out, re.MULTILINE)


def test_explain_lists_every_form_of_every_part(program: Program, model: Path) -> None:
    done = program("rewrite", model, "--explain")
    assert done.code == 0, done.err
    table = rows(done.out)
    parts = list(dict.fromkeys(row[0] for row in table))
    assert tuple(parts) == PARTS
    for part in parts:
        own = [row for row in table if row[0] == part]
        names = [row[1].removesuffix(" ✓") for row in own]
        assert names[0] == REFERENCE
        assert set(names) <= {REFERENCE, *EXACT}
        assert len(names) == len(set(names))
        assert sum(row[1].endswith("✓") for row in own) == 1
        for name, (_, _, macs, milliseconds, error) in zip(names, own, strict=True):
            if len(own) == 1:  # nothing to choose from, so nothing was timed
                assert (macs, milliseconds, error) == ("", "", "")
                continue
            assert float(macs) > 0
            assert float(milliseconds) >= 0
            # Twelve roundings a product at most (test_rewriting), of a sum whose largest term is of the output's size.
            assert error == "" if name == REFERENCE else 0 <= float(error) < 9 * 8 * 12 * 2**-24
    refused = re.findall(r"^ (\S.*?) +(\d+)  (\S+): (.+?) *$", done.out, re.MULTILINE)
    assert {name for name, _, _, _ in refused} <= EXACT
    assert {part for _, _, part, _ in refused} <= set(parts)
    assert all(len(why) > 10 for *_, why in refused), "a reason in words"
    # Each part is every form's, possible or refused, or is not of the kind that the form is for.
    assert len(table) + sum(int(count) for _, count, _, _ in refused) > 2 * len(parts)
    assert all(len(line) <= 80 for line in done.out.splitlines() if "✓" in line), "a form is one line on a usual terminal"
    assert re.search(r"^\d of 3 parts are rewritten: the timed parts take [\d.]+ of [\d.]+ ms\.$", done.out, re.MULTILINE)


def test_without_explain_each_part_has_its_form_alone(program: Program, model: Path) -> None:
    done = program("rewrite", model, "--number", "float32")
    assert done.code == 0, done.err
    table = rows(done.out)
    assert len(table) == len({row[0] for row in table}) == len(PARTS)
    assert "float32 TFLite, 1 thread" in done.out


def test_energy_adds_the_approximate_form_with_its_error(program: Program, model: Path) -> None:
    done = program("rewrite", model, "--explain", "--energy", 0.5)
    assert done.code == 0, done.err
    errors = {row[0]: row[4] for row in rows(done.out) if row[1].startswith("low rank 0.5") and row[2]}
    # Half the energy of a kernel of rank 8 is lost: an error of the output's own size, not of rounding.
    assert max(float(error) for error in errors.values()) > 0.01


def test_what_is_written_is_taken_by_export(program: Program, model: Path, pictures: Path, tmp_path: Path) -> None:
    record, run, again = tmp_path / "rewrites.json", tmp_path / "run", tmp_path / "again"
    assert program("rewrite", model, "--out", record).code == 0
    # Another form than the fastest, so that a choice by time would show.
    value = json.loads(record.read_text())
    forced = [{**c, "chosen": c["forms"][1]["name"] if c["forms"][1]["macs"] else REFERENCE} for c in value["rewrites"]]
    record.write_text(json.dumps({"rewrites": forced}))
    pairs = tuple((choice.site, choice.chosen) for choice in read_choices(record))
    assert {chosen for _, chosen in pairs} & EXACT
    options = ("--data", pictures, "--formats", "tflite", *QUICK)
    done = program("export", model, *options, "--out", run, "--rewrites", record)
    assert done.code == 0, done.err
    assert "Choose rewrites" not in done.err
    assert "Exact rewrites, as recorded: " in (run / "report.md").read_text()
    assert read_manifest(run).rewrites == pairs
    # And from one export to the next, by its manifest.
    done = program("export", model, *options, "--out", again, "--rewrites", run / "manifest.json")
    assert done.code == 0, done.err
    assert read_manifest(again).rewrites == pairs
    assert (again / "model.float32.tflite").read_bytes() == (run / "model.float32.tflite").read_bytes()


# --- what is refused


@pytest.mark.parametrize("energy", [0, 1, -0.5, 1.5])
def test_a_share_that_is_none_is_refused(program: Program, energy: object) -> None:
    assert "is not a share of a kernel. Give a number between 0 and 1." in refusal(program("rewrite", "--energy", energy))


def test_a_missing_model_is_named_and_nothing_written(program: Program, tmp_path: Path) -> None:
    message = refusal(program("rewrite", tmp_path / "absent.keras", "--out", tmp_path / "rewrites.json"))
    assert message == f"the model {tmp_path / 'absent.keras'} does not exist"
    assert left_in(tmp_path) == []


def test_a_model_of_another_kind_is_refused(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    refusal(program("rewrite", zoo.path("int8.tflite"), "--out", tmp_path / "rewrites.json"))
    refusal(program("rewrite", tmp_path))
    assert left_in(tmp_path) == []


def test_an_unknown_number_type_or_no_thread_ends_with_2(program: Program) -> None:
    for options in (("--number", "int4"), ("--threads", 0)):
        done = program("rewrite", *options)
        assert (done.code, "Traceback" in done.err) == (2, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tiles", 2, "--memory-budget-mb", 4), "exclude each other"),
        (("--memory-budget-mb", 0), "tiling.memory_budget_mb cannot be 0. It is above 0."),
        (("--memory-budget-mb", "nan"), "--memory-budget-mb cannot be nan"),
        (("--rewrites", "absent.json"), "absent.json does not exist"),
        (("--rewrites", "{record}", "--no-rewrite"), "recorded rewrites and no rewriting exclude each other"),
        (("--rewrites", "{empty}"), "has an empty list of rewrites"),
        (("--rewrites", "{other}"), "the recorded choice 'separable' for 'elsewhere' does not fit this model"),
        (("--tiles", 40), "the model cannot run in 40 tiles"),
    ],
)
def test_exports_options_that_exclude_each_other_or_do_not_fit(
    program: Program, model: Path, pictures: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    files = {name: tmp_path / f"{name}.json" for name in ("record", "empty", "other")}
    files["record"].write_text('{"rewrites": [["a", "separable"]]}')
    files["empty"].write_text('{"rewrites": []}')
    files["other"].write_text('{"rewrites": [["elsewhere", "separable"]]}')
    typed = [str(option).format(**files) for option in options]
    arguments = ("--data", pictures, "--formats", "tflite", "--out", tmp_path / "out", *QUICK)
    assert message in refusal(program("export", model, *arguments, *typed))
    assert left_in(tmp_path / "out") == []


def test_a_dry_run_says_what_becomes_of_the_network(program: Program, model: Path, pictures: Path) -> None:
    for options, said in (
        ((), "exact forms chosen by milliseconds, tiles by the memory plan"),
        (("--tiles", 2), "exact forms chosen by milliseconds, 2 tiles"),
        (("--memory-budget-mb", 1.5), "exact forms chosen by milliseconds, tiles for 1.5 MB"),
        (("--no-rewrite",), "rewrite no"),
    ):
        done = program("export", model, "--data", pictures, "--dry-run", *options)
        assert (done.code, said in done.out) == (0, True), done


def test_the_reasons_of_one_part_are_shown_in_full(program: Program, model: Path) -> None:
    whole = program("rewrite", model, "--explain")
    part = rows(whole.out)[-1][0]
    done = program("rewrite", model, "--explain", "--part", part)
    assert {row[0] for row in rows(done.out)} == {part}
    assert "because" in done.out
    assert part in refusal(program("rewrite", model, "--explain", "--part", "nowhere"))
    assert "Add --explain." in refusal(program("rewrite", model, "--part", part))


def test_names_and_reasons_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich reads [words] as markup; a name may hold them."""
    forms = (Candidate(REFERENCE, 1_000_000, 1.0), Candidate("separable", refusal="it is [red] and [1, 2]"))
    empty = Graph((Node("image", "input", attrs={"shape": (None, 1, 1, 1)}),), ("image",), ("image",))
    result = RewriteExplanation(empty, (Selection("conv[bold]", REFERENCE, forms),), {})
    for parts in ((), ("conv[bold]",)):
        _show(result, True, parts, "here")
        message = capsys.readouterr().out
        assert "conv[bold]" in message
        assert "it is [red] and [1, 2]" in message
