"""The table of what pruning took from each part says what the channels and the milliseconds are, for any names."""

from __future__ import annotations

import json

import pytest

from u3p_edge.report.pruning_table import PruningRow, as_values, part_of, pruning_rows, pruning_table

BEFORE = {
    "image": 1, "enc1_conv1": 8, "enc1_relu1": 8, "enc1_conv2": 8, "down1_pool": 8, "enc2_conv1": 16, "enc2_conv2": 16,
    "dec2_from_enc2_conv": 4, "dec2_concat": 4, "dec2_fuse_conv": 20,
    "dec1_from_dec2_up": 20, "dec1_from_dec2_conv": 4, "dec1_from_enc1_conv": 4, "dec1_concat": 8, "dec1_fuse_conv": 20,
    "head1_conv": 1, "mask": 1,
}  # fmt: skip
AFTER = {
    "image": 1, "enc1_conv1": 6, "enc1_relu1": 6, "enc1_conv2": 5, "down1_pool": 5, "enc2_conv1": 16, "enc2_conv2": 12,
    "dec2_from_enc2_conv": 3, "dec2_fuse_conv": 17,
    "dec1_from_enc1_conv": 4, "dec1_fuse_conv": 12,
    "head1_conv": 1, "mask": 1,
}  # fmt: skip
BEFORE_MS = {
    "enc1_conv1": 0.5, "enc1_conv2": 1.0, "down1_pool": 0.25, "enc2_conv1": 0.5, "enc2_conv2": 0.5,
    "dec2_from_enc2_conv": 0.25, "dec2_concat": 0.125, "dec2_fuse_conv": 1.0,
    "dec1_from_dec2_up": 0.5, "dec1_from_dec2_conv": 1.5, "dec1_from_enc1_conv": 1.0, "dec1_concat": 0.5, "dec1_fuse_conv": 4.0,
    "head1_conv": 0.125, "mask": 0.125,
}  # fmt: skip
AFTER_MS = {
    "enc1_conv1": 0.375, "enc1_conv2": 0.5, "down1_pool": 0.125, "enc2_conv1": 0.5, "enc2_conv2": 0.25,
    "dec2_from_enc2_conv": 0.125, "dec2_fuse_conv": 0.75, "dec1_from_enc1_conv": 1.0, "dec1_fuse_conv": 1.5,
    "head1_conv": 0.125, "mask": 0.125,
}  # fmt: skip


@pytest.mark.parametrize(
    ("node", "part"),
    [
        ("enc1_conv1", "enc1_conv1"),
        ("enc3_relu1", "enc3_conv1"),
        ("enc3_conv1_rows", "enc3_conv1"),
        ("enc3_norm2", "enc3_conv2"),
        ("enc3_shortcut_conv", "enc3_conv2"),
        ("enc3_add", "enc3_conv2"),
        ("down4_pool", "enc5_conv1"),
        ("down4_conv", "down4"),
        ("down4_norm", "down4"),
        ("dec1_from_enc5_up", "dec1_from_enc5"),
        ("dec1_from_enc5_conv_cols", "dec1_from_enc5"),
        ("dec1_from_enc5", "dec1_from_enc5"),
        ("dec2_from_dec4_relu", "dec2_from_dec4"),
        ("dec1_concat", "dec1_fuse"),
        ("dec1_fuse_conv", "dec1_fuse"),
        ("head2_up", "heads"),
        ("output_de2", "heads"),
        ("mask", "heads"),
        ("cgm_conv", "heads"),
        ("conv2d_3", "conv2d_3"),
        ("encoder1_conv1", "encoder1_conv1"),
        ("decoder", "decoder"),
        ("my_dec1_fuse_conv", "my_dec1_fuse_conv"),
    ],
)
def test_names_tell_the_part(node: str, part: str) -> None:
    assert part_of(node) == part


def test_every_part_has_its_last_map_s_channels_and_all_its_time() -> None:
    assert pruning_rows(BEFORE, AFTER, BEFORE_MS, AFTER_MS) == (
        PruningRow("enc1_conv1", 8, 6, 0.5, 0.375),
        PruningRow("enc1_conv2", 8, 5, 1.0, 0.5),
        PruningRow("enc2_conv1", 16, 16, 0.75, 0.625),
        PruningRow("enc2_conv2", 16, 12, 0.5, 0.25),
        PruningRow("dec2_from_enc2", 4, 3, 0.25, 0.125),
        PruningRow("dec2_fuse", 20, 17, 1.125, 0.75),
        PruningRow("dec1_from_dec2", 4, 0, 2.0, None),
        PruningRow("dec1_from_enc1", 4, 4, 1.0, 1.0),
        PruningRow("dec1_fuse", 20, 12, 4.5, 1.5),
        PruningRow("heads", 1, 1, 0.25, 0.25),
        PruningRow(
            "total",
            8 + 8 + 16 + 16 + 4 + 20 + 4 + 4 + 20 + 1,
            6 + 5 + 16 + 12 + 3 + 17 + 0 + 4 + 12 + 1,
            sum(BEFORE_MS.values()),
            sum(AFTER_MS.values()),
        ),
    )


def test_a_lost_branch_has_no_channels_and_a_dash_for_its_time() -> None:
    lines = pruning_table(pruning_rows(BEFORE, AFTER, BEFORE_MS, AFTER_MS)).splitlines()
    assert lines[0] == "| part | channels before | channels after | ms before | ms after |"
    assert "| dec1_from_dec2 | 4 | 0 | 2.000 | – |" in lines
    assert lines[-1] == "| total | 101 | 76 | 11.875 | 5.375 |"
    assert len(lines) == 2 + 10 + 1


def test_counts_of_convolutions_alone_give_the_same_channels() -> None:
    made = [
        {name: count for name, count in each.items() if name.endswith(("conv", "conv1", "conv2"))} for each in (BEFORE, AFTER)
    ]
    mine, whole = (pruning_rows(*each, BEFORE_MS, AFTER_MS) for each in (made, (BEFORE, AFTER)))
    assert mine == whole


def test_without_times_there_are_only_channels() -> None:
    found = pruning_rows(BEFORE, AFTER, {}, {})
    assert found[0] == PruningRow("enc1_conv1", 8, 6, None, None)
    assert pruning_table(found).splitlines()[-1] == "| total | 101 | 76 | – | – |"


def test_the_order_of_parts_does_not_depend_on_the_graph_s() -> None:
    names = [
        "dec1_fuse_conv",
        "mask",
        "down1_conv",
        "enc2_conv1",
        "dec1_from_enc1_conv",
        "dec4_fuse_conv",
        "enc1_conv2",
        "enc10_add",
    ]
    found = [row.part for row in pruning_rows(dict.fromkeys(names, 1), {}, {}, {})]
    assert found == [
        "enc1_conv2", "down1", "enc2_conv1", "enc10_conv2", "dec4_fuse", "dec1_from_enc1", "dec1_fuse", "heads", "total",
    ]  # fmt: skip


def test_nodes_of_other_networks_are_their_own_parts_behind_the_known() -> None:
    found = pruning_rows(
        {"x": 3, "b": 8, "a": 4, "r": 4}, {"x": 3, "b": 2, "a": 4, "r": 4}, {"a": 1.5, "only_timed": 0.5}, {"a": 1.0}
    )
    assert found == (
        PruningRow("b", 8, 2, None, None),
        PruningRow("a", 4, 4, 1.5, 1.0),
        PruningRow("only_timed", 0, 0, 0.5, None),
        PruningRow("total", 12, 6, 2.0, 1.0),
    )


def test_names_with_a_bar_do_not_break_the_table() -> None:
    assert "| a\\|b | 2 | 1 | – | – |" in pruning_table(pruning_rows({"a|b": 2}, {"a|b": 1}, {}, {}))


def test_rows_are_plain_values_for_json() -> None:
    found = as_values(pruning_rows(BEFORE, AFTER, BEFORE_MS, AFTER_MS))
    assert json.loads(json.dumps(found)) == found
    assert found[6] == {
        "part": "dec1_from_dec2", "channels_before": 4, "channels_after": 0, "ms_before": 2.0, "ms_after": None,
    }  # fmt: skip


def test_nothing_gives_a_total_of_nothing() -> None:
    assert pruning_rows({}, {}, {}, {}) == (PruningRow("total", 0, 0, None, None),)
