"""`u3p-edge rewrite`: which exact forms a model's convolutions get on this machine, and what each form costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.number_types import NumberName
from u3p_edge.cli.numbers import SizeOption, parse_size
from u3p_edge.cli.terminal import plain_text, print_table, say
from u3p_edge.config.limits import MAX_THREADS

if TYPE_CHECKING:
    from rich.text import Text

    from u3p_edge.rewriting.engine import Candidate, Selection
    from u3p_edge.tools.explain_rewrites import RewriteExplanation


def rewrite(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder of `u3p-edge train`, a tf_keras .keras or .h5 file, or a float .onnx file; none for the embedded "
            "model."
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every form of every part, and why the others are not possible.")
    ] = False,
    part: Annotated[
        list[str] | None, typer.Option(help="Show this part alone, with every reason; repeat for several. With --explain.")
    ] = None,
    number: Annotated[NumberName, typer.Option(help="Number type to time the forms in.")] = NumberName.INT8,
    threads: Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Threads to time them at.")] = 1,
    energy: Annotated[
        float | None,
        typer.Option(
            help="Also show the low-rank form that keeps this share (below 1) of a kernel. APPROXIMATE: export's "
            "verification refuses what moves the float result."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the choice to this file, for `u3p-edge export --rewrites`.")] = None,
    size: SizeOption = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run code that the Keras file holds.")] = False,
) -> None:
    """Time the exact forms of every convolution in TFLite on this machine, and say which one each gets.

    A form is the same function computed another way: products at low resolution before an upsampling, Winograd's F(2, 3),
    a kernel in two factors. What is not faster is not taken. `u3p-edge export` does the same by itself; this command shows
    why, and can write the choice down for a machine that should not measure.

        u3p-edge rewrite --explain
        u3p-edge rewrite --explain --part dec1_fuse
        u3p-edge rewrite RUN --number float32 --out rewrites.json
    """
    from u3p_edge.cli.progress import stages
    from u3p_edge.errors import ConfigError, ModelError
    from u3p_edge.run_folder import check_output_file

    if part and not explain:
        raise ConfigError("--part shows what --explain shows of one part", mend="Add --explain.")
    if energy is not None and not 0 < energy < 1:
        raise ConfigError(f"--energy {energy:g} is not a share of a kernel", mend="Give a number between 0 and 1.")
    if model is not None and not model.exists():
        raise ModelError(f"the model {model} does not exist")
    if out is not None:
        check_output_file(out)
    with stages() as progress:
        progress("Load TensorFlow", 0)
        from u3p_edge.latency.probe import Target
        from u3p_edge.pipeline.choices import selections_to_json
        from u3p_edge.pipeline.source import read_source
        from u3p_edge.recipes.recipe import ModelOptions
        from u3p_edge.tools.explain_rewrites import explain_rewrites as explained

        source = read_source(model, ModelOptions(size=parse_size(size) if size else ()), trust=trust)
        explanation = explained(source.graph, Target(number.value, threads), energy, progress)
    names = {choice.site for choice in explanation.choices}
    if unknown := sorted(set(part or ()) - names):
        raise ConfigError(f"--part {unknown[0]}: the model has no such part", mend=f"It has {', '.join(sorted(names))}.")
    _show(explanation, explain, part or (), f"{number.value} TFLite, {threads} thread{'s' if threads > 1 else ''}")
    if out is not None:
        from u3p_edge.files.atomic import write_text

        write_text(out, selections_to_json(explanation.choices))


def _show(explanation: RewriteExplanation, every: bool, parts: Collection[str], where: str) -> None:
    from u3p_edge.rewriting.engine import REFERENCE

    choices = [choice for choice in explanation.choices if not parts or choice.site in parts]
    rows = [
        _row(explanation, choice, form, every)
        for choice in choices
        for form in choice.forms
        if (form.name == choice.chosen if not every else not form.refusal)
    ]
    print_table(["part", "form", "MMAC", "ms", "error"], rows, title=f"Exact forms, {where}", words={"part", "form"})
    if every:
        _show_refusals(choices, bool(parts))
    timed = [c for c in explanation.choices if c.forms[0].milliseconds is not None]
    before = sum(c.forms[0].milliseconds or 0.0 for c in timed)
    after = sum(form.milliseconds or 0.0 for c in timed if (form := c.form(c.chosen)) is not None)
    count = sum(c.chosen != REFERENCE for c in explanation.choices)
    say(f"{count} of {len(explanation.choices)} parts are rewritten: the timed parts take {after:.1f} of {before:.1f} ms.")


def _row(explanation: RewriteExplanation, choice: Selection, form: Candidate, every: bool) -> tuple[str | Text, ...]:
    first = not every or form is choice.forms[0]
    taken = form.name == choice.chosen
    error = explanation.errors.get((choice.site, form.name))
    return (
        choice.site if first else "",
        plain_text(f"{form.name} ✓", "bold") if taken and every else form.name,
        "" if form.macs is None else f"{form.macs / 1e6:.1f}",
        "" if form.milliseconds is None else f"{form.milliseconds:.2f}",
        "" if error is None else f"{error:.1e}",
    )


def _show_refusals(choices: Sequence[Selection], each: bool) -> None:
    """Why forms do not apply: of every part, or one line a form with one of its reasons."""
    refused = [(choice.site, form) for choice in choices for form in choice.forms if form.refusal]
    if each:
        print_table(
            ["part", "not possible", "because"],
            [[site, form.name, form.refusal] for site, form in refused],
            words={"part", "not possible", "because"},
        )
        return
    first: dict[str, tuple[str, str]] = {}
    for site, form in reversed(refused):
        first[form.name] = site, form.refusal
    counts = Counter(form.name for _, form in refused)
    rows = [[name, str(counts[name]), f"{site}: {why}"] for name, (site, why) in sorted(first.items())]
    header = ["not possible", "parts", "because, for example in"]
    print_table(header, rows, words={header[0], header[2]})
    if rows:
        say("The reasons of one part: --explain --part NAME.")
