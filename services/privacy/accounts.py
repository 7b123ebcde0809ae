"""Numbers that money is moved with: payment cards and bank accounts, both with a check digit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

_CHAIN: Final = re.compile(r"[0-9](?:[ .-]{0,3}[0-9]){12,}")
_GAP: Final = "[ .-]{1,3}"
# How the digits are set; a look ahead, so that one candidate does not hide another that begins inside it.
_SETTINGS: Final = tuple(
    re.compile(rf"(?<![0-9])(?=({digits})(?![0-9]))")
    for digits in (
        r"(?<![0-9]\.)[2-6][0-9]{12,18}",  # not the digits of a fraction
        rf"[2-6][0-9]{{3}}(?:{_GAP}[0-9]{{4}}){{3}}(?:{_GAP}[0-9]{{3}})?",
        rf"[2-6][0-9]{{3}}(?:{_GAP}[0-9]{{4}}){{2}}{_GAP}[0-9]",
        rf"3[0-9]{{3}}{_GAP}[0-9]{{6}}{_GAP}[0-9]{{4,5}}",
        rf"[2-6][0-9]{{7}}{_GAP}[0-9]{{8}}",
        r"(?<![0-9][ .-])[2-6](?:([ .-])[0-9])(?:\2[0-9]){11,17}(?!\2[0-9])",
    )
)
# ISO/IEC 7812 and what the networks issue: Visa; American Express; Diners; JCB; Mastercard; Mastercard and Mir;
# Maestro, Discover and UnionPay. Nothing begins with 0, 1 or 7 to 9: times in milliseconds and most ids are out.
_ISSUED: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|3[47][0-9]{13}|3[0689][0-9]{12}|35[0-9]{14}"
    r"|5[1-5][0-9]{14}|2[2-7][0-9]{14}|(?:5[0678]|6[0-9])[0-9]{11,17}"
)
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")


class PaymentCards:
    """13 to 19 digits of a known kind of issuer that pass Luhn's check, in one block or grouped as people do."""

    kind: Final = "card"

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for chain in _CHAIN.finditer(text):
            for setting in _SETTINGS:
                for candidate in setting.finditer(text, *chain.span()):
                    if _is_card(candidate[1]) and not _inside_a_word(text, *candidate.span(1)):
                        yield candidate.span(1)


def _is_card(written: str) -> bool:
    digits = "".join(filter(str.isdigit, written))
    return _ISSUED.fullmatch(digits) is not None and passes_luhn(digits)


def _inside_a_word(text: str, start: int, end: int) -> bool:
    """A run of digits in a hash, say."""
    return text[max(0, start - 1) : start].isalpha() and text[end : end + 1].isalpha()


def passes_luhn(digits: str) -> bool:
    """Luhn's formula (ISO/IEC 7812-1, annex B)."""
    return (sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2].translate(_DOUBLED)))) % 10 == 0


# Length by country, from the registry of ISO 13616.
_IBAN_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
_IBAN_START: Final = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})[0-9]{2}")


class BankAccounts:
    """IBANs in one block or grouped, of their country's length and with the right check digits (ISO 7064, mod 97)."""

    kind: Final = "iban"

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for start in _IBAN_START.finditer(text):
            length = _IBAN_LENGTHS.get(start[1].upper())
            whole = _rest(length - 4).match(text, start.end()) if length else None
            if whole and _passes_mod_97(text[start.start() : whole.end()]):
                yield start.start(), whole.end()


@cache
def _rest(characters: int) -> re.Pattern[str]:
    return re.compile(rf"(?:[ .-]{{0,2}}[A-Za-z0-9]){{{characters}}}(?![A-Za-z0-9])")


def _passes_mod_97(written: str) -> bool:
    account = "".join(filter(str.isalnum, written)).upper()
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1
