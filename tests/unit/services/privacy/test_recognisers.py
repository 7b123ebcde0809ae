"""Which recognisers are in use: as the settings say, ours and those of other packages."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from services.errors import SettingsError
from services.privacy import recognisers
from services.privacy.recognisers import GROUP, built_in, chosen, redactor_of, registered
from services.settings import load_settings


class Badges:
    kind = "badge"

    def find(self, text: str) -> Iterable[tuple[int, int]]:
        return [(0, 5)] if text.startswith("badge") else []


def broken() -> object:
    raise RuntimeError("no model file")


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> type[EntryPoint]:
    module = ModuleType("plumbline_badges")
    module.Badges = Badges  # type: ignore[attr-defined]
    module.broken = broken  # type: ignore[attr-defined]
    module.nothing = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return EntryPoint


def kinds(redact: str) -> list[str]:
    return [recogniser.kind for recogniser in redactor_of(load_settings(redact=redact)).recognisers]


def test_all_are_in_use_unless_told_otherwise() -> None:
    everything = [recogniser.kind for recogniser in redactor_of(load_settings()).recognisers]
    assert everything == ["email", "phone", "card", "iban", "secret"]


def test_some_or_none() -> None:
    assert kinds("card,email") == ["email", "card"]
    assert kinds("none") == []


@pytest.mark.parametrize("listed", ["email,passport", "none,email", ","])
def test_a_kind_that_nobody_offers_is_refused(listed: str) -> None:
    with pytest.raises(SettingsError, match=r"PLUMBLINE_REDACT: .*some of card, email, iban, phone, secret"):
        kinds(listed)


def test_regions_are_checked_and_may_be_none() -> None:
    with pytest.raises(SettingsError, match="PLUMBLINE_REDACT_PHONE_REGIONS: no such region: XX, ZZ"):
        built_in(("US", "zz", "xx"))
    assert len(redactor_of(load_settings(redact_phone_regions="")).recognisers) == 5
    assert redactor_of(load_settings(redact_phone_regions="de")).redact("030 901820").spans


def test_other_packages_add_theirs(point: type[EntryPoint], monkeypatch: pytest.MonkeyPatch) -> None:
    points = [point("badges", "plumbline_badges:Badges", GROUP)]
    monkeypatch.setattr(recognisers, "entry_points", lambda group: points if group == GROUP else [])
    assert kinds("all")[-1] == "badge"
    assert kinds("badge") == ["badge"]
    assert redactor_of(load_settings(redact="badge")).redact("badge 7").text == "█████ 7"


@pytest.mark.parametrize("name", ["missing", "broken", "nothing"])
def test_one_that_does_not_load_is_an_error_that_names_it(point: type[EntryPoint], name: str) -> None:
    with pytest.raises(SettingsError, match=f"recogniser theirs \\(plumbline_badges:{name}\\)"):
        registered([point("theirs", f"plumbline_badges:{name}", GROUP)])


def test_several_may_share_a_kind() -> None:
    assert len(chosen("badge", [Badges(), Badges(), *built_in()])) == 2
