"""Which cards the images gpu and torch serve: check_image.sh says it, by nvidia-smi, by Caffe and by PyTorch."""

from __future__ import annotations

import importlib.util
import types

import pytest
from conftest import ROOT
from image_scripts import Scripts

# what nvidia-smi says of the cards in a container; that of a driver of before 2022 does not know the question
SMI = 'case "$*" in *compute_cap*) echo "{}" ;; esac'
OLDER_SMI = """case "$*" in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;; esac"""
DEVICE_QUERY = """case $1 in device_query)
    echo "I1130 common.cpp:169] Major revision number:         {}"
    echo "I1130 common.cpp:170] Minor revision number:         {}"
esac"""


class TestDebian10sCaffe:
    @pytest.fixture()
    def check(self, tmp_path):
        scripts = Scripts(tmp_path)

        def check(smi, gpu_0="0.0", given=False):
            if given:
                (scripts.docker / "base_is_given").touch()
            caffe = DEVICE_QUERY.format(*gpu_0.split("."))
            return scripts("check_image.sh", "gpu", python3="exit 0", caffe=caffe, nvidia_smi=smi)

        return check

    @pytest.mark.parametrize(
        "card", ["7.0, Tesla V100", "7.5, GeForce RTX 2080", "8.6, GeForce RTX 3090", "10.0, B200"]
    )
    def test_a_card_that_it_has_no_code_for_is_named_in_one_line(self, check, card):
        done = check(SMI.format(card))
        capability, name = card.split(", ")
        assert done.returncode == 1
        assert done.stderr == (
            f"check_image.sh: this image cannot serve {name} (compute capability {capability}), "
            "only 3.0 to 6.1 (Kepler, Maxwell, Pascal): the image torch can, see docs/docker.md\n"
        )

    @pytest.mark.parametrize("card", ["3.7, Tesla K80", "5.2, GeForce GTX 980", "6.1, GeForce GTX 1070"])
    def test_a_card_that_it_has_code_for_is_tried(self, check, card):
        done = check(SMI.format(card), card[:3])
        assert (done.returncode, done.stderr) == (0, "")
        assert "a small net runs on GPU 0" in done.stdout

    def test_of_two_the_later_is_named_and_caffe_says_which_is_gpu_0(self, check):
        smi = SMI.format("6.1, GeForce GTX 1070\n8.6, GeForce RTX 3090")
        done = check(smi, "6.1")
        assert done.returncode == 0 and "cannot serve GeForce RTX 3090" in done.stderr
        done = check(smi, "8.6")
        assert done.returncode == 1 and "cannot serve GPU 0 (compute capability 8.6)" in done.stderr

    @pytest.mark.parametrize("smi", [OLDER_SMI, SMI.format("No devices were found")])
    def test_where_nvidia_smi_does_not_say_it_caffe_does(self, check, smi):
        assert check(smi, "6.1").returncode == 0
        assert "cannot serve GPU 0 (compute capability 7.5)" in check(smi, "7.5").stderr

    def test_a_caffe_of_the_users_own_may_serve_any_card(self, check):
        done = check(SMI.format("8.6, GeForce RTX 3090"), "8.6", given=True)
        assert (done.returncode, done.stderr) == (0, "")


class Torch:
    """Stands in for PyTorch: a GPU 0, and what it was built for."""

    def __init__(self, capability, built, cuda="13.0"):
        self.version = types.SimpleNamespace(cuda=cuda)
        self.cuda = types.SimpleNamespace(
            get_device_name=lambda number: "Card",
            get_device_capability=lambda number: capability,
            get_arch_list=lambda: built.split(),
        )


class TestPyTorch:
    CUDA_13 = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120"

    @pytest.fixture()
    def check(self, monkeypatch):
        spec = importlib.util.spec_from_file_location("check_libraries", str(ROOT / "docker/check_libraries.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        def check(*torch):
            monkeypatch.setattr(module.importlib, "import_module", lambda name: Torch(*torch))
            module.check_gpu()

        return check

    @pytest.mark.parametrize(
        ("capability", "built", "served"),
        [
            ((7, 5), CUDA_13, True),
            ((8, 9), CUDA_13, True),  # by the code for 8.6
            ((12, 1), CUDA_13, True),
            ((13, 0), CUDA_13, True),  # translated by the driver
            ((6, 1), CUDA_13, False),
            ((7, 0), CUDA_13, False),
            ((6, 1), "sm_50 sm_60 sm_70 sm_90", True),
            ((10, 3), "sm_90 sm_90a", False),
        ],
    )
    def test_a_card_needs_code_of_its_own_kind_or_code_that_the_driver_translates(
        self, check, capsys, capability, built, served
    ):
        if served:
            check(capability, built)
        else:
            with pytest.raises(SystemExit, match=r"this PyTorch has no code for it, only for [0-9., ]+: docs"):
                check(capability, built)
        assert capsys.readouterr().out == "GPU 0 is Card, compute capability {}.{}\n".format(*capability)

    def test_a_pytorch_without_cuda_says_so(self, check):
        with pytest.raises(SystemExit, match="this PyTorch was built without CUDA"):
            check((8, 6), "", None)
