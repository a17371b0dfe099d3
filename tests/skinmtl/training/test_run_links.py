"""A run's folder, a net and a data set may be somebody else's: through a link in them, or a name, no file of the user's
is written."""

from __future__ import annotations

import pytest

from caffe_files.errors import InputError
from skinmtl.scores.resumable import resumable_rows
from skinmtl.training import inputs, snapshots
from skinmtl.training.run_folder import LOCK, RunFolder

MINE = "mine\n"


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_text(MINE)
    return path


@pytest.mark.parametrize("name", [LOCK, "args.json", "log.csv", "best.caffemodel", "snapshots/.moved.solverstate"])
def test_a_run_is_not_gone_on_with_through_links(name, victim, tmp_path):
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    (run / name).symlink_to(victim)
    with pytest.raises(InputError, match=f"{name}: is a link"), RunFolder(run).locked():
        pass
    assert victim.read_text() == MINE


def test_the_lock_of_a_data_set_is_its_own(victim, tmp_path, small_set):
    """LMDB would cut the file to its own length and write its own numbers into it."""
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb" / "data.mdb").symlink_to(small_set.test / "image_lmdb" / "data.mdb")
    (tmp_path / "lmdb" / "lock.mdb").symlink_to(victim)
    with pytest.raises(InputError, match=r"lock.mdb: is a link"):
        inputs._entries(tmp_path / "lmdb", locks=True)
    assert victim.read_text() == MINE
    assert inputs._entries(tmp_path / "lmdb", locks=False)


def test_what_a_stopped_run_has_left_is_no_link(victim, tmp_path):
    (tmp_path / ".s.npz.progress").symlink_to(victim)
    with pytest.raises(InputError, match=r"is a link"), resumable_rows(tmp_path / "s.npz", {}, ["a"], 1):
        pass
    assert victim.read_text() == MINE


@pytest.mark.parametrize("name", ["", ".", "..", "/home/mine", "../../mine", "a\\nb", "a\\000b", "a" * 300])
def test_a_nets_name_leads_to_no_other_folder(name, tmp_path):
    """Snapshots are called by it, and what is there is overwritten."""
    net = tmp_path / "train.prototxt"
    net.write_text(f'name: "{name}"')
    with pytest.raises(InputError, match="by which no snapshot can be called"):
        snapshots.prefix_of(net, tmp_path)
    net.write_text('name: "tiny net"')
    assert snapshots.prefix_of(net, tmp_path) == tmp_path / "tiny net"
