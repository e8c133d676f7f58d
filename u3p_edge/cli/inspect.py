"""`u3p-edge inspect`: what a model costs, stage by stage, and what its runtime makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.effect import refuse
from u3p_edge.cli.numbers import SizeOption, parse_size
from u3p_edge.cli.terminal import print_list, print_table
from u3p_edge.config.limits import MAX_MEMORY_MB, MAX_THREADS

if TYPE_CHECKING:
    from u3p_edge.report.inspection import Inspection, Table

LIMIT = 20


def inspect(
    context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(
            help="A .tflite file, a run folder of `u3p-edge export` or of `u3p-edge train`, or a .keras, .h5 or "
            "float .onnx file; the trained reference model of this package if not given."
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Count a float model as the int8 file it would become; a .tflite file is what it is.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also time every operator on this machine, beside the least it could take.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Threads to time with.")] = 1,
    max_memory_mb: Annotated[
        int,
        typer.Option(min=1, help="Refuse a file that would take more memory; a small one can ask for gigabytes."),
    ] = MAX_MEMORY_MB,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"Rows a table. Given, the heaviest operators are listed too. [default: {LIMIT}]"),
    ] = None,
    size: SizeOption = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run code that the Keras file holds, as its custom layers.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON: bytes, ms, every operator.")] = False,
) -> None:
    """Show where a model's arithmetic, memory and time go.

    Cost: multiply-accumulates (MAC), weights and activations by stage of the UNet 3+, or by operator where names tell no stage.

    Memory: the arena that a runtime packs the activations into, and which tensors fill it at the worst moment. It is what
    rewriting and spatial tiling bring down.

    XNNPACK: which operators of the TFLite file fall back to TFLite's own slow kernels.

    Needs no TensorFlow for a .tflite file. Exit code 2: bad input.

        u3p-edge inspect exported/model.int8.tflite --profile
    """
    from u3p_edge.cli.progress import stages
    from u3p_edge.report.inspection import to_dict
    from u3p_edge.tools.inspect import inspect as look

    if not profile:
        refuse(context, ("threads",), "is for timing, and nothing is timed", "Add --profile.")
    with stages() as progress:
        result = look(
            model,
            int8=int8,
            size=parse_size(size) if size else None,
            trust=trust,
            threads=threads,
            profile=profile,
            max_memory_mb=max_memory_mb,
            progress=progress,
        )
    if json:
        from json import dumps

        print(dumps(to_dict(result), indent=2))
    else:
        _show(result, limit)


def _show(result: Inspection, limit: int | None) -> None:
    from u3p_edge.report import inspection as tables

    print_list(tables.inspection_findings(result))
    rows = limit or LIMIT
    stages = tables.stage_table(result)
    if stages[1]:
        _print(stages)
    if limit or not stages[1]:
        _print(tables.node_table(result, rows))
    _print(tables.memory_table(result.memory, rows))
    if result.slow:
        _print(tables.slow_table(result.slow, rows))
    if result.profile:
        _print(tables.profile_table(result.profile, rows))


def _print(table: Table) -> None:
    header, rows = table
    print_table(header, rows, words={"stage", "node", "op", "operator", "operator gives", "alive at the peak"})
