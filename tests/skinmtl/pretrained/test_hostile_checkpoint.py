"""A small .pth can ask for any time and any memory: it is read in a process of its own first, with limits."""

from __future__ import annotations

import time

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.pretrained import checkpoint_trial
from skinmtl.pretrained.checkpoint import read_checkpoint

torch = pytest.importorskip("torch")
DOUBLED = b"h\x00h\x00\x86q\x00"  # a tuple of the last tuple twice, which becomes the last


def test_a_file_whose_fault_takes_for_ever_to_tell_is_given_up(tmp_path, monkeypatch):
    """200 bytes that call a tuple of 2^40 numbers, which PyTorch's message would show."""
    path = tmp_path / "hang.pth"
    path.write_bytes(b"\x80\x02K\x01\x85q\x00" + DOUBLED * 40 + b")R.")
    monkeypatch.setattr(checkpoint_trial, "SECONDS", 8)
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"hang.pth: (PyTorch has not read it in 8 seconds|no checkpoint that can be)"):
        read_checkpoint(path)
    assert time.monotonic() - begun < 60


def test_a_tensor_that_is_larger_than_its_file_takes_no_memory(tmp_path):
    path = tmp_path / "wide.pth"
    torch.save({"w": torch.zeros(1, dtype=torch.float16).expand(1 << 36)}, str(path))  # 128 GB as float32
    with pytest.raises(InputError, match=r"wide.pth: .*(memory|no plain array)"):
        read_checkpoint(path)


def test_a_sound_checkpoint_is_read_as_before(tmp_path):
    path = tmp_path / "sound.pth"
    torch.save({"w": torch.arange(6).reshape(2, 3).float()}, str(path))
    np.testing.assert_array_equal(read_checkpoint(path).tensors["w"], [[0, 1, 2], [3, 4, 5]])
