"""report.html: the report as one page that needs no network, with its plots and pictures inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

from u3p_edge.benchmark.result import RunResult
from u3p_edge.report.findings import list_findings
from u3p_edge.report.headline import headline
from u3p_edge.report.html_parts import make_list, make_page, make_paragraph, make_rows, show_picture, show_plot, to_sentence
from u3p_edge.report.latency_plot import draw_latencies
from u3p_edge.report.markdown import summary_header, summary_rows
from u3p_edge.report.operators import draw_operators
from u3p_edge.report.pareto import draw_pareto
from u3p_edge.report.sections import Section, describe_circumstances, describe_columns, list_details, list_timings
from u3p_edge.text import to_html

NO_PLOTS = "Plots are left out: matplotlib is not installed. Run: python -m pip install 'u3p-edge[export]'"


@dataclass(frozen=True)
class Plot:
    """A plot of a page.

    Args:
        name: unique in the page, of letters.
        heading: its title.
        svg: the document.
        alt: what it shows, for a reader who cannot see it.
    """

    name: str
    heading: str
    svg: bytes
    alt: str


def render_html(
    result: RunResult,
    *,
    title: str = "u3p_edge report",
    notes: Sequence[str] = (),
    pictures: Mapping[str, bytes] = MappingProxyType({}),
    samples: str = "",
    worst: str = "",
    sections: Sequence[Section] = (),
    first: str = "",
    plots: Sequence[Plot] = (),
) -> str:
    """Return the report as one page of HTML: what `markdown.render` says, and plots and pictures. It makes no request.

    Args:
        result: result of one run.
        title: first heading.
        notes: sentences on how the files came about; those with bold words go first.
        pictures: PNG files by name.
        samples: name of the picture of samples; empty for none.
        worst: likewise, of the worst groups.
        sections: further sections.
        first: the first line; empty for `headline`.
        plots: further plots.
    """
    table = Section("All files", describe_columns(result), summary_header(result), summary_rows(result))
    parts = [
        f'<p class="first">{to_sentence(line)}</p>' if (line := first or headline(result)) else "",
        make_list([to_sentence(text) for text in list_findings(result, notes)]),
        *_show(table, pictures),
        *_show_plots(result, plots),
    ]
    for section in (*list_timings(result), *sections, *list_details(result, samples=samples, worst=worst)):
        parts += _show(section, pictures)
    where = [*map(to_sentence, describe_circumstances(result)), *_identities(result)]
    return make_page(title, [part for part in (*parts, "<h2>Where and how</h2>", make_list(where)) if part])


def draw_plots(result: RunResult) -> tuple[Plot, ...]:
    """Draw Dice against latency, how latencies are distributed, and the operators of reference and int8 file, where measured.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    drawn = (
        (
            "pareto",
            "Dice against latency",
            draw_pareto(result),
            "mean Dice against milliseconds of every file, as in the tables",
        ),
        ("latency", "Distribution of latencies", draw_latencies(result), "milliseconds of every round, as in the table"),
        ("operators", "Operators before and after", draw_operators(result), "milliseconds by kind, as in the table"),
    )
    return tuple(Plot(name, heading, svg, alt) for name, heading, svg, alt in drawn if svg is not None)


def _show_plots(result: RunResult, more: Sequence[Plot]) -> list[str]:
    """Return the plots; without matplotlib, which a device does not have, a sentence that says so."""
    if find_spec("matplotlib") is None:
        return [make_paragraph(NO_PLOTS)]
    plots = (*draw_plots(result), *more)
    return [part for p in plots for part in (f"<h2>{p.heading}</h2>", show_plot(p.svg, p.name, p.alt))]


def _show(section: Section, pictures: Mapping[str, bytes]) -> list[str]:
    parts = [f"<h2>{to_html(section.heading)}</h2>"]
    parts += [make_rows(section.header, section.rows, section.heading)] if section.rows else []
    parts += [make_paragraph(section.text)] if section.text else []
    return [*parts, show_picture(pictures[section.picture], section.alt)] if section.picture else parts


def _identities(result: RunResult) -> list[str]:
    """Return the sha256 of every file, and the command, in HTML."""
    files = [f"{to_html(a.name)}: sha256 <code>{to_html(a.sha256)}</code>." for a in result.artifacts]
    return [*files, f"Command: <code>{to_html(result.command)}</code>."] if result.command else files
