"""Weights of PyTorch come as PyTorch wrote them; nothing in the file runs; every refusal is one sentence."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.torch_files import TORCH_FILES, dictionary, save_archive, tensor, text, whole
from u3p_edge.errors import ModelError
from u3p_edge.importing.pytorch.checkpoint import read_checkpoint

ONES = np.ones(6, "<f4").tobytes()


def test_a_wrapped_state_dict_is_the_same_as_safetensors() -> None:
    """Both are of one model: one by PyTorch's pickle within a training's dictionary, the other by safetensors."""
    wrapped = read_checkpoint(TORCH_FILES / "supervised_wrapped.pth")
    plain = read_checkpoint(TORCH_FILES / "supervised.safetensors")
    assert set(wrapped) == set(plain)
    for name, array in plain.items():
        assert array.dtype == wrapped[name].dtype
        np.testing.assert_array_equal(array, wrapped[name])
    assert plain["outconv5.weight"].shape == (1, 16, 3, 3)
    assert plain["conv1.conv1.1.num_batches_tracked"].dtype == np.int64


def test_prefixes_are_left_out_and_half_becomes_float32() -> None:
    weights = read_checkpoint(TORCH_FILES / "gated_parallel_half.pt")
    assert "conv1.conv1.0.weight" in weights
    assert weights["cls.1.weight"].dtype == np.float32
    assert weights["cls.1.weight"].shape == (2, 16, 1, 1)


@pytest.mark.parametrize("place", ["state_dict", "model_state_dict", "model", "net"])
def test_the_usual_places(tmp_path: Path, place: str) -> None:
    inner = b"}(" + text("module.model.a") + tensor((2, 3), (3, 1), 6) + b"u"
    path = save_archive(tmp_path / "m.pth", dictionary(epoch=whole(3), **{place: inner}), {"0": ONES})
    weights = read_checkpoint(path)
    assert list(weights) == ["a"]
    np.testing.assert_array_equal(weights["a"], np.ones((2, 3)))


def test_strides_offsets_and_bfloat16(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4")
    path = save_archive(tmp_path / "m.pth", dictionary(a=tensor((2, 2), (1, 2), 6, offset=1)), {"0": numbers.tobytes()})
    np.testing.assert_array_equal(read_checkpoint(path)["a"], [[1, 3], [2, 4]])
    upper = numbers.view("<u4") >> 16  # small whole numbers have no lower bits
    data = {"0": upper.astype("<u2").tobytes()}
    path = save_archive(tmp_path / "b.pth", dictionary(a=tensor((6,), (1,), 6, kind="BFloat16Storage")), data)
    np.testing.assert_array_equal(read_checkpoint(path)["a"], numbers)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old_format.pth", "has the format of PyTorch before 1.6.*Save it again"),
        ("whole_model.pth", r"names 'torch\.nn\.modules\.activation\.ReLU'.*Save the weights alone: torch\.save"),
        ("script.pt", "is a TorchScript program, not weights"),
        ("plain.npz", "is a zip archive, and not one of torch.save"),
        ("ORIGIN.txt", "is not a file of PyTorch"),
        ("none.pth", "cannot be read: No such file"),
    ],
)
def test_other_files_are_refused(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=f"{name}: it {message}"):
        read_checkpoint(TORCH_FILES / name)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.97])
@pytest.mark.parametrize("name", ["plain.pth", "supervised.safetensors"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    data = (TORCH_FILES / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=f"{name}: it is (empty|truncated|damaged|not a file)"):
        read_checkpoint(tmp_path / name)


class Attack:
    """Runs a command when Python's own pickle reads it."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_call_is_refused_by_name_and_not_made(tmp_path: Path, protocol: int) -> None:
    sprung = tmp_path / "sprung"
    data = pickle.dumps({"state_dict": Attack(os.mkdir, str(sprung))}, protocol)
    path = save_archive(tmp_path / "m.pth", data)
    with pytest.raises(ModelError, match=r"m\.pth: it(s pickle uses| names 'posix\.mkdir', which is not data of weights)"):
        read_checkpoint(path)
    assert not sprung.exists()
    pickle.loads(data)
    assert sprung.exists(), "the attack is one"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02cbuiltins\neval\n(X\x01\x00\x00\x001tR.", r"names 'builtins\.eval'"),
        (b"\x80\x04" + text("builtins") + text("exec") + b"\x93.", r"names 'builtins\.exec'"),
        (b"\x80\x02ctorch.storage\n_load_from_bytes\n.", r"names 'torch\.storage\._load_from_bytes'"),
        (b"\x80\x02cos\nsystem\n)\x81.", r"names 'os\.system'"),
        (b"(i__builtin__\ndir\n.", "its pickle uses INST"),
        (b"\x80\x02\x82\x01.", "its pickle uses EXT1"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "its pickle is damaged .what it calls is not a function"),
        (b"\x80\x02h\x05.", "its pickle is damaged"),
        (b"\x80\x02R.", "its pickle is damaged .a value is missing"),
        (b"\x80\x02u.", "its pickle is damaged .a mark is missing"),
        (b"\x80\x02]X\x01\x00\x00\x00aX\x01\x00\x00\x00bs.", "its pickle is damaged .list in place of dict"),
        (b"\x80\x02]]QX.", "its pickle is damaged"),
        (b"\x80\x02]", "its pickle is damaged .pickle exhausted before seeing STOP"),
        (b"\x80\x02}.", "holds no dictionary of weights"),
        (dictionary(epoch=whole(1)), "holds no dictionary of weights; its keys are 'epoch'"),
    ],
    ids=repr,
)
def test_a_hostile_or_damaged_pickle_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_checkpoint(save_archive(tmp_path / "m.pth", data))


def test_a_pickle_that_takes_the_memory_or_for_ever_does_neither(tmp_path: Path) -> None:
    """Python's own unpickler makes a table as long as the highest number, and hashes nested tuples along every path."""
    numbered = b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b"."
    with pytest.raises(ModelError, match="holds no dictionary of weights"):
        read_checkpoint(save_archive(tmp_path / "memo.pth", numbered))
    nested = b"\x80\x02})" + b"2\x86" * 60 + b"Ns."
    nested_by_memo = b"\x80\x02})" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)) + b"Ns."
    for data in (nested, nested_by_memo):
        with pytest.raises(ModelError, match=r"its pickle (uses DUP|is damaged .a key is tuple)"):
            read_checkpoint(save_archive(tmp_path / "tuples.pth", data))
    endless = b"\x80\x02}q\x00" + text("state_dict") + b"h\x00s."
    with pytest.raises(ModelError, match="holds no dictionary of weights"):
        read_checkpoint(save_archive(tmp_path / "endless.pth", endless))


@pytest.mark.parametrize(
    "described",
    [
        tensor((2**30,), (0,), 6),
        tensor((7,), (1,), 6),
        tensor((2, 3), (3, 1), 6, offset=1),
        tensor((2, 2), (5, 1), 6),
        tensor((6,), (1,), 2**30),
        tensor((6,), (1,), 6, kind="DoubleStorage"),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path, described: bytes) -> None:
    path = save_archive(tmp_path / "m.pth", dictionary(**{"conv.weight": described}), {"0": ONES})
    with pytest.raises(ModelError, match=r"'conv\.weight' of shape .* does not fit its storage of 24 bytes"):
        read_checkpoint(path)


def test_negative_sizes_are_refused(tmp_path: Path) -> None:
    path = save_archive(tmp_path / "m.pth", dictionary(a=tensor((-1,), (1,), 6)), {"0": ONES})
    with pytest.raises(ModelError, match=r"a tensor has the shape \(-1,\)"):
        read_checkpoint(path)


def test_members_that_unpack_to_more_than_the_file_are_refused(tmp_path: Path) -> None:
    pickled = dictionary(a=tensor((2**20,), (1,), 2**20))
    path = save_archive(tmp_path / "m.pth", pickled, {"0": bytes(2**22)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="members would be larger than the file"):
        read_checkpoint(path)


def test_a_storage_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'archive/data/0' is not in the archive"):
        read_checkpoint(save_archive(tmp_path / "m.pth", dictionary(a=tensor((6,), (1,), 6))))
