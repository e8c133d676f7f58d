"""`u3p-edge verify`: is a run folder what its export left? One line a check; the exit code says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.terminal import say
from u3p_edge.config.limits import MAX_MEMORY_MB

if TYPE_CHECKING:
    from u3p_edge.tools.verification.check import RunCheck

FAILED = 1
"""Exit code where a check failed."""

SIGNS = {"passed": ("✓", "green"), "failed": ("✗", "bold red"), "left out": ("–", "yellow")}


def verify(
    run: Annotated[Path, typer.Argument(help="Run folder of `u3p-edge export`; of `u3p-edge train`, its sha256 are checked.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data folder of the export; the embedded images if not given and the export was measured on them."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The float model that was exported; the embedded one if not given and that was exported."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the checks as JSON.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run code that the Keras file holds, as its custom layers.")] = False,
    max_memory_mb: Annotated[
        int,
        typer.Option(min=1, help="Do not run a file that would take more memory; a small one can ask for gigabytes."),
    ] = MAX_MEMORY_MB,
) -> None:
    """Check a run folder: hashes, lineage, bill of materials, model card, report, and that its files compute what they should.

    The model files are run again, on the test images of the export where they are there. The int8 files are written anew from
    the network in integers and compared. What cannot be checked here, because a package or the data is missing, is said.

    It shows that the files are those that the documents name. It does not show who made them: nothing is signed. Exit code 0:
    no check failed. 1: a check failed. 2: not a run folder, or bad input.

        u3p-edge verify exported

        u3p-edge verify exported --data scans --model run
    """
    from u3p_edge.cli.progress import stages
    from u3p_edge.files.atomic import write_json
    from u3p_edge.run_folder import check_output_file
    from u3p_edge.tools.verification.verify import verify as look

    if json is not None:
        check_output_file(json)
    with stages() as progress:
        result = look(run, data, model, trust=trust, max_memory_mb=max_memory_mb, progress=progress)
    for check in result.checks:
        _show(check)
    if json is not None:
        write_json(json, {**dataclasses.asdict(result), "passed": result.passed})
    if not result.passed:
        raise typer.Exit(FAILED)


def _show(check: RunCheck) -> None:
    sign, style = SIGNS[check.outcome]
    for number, detail in enumerate(check.details):
        name = check.name if number == 0 else ""
        say(f"{sign if name else ' '} {name:<17} {detail}", style if check.outcome == "failed" else "")
