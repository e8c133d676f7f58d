"""Export a trained UNet 3+ to files for devices, and print what each file costs.

    python examples/export_from_python.py run scans exported

`run` is a folder of `u3p-edge train`, or a .keras or .h5 file. `scans` holds images/ and masks/. A fourth argument is the
recipe: "exact", "balanced", "small" or a TOML file. Needs the extra `export`.
"""

from __future__ import annotations

import sys
from statistics import median

import u3p_edge as u3p


def main(model: str, data: str, out: str, recipe: str = "balanced") -> None:
    """Export, and print one line for each file."""
    done = u3p.export(model, data, out, recipe)
    print(f"file, MB, ms at one thread, Dice on the {done.result.data.split if done.result.data else 'test'} split")
    for file in done.result.artifacts:
        latency = file.latency(1)
        milliseconds = f"{median(latency.samples_ms):.2f}" if latency else "not timed"
        dice = file.accuracy.mean_dice if file.accuracy else None
        print(file.name, f"{file.bytes / 1e6:.2f}", milliseconds, "no truth" if dice is None else f"{dice:.3f}", sep=", ")
    print(*done.notes, sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
