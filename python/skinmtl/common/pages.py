"""HTML pages that need no other file: jinja2 templates with one style."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Mapping

import jinja2


def rendered(template: Path, values: Mapping[str, Any], filters: Mapping[str, Callable] | None = None) -> str:
    """A template's page. All names are escaped, one that has no value is an error; it may include this room's *.css."""
    return read_template(template, filters).render(values)


def read_template(template: Path, filters: Mapping[str, Callable] | None = None) -> jinja2.Template:
    """The same, to be rendered many times."""
    folders = [template.parent, Path(__file__).parent]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([str(folder) for folder in folders]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    return environment.get_template(template.name)
