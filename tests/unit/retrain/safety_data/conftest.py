"""Exports to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from retrain.safety_data.assembling import Options, assemble
from retrain.safety_data.held_out import HeldOut
from retrain.safety_data.judged import Judged
from tests.safety_data import NOBODY, NOW, ORIGIN, several


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """The folder of an export of these conversations."""
    pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")
    from retrain.safety_data.export import drafted

    def export(
        of: Sequence[Judged] | None = None, *, held_out: HeldOut = NOBODY, root: Path = tmp_path, **of_options: Any
    ) -> Path:
        options = Options(**of_options)
        assembled = assemble(several() if of is None else of, options, ORIGIN, HeldOut())
        told: dict[str, Any] = {"made_at": NOW.isoformat(), "facts": {"filters": {}, "redacted": "stored"}}
        with drafted(root, assembled, options, ORIGIN, held_out, **told) as draft:
            return draft.finish()

    return export
