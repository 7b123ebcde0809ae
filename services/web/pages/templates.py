"""The templates, and what they may ask for. Everything that they print is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from detectors.taxonomy import Category
from services.web.pages import wording
from services.web.pages.visible import visible

_FOLDER: Final = Path(__file__).parent.parent / "templates"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,  # whatever a template is called
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        visible=visible,
        category=wording.category,
        meaning=wording.meaning,
        state=wording.state,
        role=wording.role,
        mask=wording.mask,
        absolute=wording.absolute,
        duration=wording.seconds,
        happened=wording.happened,
    )
    made.globals.update(age=wording.age, until=wording.until, categories=[category.value for category in Category])
    return made


_TEMPLATES: Final = _environment()


def rendered(name: str, context: Mapping[str, Any]) -> str:
    """A template's text."""
    return _TEMPLATES.get_template(name).render(context)
