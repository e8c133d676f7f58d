"""`u3p-edge device profile`: how long layers take on this machine, as a table that pruning elsewhere goes by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.command import Command
from u3p_edge.cli.number_types import NumberName
from u3p_edge.cli.terminal import print_list, print_table
from u3p_edge.config.limits import MAX_THREADS

if TYPE_CHECKING:
    from u3p_edge.latency.table.table import LatencyTable
    from u3p_edge.tools.device_profile import ProfilePlan

device_app = typer.Typer(help="Measure a device.", no_args_is_help=True, rich_markup_mode=None)

BOUND = 0.15
"""Of the error of a whole network's predicted time; a table beyond it should be measured again."""


@device_app.callback()
def _device() -> None:
    """Measure a device."""


@device_app.command("profile", cls=Command)
def profile(
    model: Annotated[Path, typer.Argument(help="The network file of an export, before pruning.")],
    out: Annotated[Path, typer.Option(help="The table to write, JSON.")] = Path("device.json"),
    threads: Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Threads to time with.")] = 1,
    number: Annotated[NumberName, typer.Option(help="Number type to time in, whatever the file is in.")] = NumberName.INT8,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer channel counts and checks: sooner done, less exact.")] = False,
    any_size: Annotated[
        bool, typer.Option("--any-size", help="A table for networks of any size and width, as those that the package has.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget all that was timed before, for any model: this machine has changed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how much would be timed and how long it takes.")] = False,
) -> None:
    """Time the layers of a network in LiteRT on this device, each alone and at many channel counts.

    The table tells the milliseconds of that network and of every one with fewer channels, without running it: pruning on
    another machine goes by it. Run this on the phone, the Raspberry Pi or the cart itself; it needs no TensorFlow. With
    --any-size the table is for all networks: layers are timed over maps of several sizes.

    At the end whole networks of random widths are timed and compared with what the table says of them. What was timed is
    remembered, so an interrupted run goes on where it was; what other programs disturbed is timed again.

        u3p-edge device profile exported/network.int8.safetensors --out raspberry.json
        u3p-edge device profile exported/network.int8.safetensors --dry-run
    """
    from u3p_edge.cli.progress import stages
    from u3p_edge.latency.probe import Target
    from u3p_edge.tools import device_profile as device

    target = Target(number.value, threads)
    if dry_run:
        _announce(device.plan_profile(model, target, quick=quick, any_size=any_size))
        return
    with stages() as progress:
        table = device.profile(model, out, target, quick=quick, any_size=any_size, fresh=fresh, progress=progress)
    _show(table, out)


def _announce(plan: ProfilePlan) -> None:
    took = f"{plan.seconds:.0f} s" if plan.seconds < 120 else f"{plan.seconds / 60:.0f} minutes"
    print(
        f"{plan.kinds} kinds of layers at {plan.shapes} channel counts would be timed: about {took} on a quiet machine, and "
        "some whole networks after them. What was timed before is not timed again. Nothing was written."
    )


def _show(table: LatencyTable, out: Path) -> None:
    device = table.device
    where = f"{device.cpu}, {device.number} {device.runtime} {device.version}, {device.threads} thread"
    rows = [[c.name, f"{c.predicted_ms:.3f}", f"{c.measured_ms:.3f}", f"{c.error:+.1%}"] for c in table.checks]
    title = where + ("s" if device.threads > 1 else "")
    print_table(["network", "predicted, ms", "measured, ms", "error"], rows, title=title)
    print_list(_findings(table, out))


def _findings(table: LatencyTable, out: Path) -> list[str]:
    count, kinds = sum(len(layer.entries) for layer in table.layers), len({layer.key for layer in table.layers})
    findings = [
        f"{out}: {kinds} kinds of layers, {count} times. None of the networks above was used to fill it.",
        f"A convolution's time changes every {table.steps.outputs} output channels: widths that are multiples waste nothing.",
    ]
    if table.worst_error > BOUND:
        findings.append(
            f"**Predictions are off by up to {table.worst_error:.0%}.** Run again with --fresh"
            f"{'' if table.disturbed else ' and without --quick'}, on a device that does nothing else."
        )
    if table.disturbed:
        findings.append(f"{table.disturbed} times were taken while other programs slowed the machine, and may be too long.")
    return findings
