"""The PyTorch image is built from docker/Dockerfile on a bare Debian 12, with the PyTorch that pip gives this Python.

By hand, as root: pytest -m image tests/docker/test_image_torch.py, with Python 3.11, which Debian 12 has too. Where pip
prefers a PyTorch without CUDA (a +cpu wheel in PIP_FIND_LINKS, say), it takes 4 GB and minutes, otherwise 20 GB and
more.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT
from image_building import Buildah, Container, short_demo, tools_of_the_clone

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the wheels are fetched for this Python, and the image has Python 3.11")
    buildah = Buildah(tmp_path_factory.mktemp("store"))
    yield buildah
    buildah.close()


@pytest.fixture(scope="module")
def image(buildah, tmp_path_factory):
    """pip runs outside, as this machine is set up for it, and in the build takes what it fetched."""
    wheels = tmp_path_factory.mktemp("wheels")
    requirements = ROOT / "docker" / "requirements-torch.txt"
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "--requirement"]
    subprocess.run([*fetch, str(requirements)], check=True)
    settings = wheels / "pip.conf"
    settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    volumes = ["--volume", f"{wheels}:/wheels:ro", "--volume", f"{settings}:/etc/pip.conf:ro"]
    return buildah.build("torch", buildah.make_base("bookworm"), *volumes)


@pytest.fixture(scope="module")
def container(buildah, image):
    return Container(buildah, image)


def test_it_checks_itself(container):
    report = container.run("check_image.sh")
    assert "PyTorch 2" in report and "no GPU was given to this container" in report
    assert "a small net runs on the CPU" in report


def test_every_tool_starts_by_its_name_for_a_user_whom_the_image_does_not_know(container):
    assert container.usages_of_tools("4321:4321") == tools_of_the_clone()


def test_the_demo_runs_for_another_user_and_a_stop_leaves_a_snapshot(container, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    said = container.run("sh", "-c", short_demo("caffe-torch train", "--engine torch"), user="4321:4321", work=work)
    assert "mAP-class" in said and "24 images" in said
    assert list(work.glob("tiny_mtl_iter_*.solverstate"))


def test_it_asks_for_gpus_and_is_stopped_as_caffe_is(buildah, image, container):
    assert buildah.inspect(image, "OCIv1.Config.StopSignal") == "SIGINT"
    assert container.run("printenv", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES").split() == [
        "all",
        "compute,utility",
    ]
