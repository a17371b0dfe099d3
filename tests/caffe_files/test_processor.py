"""bf16 is slower than fp32 on a processor that does not multiply it, and that is said."""

from __future__ import annotations

import pytest

from caffe_files.processor import SLOW_BF16, bf16_warning

EPYC_2 = "model name\t: AMD EPYC 7B12\nflags\t\t: fpu sse sse2 avx avx2 fma\n"
EPYC_4 = "model name\t: AMD EPYC 9B14\nflags\t\t: fpu sse sse2 avx avx2 fma avx512f avx512_bf16\n"
ARM = "Features\t: fp asimd bf16\n"


@pytest.mark.parametrize(
    ("precision", "on_gpu", "processor", "says"),
    [
        ("bf16", False, EPYC_2, SLOW_BF16),
        ("bf16", False, EPYC_4, ""),
        ("bf16", False, ARM, ""),
        ("bf16", False, ARM.replace(" bf16", ""), SLOW_BF16),
        ("bf16", False, "processor: a kind that tells nothing\n", ""),
        ("bf16", True, EPYC_2, ""),
        ("fp32", False, EPYC_2, ""),
    ],
)
def test_it_is_said_where_the_processor_names_what_it_has(tmp_path, precision, on_gpu, processor, says):
    (tmp_path / "cpuinfo").write_text(processor)
    assert bf16_warning(precision, on_gpu, tmp_path / "cpuinfo") == says


def test_a_machine_that_has_no_such_file_tells_nothing(tmp_path):
    assert bf16_warning("bf16", False, tmp_path / "cpuinfo") == ""
