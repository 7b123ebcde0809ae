"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.bad_input import CASES

pytest_plugins = ["tests.servers", "tests.databases"]

settings.register_profile("plumbline", deadline=None, max_examples=50)  # no deadline: machines that test are busy
settings.load_profile("plumbline")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `bad_input` runs once for each row of the table in bad_input.py."""
    if "bad_input" in metafunc.fixturenames:
        metafunc.parametrize("bad_input", CASES, ids=[case.name for case in CASES])
