"""The Docker image is built from docker/Dockerfile as it stands and does what docker/README.md says.

By hand, as root: pytest -m image. buildah stands in for docker, so that no daemon is needed; it takes minutes and 6 GB
below pytest's temporary folder (--basetemp names another).
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from conftest import ROOT

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    """Runs buildah on a store of its own, with no daemon and no mount; returns what it printed."""
    for program in ("buildah", "mmdebstrap"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if os.geteuid() != 0:
        pytest.skip("buildah without a container runtime needs root")
    store = tmp_path_factory.mktemp("store")
    options = ["--storage-driver", "vfs", "--root", str(store / "root"), "--runroot", str(store / "run")]

    def run(*arguments):
        done = subprocess.run(
            ["buildah", *options, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=str(ROOT),
        )
        print(done.stdout)
        assert done.returncode == 0, done.stdout[-2000:]
        return done.stdout.strip()

    yield run
    shutil.rmtree(str(store), ignore_errors=True)


@pytest.fixture(scope="module")
def base(buildah, tmp_path_factory):
    """A bare Debian 11, as debian:11-slim is, without a registry."""
    tree = tmp_path_factory.mktemp("base") / "debian.tar"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "bullseye", str(tree)], check=True)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, tree, "/")
    buildah("commit", "--quiet", "--rm", container, "localhost/debian-base")
    tree.unlink()
    return "localhost/debian-base"


@pytest.fixture(scope="module")
def image(buildah, base):
    buildah(
        *("bud", "--isolation", "chroot", "--build-arg", f"BASE={base}", "--ignorefile"),
        *("docker/Dockerfile.dockerignore", "-f", "docker/Dockerfile", "-t", "localhost/skinmtl", "."),
    )
    return "localhost/skinmtl"


@pytest.fixture(scope="module")
def in_image(buildah, image):
    """Runs a command in the image, as its default user unless another is given."""
    container = buildah("from", image)

    def run(*command, user=None):
        as_user = ["--user", user] if user else []
        return buildah("run", "--isolation", "chroot", *as_user, container, "--", *command)

    return run


def test_caffe_starts(in_image):
    assert "caffe version 1" in in_image("caffe", "--version")


def test_pycaffe_runs_a_net_on_openblas(in_image):
    script = (
        "import caffe, numpy; numpy.ones((9, 9)).dot(numpy.ones((9, 9)));"
        "print(caffe.layers.Input, 'libopenblas' in open('/proc/self/maps').read())"
    )
    assert in_image("python3", "-c", script).endswith("True")


def test_the_programs_have_the_names_they_have_outside_docker(in_image):
    names = ["caffe", "python3", "convert_imageset", "compute_image_mean", "extract_features", "pytest"]
    for name in names:
        assert in_image("sh", "-c", f"command -v {name}") == f"/usr/bin/{name}"


@pytest.mark.parametrize("user", [None, "4321:4321"])
def test_every_tool_starts_by_its_name_for_any_user(in_image, user):
    tools = sorted(path.name for path in (ROOT / "tools").glob("*.py") if os.access(str(path), os.X_OK))
    assert "make_folds.py" in tools
    for tool in tools:
        assert "usage: " + tool in in_image(tool, "--help", user=user)


def test_the_default_user_is_not_root_and_works_in_work(in_image):
    assert in_image("sh", "-c", "id -u; pwd; touch made && echo written").split() == ["1000", "/work", "written"]


def test_docker_stop_lets_caffe_take_its_snapshot(buildah, image):
    assert "SIGINT" in buildah("inspect", "--type", "image", "--format", "{{.OCIv1.Config.StopSignal}}", image)
