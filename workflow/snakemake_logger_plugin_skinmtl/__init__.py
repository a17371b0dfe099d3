"""Tells `skinmtl run` what Snakemake does: a JSON line an event, appended to the file that SKINMTL_EVENTS names.

Snakemake finds this package by its name on PYTHONPATH, where skinmtl puts its folder for Snakemake alone.
"""

import json
import os
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase

# event -> what is told of it
TOLD = {
    "run_info": ("stats",),
    "job_info": ("jobid", "rule_name", "wildcards", "output", "log"),
    "job_finished": ("job_id",),
    "job_error": ("jobid", "rule_name", "log"),
}

_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
if _path[0] == str(Path(__file__).parents[1]):  # the jobs' is as the user has it
    os.environ.pop("PYTHONPATH")
    if _path[1:]:
        os.environ["PYTHONPATH"] = os.pathsep.join(_path[1:])


class LogHandler(LogHandlerBase):
    """Beside Snakemake's own handler, which goes on writing its log."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        event = str(getattr(record, "event", ""))
        path = os.environ.get("SKINMTL_EVENTS")
        if event in TOLD and path:
            told = {name: getattr(record, name, None) for name in TOLD[event]}
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event, **told}, default=_plain) + "\n")


def _plain(value: object) -> object:
    return dict(value) if hasattr(value, "items") else str(value)
