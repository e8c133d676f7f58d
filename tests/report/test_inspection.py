"""The tables of an inspection say what its figures are."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from u3p_edge.latency.per_op import OpTime, Profile
from u3p_edge.report.inspection import (
    Alive,
    Inspection,
    MemoryUse,
    NodeCost,
    SlowOperator,
    by_stage,
    inspection_findings,
    memory_table,
    node_table,
    profile_table,
    slow_table,
    stage_of,
    stage_table,
    to_dict,
)

NODES = (
    NodeCost("enc1_conv1", "conv", (1, 8, 8, 4), 1_000_000_000, 2_000_000, 3_000_000),
    NodeCost("down1_pool", "max_pool", (1, 4, 4, 4), 0, 0, 500_000),
    NodeCost("dec1_from_dec2_up", "upsample", (1, 8, 8, 4), 0, 0, 4_000_000),
    NodeCost("dec1_fuse_conv", "conv", (1, 8, 8, 4), 3_000_000_000, 1_000_000, 1_000_000),
    NodeCost("mask", "activation", (1, 8, 8, 1), 0, 0, 250_000),
)
MEMORY = MemoryUse(6_000_000, "dec1_fuse_conv", (Alive("dec1_from_dec2_up", (1, 8, 8, 4), 4_000_000),))
ROWS = (
    OpTime("enc1_conv1", "CONV_2D", (1, 8, 8, 4), 1_000_000_000, 10.0, 5.0),
    OpTime("dec1_from_dec2_up", "RESIZE_BILINEAR", (1, 8, 8, 4), 0, 10.0, 0.0),
    OpTime("dec1_fuse_conv", "CONV_2D", (1, 8, 8, 4), 3_000_000_000, 20.0, 15.0),
)
PLAIN = Inspection("m.tflite", "int8", 3, NODES, MEMORY, (), None)
TIMED = replace(PLAIN, profile=Profile(ROWS, 41.5, 2e11, 2))


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("enc3_relu1", "encoder"),
        ("down4_conv", "encoder"),
        ("dec2_from_enc5_conv_rows", "decoder 2"),
        ("head1_conv", "heads"),
        ("head_of_dec2_fuse_relu_up", "heads"),
        ("stem_conv", "encoder"),
        ("output_de1", "heads"),
        ("mask", "heads"),
        ("cgm_pool", "heads"),
        ("conv2d_3", "elsewhere"),
        ("my_enc1", "elsewhere"),
    ],
)
def test_names_tell_the_stage(name: str, stage: str) -> None:
    assert stage_of(name) == stage


def test_stages_add_up() -> None:
    header, rows = stage_table(PLAIN)
    assert len(header) == 5
    assert rows == [
        ["encoder", "1.000", "25.0 %", "2.000", "3.50"],
        ["decoder 1", "3.000", "75.0 %", "1.000", "5.00"],
        ["heads", "0.000", "0.0 %", "0.000", "0.25"],
    ]


def test_times_stand_beside_their_stage() -> None:
    _, rows = stage_table(TIMED)
    assert [row[5:] for row in rows] == [["10.00", "5.00"], ["30.00", "15.00"], ["0.00", "0.00"]]


def test_names_that_tell_nothing_give_no_stages() -> None:
    nodes = tuple(replace(node, node=f"layer_{place}") for place, node in enumerate(NODES))
    assert by_stage(nodes) == {}
    assert stage_table(replace(PLAIN, nodes=nodes))[1] == []
    assert by_stage((*NODES, replace(NODES[0], node="extra"))) != {}, "one odd node is shown as such"


def test_the_heaviest_come_first_and_no_more_than_asked_for() -> None:
    assert [row[0] for row in node_table(PLAIN, 3)[1]] == ["dec1_fuse_conv", "enc1_conv1", "dec1_from_dec2_up"]
    assert [row[0] for row in profile_table(Profile(ROWS, 41.5, 2e11, 2), 1)[1]] == ["dec1_fuse_conv"]
    two = (SlowOperator("small", "RELU", (1, 2, 2, 1)), SlowOperator("large", "RELU", (1, 4, 4, 1)))
    assert [row[0] for row in slow_table(two, 1)[1]] == ["large"]
    assert memory_table(MEMORY, 5)[1] == [["dec1_from_dec2_up", "8x8x4", "4.00"]]


def test_the_findings_carry_the_figures() -> None:
    cost, memory, slow, time = inspection_findings(TIMED)
    for figure in ("4.000 GMAC", "3 parameters", "3.00 MB", "8.75 MB"):
        assert figure in cost
    assert "6.00 MB" in memory
    assert "takes every operator" in slow
    for figure in ("2 threads", "41.50 ms", "40.00 ms", "200 GMAC", "20.00 ms"):
        assert figure in time


def test_slow_operators_are_named_and_explained() -> None:
    _, _, slow = inspection_findings(
        replace(PLAIN, slow=(SlowOperator("a", "SOFTMAX", (1, 2)), SlowOperator("b", "RELU", (1, 2))))
    )
    assert "2 operators (RELU, SOFTMAX)" in slow
    assert "slower" in slow


def test_json_holds_every_figure() -> None:
    value = json.loads(json.dumps(to_dict(TIMED)))
    assert value["macs"] == 4_000_000_000
    assert value["stages"]["decoder 1"] == {"macs": 3_000_000_000, "weight_bytes": 1_000_000, "activation_bytes": 5_000_000}
    assert [node["node"] for node in value["nodes"]] == [node.node for node in NODES]
    assert value["memory"]["peak_bytes"] == 6_000_000
    assert value["profile"]["rows"][1]["ms"] == 10.0
