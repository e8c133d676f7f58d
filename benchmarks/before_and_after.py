"""Compare the files that two versions of this package write for the same networks: time and size, in one run.

    python -m benchmarks.before_and_after BEFORE AFTER --rounds 101

BEFORE and AFTER are folders with .tflite files of the same names, which hold the same network. The two files of a name take
turns at one thread in one process, so a busy minute slows both alike. Kept in benchmarks/results/<processor>/before_and_after/
with all samples.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine, results_folder
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.cli.progress import stages
from u3p_edge.files.atomic import write_json, write_text
from u3p_edge.latency.clock import interleave, milliseconds
from u3p_edge.manifest import sha256_of
from u3p_edge.progress import Progress
from u3p_edge.runtime.tflite_raw import open_raw


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The two files of one network.

    Args:
        name: of the files.
        sha256: of the file before and after.
        bytes: size of the file before and after.
        samples_ms: of one run of the file before and after, a sample each in every round.
    """

    name: str
    sha256: tuple[str, str]
    bytes: tuple[int, int]
    samples_ms: tuple[tuple[float, ...], ...]

    @property
    def row(self) -> str:
        """The line of a Markdown table: what the file after costs as a share of the file before."""
        before, after = self.samples_ms
        change = ratio(after, before)
        size = self.bytes[1] / self.bytes[0]
        return f"| {self.name} | {change.estimate:.4f} ({change.low:.4f} to {change.high:.4f}) | {size:.4f} |"


def compare(before: Path, after: Path, rounds: int, progress: Progress) -> Comparison:
    """Time two files of one network in turns; `progress` shows the rounds."""
    runs = [partial(milliseconds, open_raw(path.read_bytes(), 1).run, warm_up=True) for path in (before, after)]
    samples = interleave(runs, lambda done: len(done) < rounds, step=progress(f"Time {before.name}", rounds)).samples
    sizes = (before.stat().st_size, after.stat().st_size)
    return Comparison(before.name, (sha256_of(before), sha256_of(after)), sizes, samples)


def main() -> None:
    """Compare every file that both folders of the command line hold."""
    parser = make_parser(__doc__)
    parser.add_argument("before", type=Path, help="folder of .tflite files of the version before")
    parser.add_argument("after", type=Path, help="folder of those of this version")
    parser.add_argument("--rounds", type=int, default=101, help="interleaved rounds (default: %(default)s)")
    given = parser.parse_args()
    names = sorted(path.name for path in given.before.glob("*.tflite") if (given.after / path.name).is_file())
    with stages() as progress:
        found = [compare(given.before / name, given.after / name, given.rounds, progress) for name in names]
    kept, environment, command = results_folder("before_and_after"), describe_environment(), typed_command("before_and_after")
    files = [dataclasses.asdict(one) for one in found]
    write_json(kept / "result.json", {"command": command, "environment": dataclasses.asdict(environment), "files": files})
    header = "| file | time after / before (95 %) | size after / before |\n|---|---:|---:|"
    table = "\n".join([header, *(one.row for one in found)])
    ran = f"{describe_machine(environment)}, {', '.join(environment.features)}; one thread. Command: `{command}`."
    write_text(kept / "report.md", f"# Files of two versions for the same networks\n\n{table}\n\n{ran}\n")
    print(table)


if __name__ == "__main__":
    main()
