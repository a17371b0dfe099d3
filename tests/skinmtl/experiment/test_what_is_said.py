"""What an experiment says before it runs, and of a log where it failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from skinmtl.experiment.configuration import configure
from skinmtl.experiment.request import Request
from skinmtl.experiment.run import plan_lines
from skinmtl.experiment.workflow import last_line

pytest.importorskip("yaml", reason="presets are YAML, which comes with Snakemake: make .venv/ready")


@pytest.mark.parametrize(
    "seeds, cores, words",
    [
        (1, 1, "by /some/bin; 1 core"),
        (3, 2, "by /some/bin; 2 cores"),
        (3, 1, "seeds     each model is trained 3 times, from 3 seeds, on the same data"),
    ],
)
def test_the_plan_says_how_many_seeds_and_cores(make_dataset, tmp_path, seeds, cores, words):
    data = make_dataset(6)
    usual = {"preset": "tiny", "folds": 3, "only_folds": (), "models": None, "weights": (), "precision": "fp32"}
    where = {"manifest": data.manifest, "images": data.images, "out": tmp_path / "out", "gpu": None, "seed": 1}
    configuration = configure(Request(**usual, **where, seeds=seeds), "caffe", Path("/some/bin"))
    lines = plan_lines(configuration, Path("/some/bin"), cores)
    assert [line for line in lines if line.endswith(words)]
    assert any(line.startswith("seeds") for line in lines) is (seeds > 1)


@pytest.mark.parametrize(
    "log, said",
    [
        (
            'WorkflowError in file "/w/Snakefile", line 65:\nvariants: a means something else; name it otherwise\n'
            '  File "/w/Snakefile", line 65, in <module>\n',
            "variants: a means something else; name it otherwise",
        ),
        ("train.py: no such file\nsome job failed\n", "train.py: no such file"),
        ('  File "a.py", line 1, in <module>\n', "it says nothing"),
        ("", "it says nothing"),
    ],
)
def test_of_a_log_the_line_with_the_reason_is_told(tmp_path, log, said):
    (tmp_path / "snakemake.log").write_text(log)
    assert last_line(tmp_path / "snakemake.log") == said
