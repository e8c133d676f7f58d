"""The page of a history: what changed at which commit, and every figure over the commits. It makes no request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from u3p_edge.benchmark.change_points import ChangePoint
from u3p_edge.benchmark.history import HistoryEntry
from u3p_edge.benchmark.series import MachineTrend, Series
from u3p_edge.report.html_parts import make_page, make_paragraph, make_rows, show_plot
from u3p_edge.report.trend_plot import SHORT, draw_trend
from u3p_edge.text import to_html

CHANGES = ("file", "figure", "commit", "date", "before", "after", "change", "versions that changed with it")
LATEST = ("file", "figure", "value", "unit", "95 % interval", "commit", "commits")

EXPLANATION = (
    "A change is found where the level before and the level after differ by a t-test (p below 0.001), so it shows only once "
    "three commits have the new level. Figures of two kinds of machines are never joined."
)


def change_rows(trends: Sequence[MachineTrend]) -> list[list[str]]:
    """Return the cells of a table of all changes below `CHANGES`, the newest first."""
    changes = [(trend, series, change) for trend in trends for series in trend.series for change in series.changes]
    newest_first = sorted(changes, key=lambda one: _entry(*one).commit.date, reverse=True)
    return [_change_cells(*one) for one in newest_first]


def describe_changes(trends: Sequence[MachineTrend]) -> str:
    """Return in a sentence how many changes there are, and in what."""
    series = [series for trend in trends for series in trend.series]
    commits = len({entry.commit.name for trend in trends for entry in trend.entries})
    worse = sum(one.is_worse(change) for one in series for change in one.changes)
    count = sum(len(one.changes) for one in series)
    what = f"{len(series)} figures over {_count(commits, 'commit')} on {_count(len(trends), 'kind')} of machine"
    return f"{_count(count, 'change')}, {worse} for the worse, in {what}." if count else f"No change in {what}."


def render_trend(trends: Sequence[MachineTrend], title: str = "u3p-edge history") -> str:
    """Return the page as HTML: a table of changes, then for each kind of machine the latest figures and their plots.

    Args:
        trends: of every kind of machine.
        title: its first heading.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    rows = change_rows(trends)
    body = [f'<p class="first">{to_html(describe_changes(trends))}</p>', make_paragraph(EXPLANATION)]
    body += ["<h2>Changes</h2>", make_rows(CHANGES, rows, "Changes")] if rows else []
    for number, trend in enumerate(trends):
        body += _show_machine(trend, f"machine{number}")
    return make_page(title, body)


def _show_machine(trend: MachineTrend, name: str) -> Iterator[str]:
    e = trend.entries[-1].environment
    cores = _count(e.cores, "core")
    yield f"<h2>{to_html(f'{e.cpu}, {cores}')}</h2>"
    first, last = (trend.entries[end].commit for end in (0, -1))
    ends = (f"{commit.name[:SHORT]} ({_day(commit.date)})" for commit in (first, last))
    span = f"{_count(len(trend.entries), 'commit')}, {' to '.join(ends)}"
    libraries = ", ".join(f"{library} {version}" for library, version in e.libraries)
    yield make_paragraph(f"{span}. {e.machine}, {e.system}; Python {e.python}, {libraries}.")
    yield make_rows(LATEST, [_latest_cells(trend, series) for series in trend.series], f"Latest figures on {e.cpu}")
    for number, (title, group) in enumerate(groupby(trend.series, key=lambda series: series.last.title)):
        yield f"<h3>{to_html(title)}</h3>"
        yield show_plot(draw_trend(trend, list(group)), f"{name}plot{number}", f"{title} of every file, commit after commit")


def _change_cells(trend: MachineTrend, series: Series, change: ChangePoint) -> list[str]:
    commit = _entry(trend, series, change).commit
    verdict = "worse" if series.is_worse(change) else "better"
    values = (f"{value:.4g} {series.last.unit}" for value in (change.before, change.after))
    growth = f"{change.growth:+.1%}, {verdict}"
    versions = _changed_versions(trend, series, change)
    return [series.last.file, series.last.title, commit.name[:SHORT], _day(commit.date), *values, growth, versions]


def _entry(trend: MachineTrend, series: Series, change: ChangePoint) -> HistoryEntry:
    """Return the first commit of the new level."""
    return trend.entries[series.positions[change.index]]


def _changed_versions(trend: MachineTrend, series: Series, change: ChangePoint) -> str:
    """Return the libraries whose versions differ between the last commit of the old level and the first of the new one."""
    before, after = (trend.entries[series.positions[index]].environment for index in (change.index - 1, change.index))
    old, new = (dict([*e.libraries, ("Python", e.python), ("system", e.system)]) for e in (before, after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {old.get(name, '–')} → {new.get(name, '–')}" for name in names) or "–"


def _latest_cells(trend: MachineTrend, series: Series) -> list[str]:
    last, commit = series.last, trend.entries[series.positions[-1]].commit
    interval = "–" if last.low == last.high else f"{last.low:.4g} to {last.high:.4g}"
    return [last.file, last.title, f"{last.value:.4g}", last.unit, interval, commit.name[:SHORT], str(len(series.figures))]


def _day(date: str) -> str:
    return date.partition("T")[0]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
