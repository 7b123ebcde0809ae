"""Which recognisers are in use: ours, and those that other packages register."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from phonenumbers import SUPPORTED_REGIONS

from services.errors import SettingsError
from services.privacy.accounts import BankAccounts, PaymentCards
from services.privacy.addresses import EmailAddresses
from services.privacy.credentials import Credentials
from services.privacy.phones import PhoneNumbers
from services.privacy.redaction import Recogniser, Redactor
from services.settings import Settings

GROUP = "plumbline.recognisers"
"""Entry points of this group name something that is called without arguments and gives a `Recogniser`."""
_ALL = "all"
_NONE = "none"


def redactor_of(settings: Settings) -> Redactor:
    """The redactor as configured. Raises `SettingsError`, also for an entry point that does not load."""
    if _listed(settings.redact) == [_NONE]:
        return Redactor(())
    ours = built_in(_listed(settings.redact_phone_regions))
    return Redactor(chosen(settings.redact, [*ours, *registered(entry_points(group=GROUP))]))


def built_in(phone_regions: Iterable[str] = ()) -> tuple[Recogniser, ...]:
    """One for each kind: email, phone, card, iban, secret."""
    regions = [region.upper() for region in phone_regions]
    if unknown := sorted(set(regions) - SUPPORTED_REGIONS):
        raise SettingsError(f"PLUMBLINE_REDACT_PHONE_REGIONS: no such region: {', '.join(unknown)}")
    return EmailAddresses(), PhoneNumbers(regions), PaymentCards(), BankAccounts(), Credentials()


def registered(points: Iterable[EntryPoint]) -> list[Recogniser]:
    """The recognisers of `points`. One that does not load would leave its kind unmasked: `SettingsError` names it."""
    return [_loaded(point) for point in points]


def _loaded(point: EntryPoint) -> Recogniser:
    try:
        recogniser = point.load()()
    except Exception as error:
        raise SettingsError(f"recogniser {point.name} ({point.value}) does not load: {error!r}") from error
    if not isinstance(getattr(recogniser, "kind", None), str) or not callable(getattr(recogniser, "find", None)):
        raise SettingsError(f"recogniser {point.name} ({point.value}) has no kind or cannot find")
    return recogniser  # type: ignore[no-any-return]


def chosen(listed: str, available: Iterable[Recogniser]) -> tuple[Recogniser, ...]:
    """Those of `available` whose kind is `listed` (comma-separated, or "all"); several may share a kind."""
    known = tuple(available)
    kinds = _listed(listed)
    if kinds == [_ALL]:
        return known
    offered = {recogniser.kind for recogniser in known}
    if not kinds or not offered.issuperset(kinds):
        unknown = ", ".join(sorted(set(kinds) - offered)) or "nothing"
        raise SettingsError(f"PLUMBLINE_REDACT: {unknown}: expected all, none, or some of {', '.join(sorted(offered))}")
    return tuple(recogniser for recogniser in known if recogniser.kind in kinds)


def _listed(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]
