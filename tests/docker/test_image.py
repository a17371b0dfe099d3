"""The CPU image is built from docker/Dockerfile as it stands and does what docs/docker.md says.

By hand, as root: pytest -m image tests/docker/test_image.py. It takes minutes and 5 GB below pytest's temporary folder
(--basetemp names another).
"""

from __future__ import annotations

import pytest
from image_building import Buildah, Container, short_demo, tools_of_the_clone

import skinmtl

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    buildah = Buildah(tmp_path_factory.mktemp("store"))
    yield buildah
    buildah.close()


@pytest.fixture(scope="module")
def image(buildah):
    return buildah.build("cpu", buildah.make_base("bullseye"), "--build-arg", "REVISION=1234abc")


@pytest.fixture(scope="module")
def container(buildah, image):
    return Container(buildah, image)


def test_it_checks_itself(container):
    report = container.run("check_image.sh")
    assert "caffe version 1" in report and "layers in Python run in caffe" in report
    assert "/openblas-pthread/" in report and "a small net runs on the CPU" in report


def test_every_tool_starts_by_its_name_for_a_user_whom_the_image_does_not_know(container):
    assert container.usages_of_tools("4321:4321") == tools_of_the_clone()


def test_the_default_user_is_not_root_and_works_in_work(container):
    assert container.run("sh", "-c", "id -u; pwd; touch made && echo written").split() == ["1000", "/work", "written"]


def test_the_programs_have_the_names_they_have_outside_docker(container):
    names = ["caffe", "python3", "convert_imageset", "compute_image_mean", "extract_features", "pytest", "skinmtl"]
    paths = container.run("sh", "-c", f"for name in {' '.join(names)}; do command -v $name; done").split()
    assert [path.split("/")[-1] for path in paths] == names


def test_the_demo_runs_for_another_user_and_a_stop_leaves_a_snapshot(container, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    said = container.run("sh", "-c", short_demo("caffe train", ""), user="4321:4321", work=work)
    assert "mAP-class" in said and "24 images" in said
    assert list(work.glob("tiny_mtl_iter_*.solverstate"))
    assert {path.stat().st_uid for path in work.iterdir()} == {4321}


def test_it_says_how_to_stop_it_and_what_it_is(buildah, image):
    assert buildah.inspect(image, "OCIv1.Config.StopSignal") == "SIGINT"
    assert "check_image.sh" in buildah.inspect(image, "Docker.Config.Healthcheck")
    labels = buildah.inspect(image, "OCIv1.Config.Labels")
    assert f"image.version:{skinmtl.__version__}" in labels and "image.revision:1234abc" in labels


def test_a_base_that_has_caffe_keeps_it(buildah, image):
    """IMAGE=gpu on a base that a user names: nothing is installed but what it lacks, here nothing."""
    given = Container(buildah, buildah.build("gpu", image))
    assert "no GPU was given to this container" in given.run("check_image.sh")
    assert given.run("printenv", "NVIDIA_VISIBLE_DEVICES") == "all"
