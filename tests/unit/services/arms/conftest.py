"""What all tests of arms share."""

from __future__ import annotations

import pytest

from detectors.bundle import Bundle
from tests.arms_kit import Kit


@pytest.fixture(scope="session")
def kit(shipped_bundle: Bundle) -> Kit:
    return Kit(shipped_bundle)
