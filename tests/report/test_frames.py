"""A frame's parts and their sum, by median and tail."""

from __future__ import annotations

import dataclasses

from tests.support.sample_results import result
from u3p_edge.benchmark.result import Frames
from u3p_edge.report.frames import HEADER, MORE, PARTS, frame_rows, frame_table, frame_title
from u3p_edge.report.markdown import render


def test_parts_and_their_sum_in_each_frame() -> None:
    rows = frame_rows([1.0, 3.0, 2.0], [10.0, 10.0, 10.0], [3.0, 1.0, 2.0])
    assert [row[0] for row in rows] == list(PARTS)
    assert all(len(row) == len(HEADER) for row in rows)
    # Of three samples the 90th percentile lies 80 % of the way from the second to the third, the 99th 98 %.
    assert rows[0][1:] == ["2.00", "2.80", "2.98"]
    # What prepare takes more restore takes less, so every frame takes 14 ms.
    assert rows[3][1:] == ["14.00", "14.00", "14.00"]


def test_a_report_has_a_row_for_each_file_that_was_timed() -> None:
    value = result()
    assert frame_table(value)[1] == []
    assert frame_title(value) == ""
    assert "whole frame" not in render(value)
    frames = Frames(2, (480, 640), (1.0,) * 5, (2.0,) * 5, (3.5,) * 5)
    timed = dataclasses.replace(value.artifacts[1], frames=frames)
    value = dataclasses.replace(value, artifacts=(value.artifacts[0], timed))
    header, rows = frame_table(value)
    assert header == ["file", *PARTS, *MORE]
    # 2 of 6.5 ms are the network's, and 1000 / 6.5 frames fit into a second.
    parts = [f"{ms} / {ms} / {ms}" for ms in ("1.00", "2.00", "3.50", "6.50")]
    assert rows == [["model.int8.tflite", *parts, "31%", "154"]]
    text = render(value)
    assert "Milliseconds of a whole frame of 480x640 pixels" in text
    assert "| 6.50 / 6.50 / 6.50 | 31% | 154 |" in text
