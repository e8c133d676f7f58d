"""Compare this package with other toolkits: the same trained network and images through each, timed in one run.

    python -m benchmarks.peers ../shared/data/dsb2018_256

The float network is the reference of `python -m benchmarks.students` on the same data, or a run folder of `u3p-edge train`.
Each peer makes its file and runs it in a process of its own, and where its packages clash with others, in a virtual
environment of its own, which pip fills at the first run. What is made is not made again. A peer that cannot be installed,
cannot make its file or cannot run it becomes a row with its message.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.data_view import make_data_view
from benchmarks.lib.environment import results_folder
from benchmarks.peers.comparison import Comparison, save_comparison
from benchmarks.peers.material import write_material
from benchmarks.peers.measure import Task, measure_peers
from benchmarks.peers.registry import PEERS
from benchmarks.peers.report import describe
from benchmarks.students.study import REFERENCE
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.suite import EvaluationData
from u3p_edge.cli.progress import stages
from u3p_edge.files.atomic import write_text
from u3p_edge.pipeline.data import read_export_data
from u3p_edge.pipeline.source import read_source


def main() -> None:
    """Compare on the data folder of the command line, and keep the result."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="data folder")
    parser.add_argument("--model", type=Path, help="run folder of the float network (default: the reference of --students)")
    parser.add_argument(
        "--students", type=Path, default=Path("runs/students"), help="of benchmarks.students (default: %(default)s)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/peers"), help="where files go (default: %(default)s)")
    parser.add_argument("--only", default="", help="keys of peers, comma-separated, besides the reference (default: all)")
    parser.add_argument("--threads", default="1,2", help="numbers of threads to try (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="of timing (default: %(default)s)")
    given = parser.parse_args()
    folder, study = given.runs / given.data.name, given.students / given.data.name
    wanted = given.only.split(",") if given.only else [peer.key for peer in PEERS]
    peers = [PEERS[0], *(peer for peer in PEERS[1:] if peer.key in wanted)]
    with stages() as progress:
        source = read_source(given.model or study / REFERENCE)
        data = read_export_data(make_data_view(given.data, folder / "data"), source.metadata, progress)
        material = write_material(source, data, study, folder / "material")
        task = Task(material, data.val, data.test, source.metadata.labels, folder / "files", given.runs / "environments")
        threads = [int(count) for count in given.threads.split(",")]
        rows = measure_peers(peers, task, threads, given.rounds, progress)
    evaluated = EvaluationData(given.data.name, data.test_split, data.test).info()
    comparison = Comparison(typed_command("peers"), describe_environment(), evaluated, rows)
    kept = results_folder(f"peers_{given.data.name}")
    save_comparison(kept / "result.json", comparison)
    write_text(kept / "report.md", describe(comparison))
    print(describe(comparison))


if __name__ == "__main__":
    main()
