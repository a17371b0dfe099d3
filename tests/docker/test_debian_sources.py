"""docker/debian_sources.sh: what a mirror, an archive of old releases or a dated snapshot has of a release."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPT = ROOT / "docker" / "debian_sources.sh"

pytestmark = pytest.mark.skipif(not Path("/usr/lib/apt/apt-helper").exists(), reason="needs apt")


def sources(mirror, release="bullseye", *components):
    done = subprocess.run(
        [str(SCRIPT), str(mirror), release, *(components or ("main",))], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture()
def suites(tmp_path):
    """Lays suites out below a folder, as a mirror does, and returns the folder's URL."""

    def lay(*paths):
        for path in paths:
            (tmp_path / path).mkdir(parents=True)
            (tmp_path / path / "InRelease").write_text("signed\n")
        return f"file:{tmp_path}"

    return lay


def test_the_archive_has_updates_and_security_updates(suites):
    url = suites(
        "archive/debian/dists/bullseye",
        "archive/debian/dists/bullseye-updates",
        "archive/debian-security/dists/bullseye-security",
    )
    for mirror in (f"{url}/archive/debian", f"{url}/archive/debian/"):
        done = sources(mirror)
        assert done.stdout.splitlines() == [
            f"deb {url}/archive/debian bullseye main",
            f"deb {url}/archive/debian bullseye-updates main",
            f"deb {url}/archive/debian-security bullseye-security main",
        ]
        assert done.stderr == ""


def test_debian_10s_security_updates_have_their_older_name(suites):
    url = suites("debian/dists/buster", "debian-security/dists/buster/updates")
    assert sources(f"{url}/debian", "buster", "main", "contrib").stdout.splitlines() == [
        f"deb {url}/debian buster main contrib",
        f"deb {url}/debian-security buster/updates main contrib",
    ]


def test_a_dated_snapshot_has_those_of_its_date(suites):
    date = "20250520T000000Z"
    url = suites(f"debian/{date}/dists/bullseye", f"debian-security/{date}/dists/bullseye-security")
    assert f"deb {url}/debian-security/{date} bullseye-security main" in sources(f"{url}/debian/{date}").stdout


@pytest.mark.parametrize("place", ["debian", "mirrors/linux"])
def test_a_mirror_without_them_is_said(suites, place):
    mirror = f"{suites(f'{place}/dists/bullseye')}/{place}"
    done = sources(mirror)
    assert done.stdout == f"deb {mirror} bullseye main\n"
    assert done.stderr == (
        f"debian_sources.sh: no security updates of bullseye beside {mirror}: going on without them\n"
    )


def test_no_mirrors_host_is_written_in_the_project():
    for path in [ROOT / "Makefile", ROOT / ".ci/run", *(ROOT / "docker").glob("*.*")]:
        assert not re.search(r"(deb|security|archive|snapshot)\.debian\.org", path.read_text()), path
