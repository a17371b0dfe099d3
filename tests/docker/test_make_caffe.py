"""docker/make_caffe.sh, which makes .caffe/: the list of its packages, and when it stops."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT
from processes import run

SCRIPT = ROOT / "docker" / "make_caffe.sh"
PACKAGES = ROOT / "docker" / "packages.txt"
MADE_FROM = [PACKAGES, ROOT / "docker" / "run_in_place.sh"]
ORDINARY = "cat cmp cp cut dirname du env grep id mkdir mktemp mv paste rm sed setsid sh sleep tail touch tr"


class TestPackageList:
    def test_it_has_one_debian_package_a_line_in_sorted_groups(self):
        names, previous = [], ""
        for line in PACKAGES.read_text().splitlines():
            if line.startswith("#"):
                previous = ""
                continue
            assert line == "".join(c for c in line if c.isalnum() or c in "+-."), f"not one package: {line!r}"
            assert previous < line, f"{line} is not in order"
            previous = line
            names.append(line)
        assert len(names) == len(set(names))

    def test_the_threaded_openblas_and_pycaffe_are_in_it(self):
        assert {"caffe", "python3-caffe", "libopenblas0-pthread"} <= set(PACKAGES.read_text().split())

    def test_the_image_is_made_from_the_same_list(self):
        assert "cpu) engine=caffe list=packages.txt" in (ROOT / "docker" / "install.sh").read_text()


class TestScript:
    """docker/make_caffe.sh with stand-ins for the programs it calls: no package is fetched."""

    @pytest.fixture()
    def programs(self, tmp_path):
        """A PATH with the ordinary programs; add(name, text) puts a stand-in before them, None takes one away."""
        folder = tmp_path / "programs"
        folder.mkdir()
        for name in ORDINARY.split():
            found = shutil.which(name)
            if found is None:
                pytest.skip(f"{name} is not installed")
            (folder / name).symlink_to(found)

        def add(name, text):
            if (folder / name).is_symlink():
                (folder / name).unlink()
            if text is not None:
                (folder / name).write_text("#!/bin/sh\n" + text + "\n")
                (folder / name).chmod(0o755)

        add.path = str(folder)
        add("uname", "echo Linux x86_64")
        return add

    @pytest.fixture()
    def make(self, programs, tmp_path):
        def make(target=None, **settings):
            return run(SCRIPT, target or tmp_path / "env", env=dict({"PATH": programs.path}, **settings))

        return make

    @pytest.fixture()
    def keyring(self):
        if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
            pytest.skip("debian-archive-keyring is not installed")

    def left(self, tmp_path):
        return sorted(path.name for path in tmp_path.iterdir() if path.name != "programs")

    def one_line(self, done):
        assert done.returncode == 1
        lines = [line for line in done.stderr.splitlines() if line.startswith("make_caffe.sh: ")]
        assert len(lines) == 1 and done.stderr.splitlines()[-1] == lines[0]
        return lines[0]

    def test_a_second_run_does_nothing(self, make, tmp_path):
        target = tmp_path / "env"
        target.mkdir()
        for source in MADE_FROM:
            shutil.copy(str(source), str(target))
        (target / "mine").write_text("kept")
        done = make()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert sorted(path.name for path in target.iterdir()) == ["mine", "packages.txt", "run_in_place.sh"]

    @pytest.mark.parametrize("changed", MADE_FROM, ids=lambda source: source.name)
    def test_a_change_of_what_it_is_made_from_makes_it_anew(self, make, programs, keyring, tmp_path, changed):
        target = tmp_path / "env"
        target.mkdir()
        for source in MADE_FROM:
            (target / source.name).write_text(source.read_text() + ("older\n" if source == changed else ""))
        programs("mmdebstrap", "exit 1")
        assert "Making" in make().stdout

    def test_a_user_without_mmdebstrap_is_told_what_to_install(self, make, programs, tmp_path):
        programs("id", "echo 1000")
        programs("apt-get", "exit 1")
        message = self.one_line(make())
        assert "apt-get install mmdebstrap debian-archive-keyring" in message and "Docker" in message
        assert self.left(tmp_path) == []

    def test_root_on_debian_or_ubuntu_needs_to_install_nothing_first(self, make, programs, tmp_path):
        programs("id", "echo 0")
        programs("apt-get", f"echo \"apt-get $*\"; [ $1 = update ] || echo done >'{tmp_path}/programs/installed'")
        make()
        assert (tmp_path / "programs" / "installed").exists()
        programs("apt-get", "echo 'E: Unable to locate package mmdebstrap'; exit 100")
        done = make()
        assert "apt-get cannot install mmdebstrap" in self.one_line(done)
        assert "E: Unable to locate package mmdebstrap" in done.stderr
        assert self.left(tmp_path) == []

    def test_another_system_is_told_what_to_install(self, make, tmp_path):
        message = self.one_line(make())
        assert "install mmdebstrap and debian-archive-keyring" in message and "Docker" in message
        assert self.left(tmp_path) == []

    def test_another_machine_type_is_told_to_use_docker(self, make, programs, tmp_path):
        programs("uname", "echo Linux aarch64")
        message = self.one_line(make())
        assert "aarch64" in message and "Docker" in message
        assert self.left(tmp_path) == []

    @pytest.mark.parametrize(
        ("log", "says"),
        [
            ("Err:1 x bullseye Release  404  Not Found", "no longer has Debian 11"),
            ("Could not resolve 'x'", "cannot be reached"),
            ("E: The repository 'x bullseye InRelease' is not signed.", "is not signed by Debian's keys"),
            ("E: Release file for x is expired (invalid since 3d).", "past its date"),
            ("tar: ./usr: Cannot write: No space left on device", "the disk is full"),
            ("something new", "mmdebstrap failed as shown above"),
        ],
    )
    def test_a_failure_ends_in_one_clear_line_and_leaves_nothing(self, make, programs, keyring, tmp_path, log, says):
        programs("mmdebstrap", f"cat <<'LOG'\n{log}\nLOG\nexit 1")
        done = make()
        assert says in self.one_line(done)
        assert log in done.stderr
        assert self.left(tmp_path) == []

    def test_a_failure_of_the_mirror_names_the_variable_that_sets_another(self, make, programs, keyring):
        programs("mmdebstrap", "echo 404; exit 1")
        assert "set CAFFE_MIRROR" in self.one_line(make())

    def test_an_archive_may_be_expired_but_not_unsigned(self, make, programs, keyring):
        programs("mmdebstrap", 'for word; do echo "<$word>"; case $word in *.list) cat "$word" ;; esac; done; exit 1')
        log = make(CAFFE_MIRROR="file:/no/archive/debian").stderr
        assert '<--aptopt=Acquire::Check-Valid-Until "false">' in log
        assert "\ndeb file:/no/archive/debian bullseye main\n" in log
        assert "AllowInsecure" not in log and "trusted=yes" not in log
        assert "<--keyring=/usr/share/keyrings/debian-archive-keyring.gpg>" in log
        assert "Check-Valid-Until" not in make().stderr

    @pytest.mark.parametrize("sources", ["/a/file/of.sources", "deb http://mirror.example/debian bullseye main"])
    def test_what_is_no_url_is_mmdebstraps_to_understand(self, make, programs, keyring, sources):
        programs("mmdebstrap", 'for word; do echo "<$word>"; done; exit 1')
        assert f"<{sources}>" in make(CAFFE_MIRROR=sources).stderr

    def test_a_failure_leaves_an_old_environment_as_it_was(self, make, programs, keyring, tmp_path):
        (tmp_path / "env").mkdir()
        (tmp_path / "env" / "packages.txt").write_text("an older list\n")
        programs("mmdebstrap", "exit 1")
        self.one_line(make())
        assert (tmp_path / "env" / "packages.txt").read_text() == "an older list\n"

    @pytest.mark.parametrize("old", [False, True])
    def test_a_finished_one_takes_its_place_whole(self, programs, keyring, tmp_path, old):
        folder = tmp_path / "docker"
        folder.mkdir()
        shutil.copy(str(SCRIPT), str(folder))
        shutil.copy(str(PACKAGES), str(folder))
        (folder / "run_in_place.sh").write_text('#!/bin/sh\ntouch "$1/checked"\n')
        (folder / "run_in_place.sh").chmod(0o755)
        programs("mmdebstrap", 'for word; do case $word in */tree) mkdir "$word" ;; esac; done')
        if old:
            (tmp_path / "env").mkdir()
            (tmp_path / "env" / "older").touch()
        done = run(folder / SCRIPT.name, tmp_path / "env", env={"PATH": programs.path})
        assert done.returncode == 0, done.stderr
        assert f"{tmp_path}/env is ready" in done.stdout
        made = sorted(path.name for path in (tmp_path / "env").iterdir())
        assert made == ["checked", "packages.txt", "run_in_place.sh"]
        assert self.left(tmp_path) == ["docker", "env"]

    def test_what_a_killed_run_left_is_cleared_away(self, make, programs, keyring, tmp_path):
        (tmp_path / "env.partial.99999999" / "tree").mkdir(parents=True)
        programs("mmdebstrap", "exit 1")
        make()
        assert self.left(tmp_path) == []

    @pytest.mark.parametrize("signal", ["TERM", "HUP", "INT"])
    def test_a_signal_ends_it_at_once_and_leaves_nothing(self, make, programs, keyring, tmp_path, signal):
        programs("mmdebstrap", f"trap '' TERM INT HUP; touch '{tmp_path}/programs/begun'; sleep 60")
        command = ["env", f"--default-signal={signal}", str(SCRIPT), str(tmp_path / "env")]
        if run("env", "--default-signal=INT", "true").returncode:
            command = command[2:]  # an older env; the signals have their default already unless the caller ignores them
        started = time.time()
        process = subprocess.Popen(command, env={"PATH": programs.path}, stdout=subprocess.DEVNULL)
        while not (tmp_path / "programs" / "begun").exists():
            time.sleep(0.05)
            assert time.time() - started < 20
        refused = self.one_line(make())
        assert f"process {process.pid} is making" in refused
        run("kill", "-s", signal, process.pid)
        assert process.wait(timeout=20) == {"HUP": 129, "INT": 130, "TERM": 143}[signal]
        assert self.left(tmp_path) == []
