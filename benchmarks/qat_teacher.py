"""What a teacher is worth in quantization-aware training: labels alone, the network itself in float, or the original network.

    python -m benchmarks.qat_teacher 30 45

The embedded reference is pruned to each speed-up by the recipe `balanced`, which teaches it in float. Then it is trained on
under fake quantization with every teacher and every seed, with the options of an export, and its int8 file is scored on the
test split of the embedded images. Files and scores that are there are not made again. Kept in
benchmarks/results/<processor>/qat_teacher/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine, results_folder
from benchmarks.students.quantize import calibration_images
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.cli.progress import stages
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.files.atomic import make_folder, read_json, write_bytes, write_json, write_text
from u3p_edge.graph.scheme import Quantized
from u3p_edge.metrics import Scores, mean_over_foreground
from u3p_edge.pipeline.inputs import Inputs, read_inputs
from u3p_edge.pipeline.prune_model import prune
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.validation import file_scores, mean_dice, session_scores
from u3p_edge.progress import Progress, silent
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.quantization.qat import quantize_qat
from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.recipe import QuantizationOptions
from u3p_edge.report.markdown import table
from u3p_edge.runtime.keras import keras_session
from u3p_edge.training.losses import dice_cross_entropy

PTQ, LABELS, ITSELF, ORIGINAL = "no training (PTQ)", "labels alone", "itself", "the original network"
TEACHERS = (LABELS, ITSELF, ORIGINAL)


@dataclass(frozen=True)
class Ablation:
    """The original network with its data, its pruned networks by name, where files go, and how long training takes."""

    inputs: Inputs
    pruned: Mapping[str, Source]
    folder: Path
    epochs: int

    def score(self, name: str, teacher: str, seed: int) -> Scores:
        """Return Dice of an int8 file on the test split by group and class, which is made where it is not there."""
        stem = f"{name}_{teacher.replace(' ', '_')}_{self.epochs}_{seed}"
        kept = self.folder / f"{stem}.json"
        if not kept.exists():
            path = self.folder / f"{stem}.tflite"
            write_bytes(path, write_tflite(self._quantize(name, teacher, seed), self.inputs.original.metadata))
            write_json(kept, {"dice": file_scores(path, self.inputs.data.test, silent).tolist()})
        scores: Scores = np.array(read_json(kept)["dice"])
        return scores

    def _quantize(self, name: str, teacher: str, seed: int) -> Quantized:
        original, data, pruned = self.inputs.original, self.inputs.data, self.pruned[name]
        if teacher == PTQ:
            return quantize_ptq(pruned.graph, calibration_images(data))
        options = QuantizationOptions()
        return quantize_qat(
            pruned.model, data.train.images, data.train.labels,
            loss=dice_cross_entropy, epochs=self.epochs, learning_rate=options.qat_learning_rate, seed=seed,
            distillation=0.0 if teacher == LABELS else options.qat_distillation,
            teacher=original.model if teacher == ORIGINAL else None,
            validate=lambda model: mean_dice(session_scores(keras_session(model, original.metadata), data.val)),
        ).network  # fmt: skip


def train_all(ablation: Ablation, seeds: Sequence[int], progress: Progress) -> Mapping[str, list[Scores]]:
    """Return the scores by "NAME, TEACHER", one for each seed; post-training quantization has one."""
    step = progress("Train under fake quantization", len(ablation.pruned) * (1 + len(TEACHERS) * len(seeds)))
    scores: dict[str, list[Scores]] = {}
    for name in ablation.pruned:
        for teacher, each in ((PTQ, (0,)), *((teacher, tuple(seeds)) for teacher in TEACHERS)):
            for seed in each:
                scores.setdefault(f"{name}, {teacher}", []).append(ablation.score(name, teacher, seed))
                step(f"{name}, {teacher}")
    return scores


def list_rows(names: Sequence[str], scores: Mapping[str, list[Scores]]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table: Dice, by seed and mean, and the points ahead of the network as its own teacher."""
    for name in names:
        base = np.mean(scores[f"{name}, {ITSELF}"], axis=0)
        for teacher in (PTQ, *TEACHERS):
            each = scores[f"{name}, {teacher}"]
            ahead = estimate_loss(np.mean(each, axis=0), base)
            assert ahead is not None, "some patient has a foreground class"
            by_seed = ", ".join(f"{100 * float(mean_over_foreground(one)):.2f}" for one in each)
            mean = 100 * float(mean_over_foreground(np.mean(each, axis=0)))
            shown = "" if teacher == ITSELF else f"{ahead.estimate:+.2f} ({ahead.low:+.2f} to {ahead.high:+.2f})"
            yield name, teacher, f"{mean:.2f}", by_seed, shown


def main() -> None:
    """Train and score all, and write the report."""
    parser = make_parser(__doc__)
    parser.add_argument("speedups", type=float, nargs="+", help="against float32, to which networks are pruned")
    parser.add_argument("--seeds", default="0,1,2", help="of the order of images (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of training under fake quantization (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs/qat_teacher"), help="where files go (default: %(default)s)")
    given = parser.parse_args()
    command, seeds = typed_command("qat_teacher"), tuple(map(int, given.seeds.split(",")))
    make_folder(given.runs)
    with stages() as progress:
        pruned = {
            f"x{times:g}": prune(out=given.runs / f"x{times:g}", speedup=times, max_drop=100, progress=progress).source
            for times in given.speedups
        }
        inputs = read_inputs(None, None, build_recipe("balanced"), progress=progress)
        ablation = Ablation(inputs, pruned, given.runs, given.epochs)
        scores = train_all(ablation, seeds, progress)
    kept = results_folder("qat_teacher")
    plain = {name: [one.tolist() for one in each] for name, each in scores.items()}
    write_json(kept / "scores.json", {"command": command, "test_dice": plain})
    header = ("network", "learns from", "test Dice", "by seed", "points ahead of itself as the teacher (95 %)")
    test = inputs.data.test
    text = [
        "# Teachers of quantization-aware training, on the embedded nuclei",
        f"{given.epochs} epochs. Dice is of the foreground on the test split ({len(test.stems)} images, "
        f"{len(set(test.groups))} groups), the mean over seeds ({given.seeds}); intervals are paired 95 % bootstraps.",
        table(header, list(list_rows(tuple(pruned), scores))),
        f"{describe_machine(describe_environment())}. Command: `{command}`.",
    ]
    write_text(kept / "report.md", "\n\n".join(text) + "\n")
    print("\n\n".join(text))


if __name__ == "__main__":
    main()
