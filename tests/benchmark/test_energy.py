"""Energy by the processor's counters, from a folder that is laid out as Linux lays them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from u3p_edge.benchmark.energy import Energy, find_counters, measure_energy
from u3p_edge.errors import ConfigError

WRAPS = 1_000_000


def write_counter(folder: Path, microjoules: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "max_energy_range_uj").write_text(f"{WRAPS}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def test_packages_are_counted_and_not_their_parts(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "dtpm"):
        write_counter(tmp_path / name, 5)
    assert [counter.path.parent.name for counter in find_counters(tmp_path)] == ["intel-rapl:0", "intel-rapl:1"]
    assert [(counter.wraps, counter.read()) for counter in find_counters(tmp_path)] == [(WRAPS, 5)] * 2


def test_where_one_cannot_be_read_there_is_no_energy(tmp_path: Path) -> None:
    assert find_counters(tmp_path / "absent") == ()
    write_counter(tmp_path / "intel-rapl:0", 5)
    write_counter(tmp_path / "intel-rapl:1", 5).unlink()
    assert find_counters(tmp_path) == ()


def test_the_energy_of_a_run_is_what_the_counters_gain_over_their_wrap(tmp_path: Path) -> None:
    path = write_counter(tmp_path / "intel-rapl:0", WRAPS - 25)

    def use(microjoules: int) -> None:
        path.write_text(str((int(path.read_text()) + microjoules) % WRAPS))

    frugal, hungry = measure_energy([lambda: use(10), lambda: use(30)], find_counters(tmp_path), 2, rounds=5, seconds=0)
    assert frugal == Energy((10e-6,) * 5, 2)
    assert hungry.joules == pytest.approx((30e-6,) * 5)


@pytest.mark.parametrize("joules", [(), (-1.0,), (float("nan"),)])
def test_energies_that_cannot_be_are_refused(joules: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="energy"):
        Energy(joules, 1)
