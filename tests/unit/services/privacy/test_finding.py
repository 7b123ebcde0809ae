"""What is found, and what is not taken for it. Nothing here is anybody's: keys are put together from their parts."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from services.privacy.recognisers import built_in
from services.privacy.redaction import MASK, Recogniser, redact

OURS = built_in(("US", "GB", "DE"))
BODY = "a1B2c3D4e5F6g7H8i9J0"
LONG = BODY * 2
PEM = f"-----BEGIN RSA PRIVATE KEY-----\nMIIE{LONG}\n{LONG}==\n-----END RSA PRIVATE KEY-----"


def found(text: str, recognisers: Sequence[Recogniser] = OURS) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in redact(text, recognisers).spans]


@pytest.mark.parametrize(
    "address",
    [
        "anna@example.org",
        "anna.smith+tag@mail.example.co.uk",
        "o'brien_x@example.org",
        "anna%40example.org",
        "jürgen@münchen.example",
        "anna@xn--mnchen-3ya.xn--p1ai",
        "an\u200bna@exa\u00admple.org",
        "\u0430nna@ex\u0430mple.org",
        "ａｎｎａ＠ｅｘａｍｐｌｅ．ｏｒｇ",
        "x" * 200 + "@example.org",
    ],
)
@pytest.mark.parametrize("around", ["{}", "<{}>", "mail {}, please.", "'{}'", '{{"to":"{}"}}', "mailto:{}?x=1"])
def test_email(address: str, around: str) -> None:
    assert found(around.format(address)) == [("email", address)]


@pytest.mark.parametrize(
    "text",
    ["me@localhost", "@decorator", "a @ b.org", "react@18.2.0", "x@", "@example.org", "user@1.2", "..@example.org"],
)
def test_no_email(text: str) -> None:
    assert found(text) == []


def test_an_email_in_a_script_without_spaces_is_found_alone() -> None:
    assert found("请联系anna@example.org谢谢") == [("email", "anna@example.org")]


@pytest.mark.parametrize(
    "number",
    [
        "+49 30 901820",
        "+4930901820",
        "+1 (650) 253-0000",
        "0044 20 7946 0018",
        "(0044) 20 7946 0018",
        "(650) 253-0000",
        "650-253-0000",
        "650.253.0000",
        "020 7946 0018",
        "07911 123456",
        "030 901820",
        "(650) 253-0000 ext. 12",
        "+４９ ３０ ９０１８２０",
        "+49\u00a030\u200b901820",
        "+49 30\u2011901820",
        "+81 3-1234-5678",
    ],
)
@pytest.mark.parametrize("around", ["{}", "call {} now", '{{"phone": "{}"}}', "tel:{};", "({})", r"line\n{}\nline"])
def test_phone(number: str, around: str) -> None:
    assert found(around.format(number)) == [("phone", number)]


@pytest.mark.parametrize(
    "text",
    [
        "2024-11-25 09:40:12",
        "10.20.30.40",
        "192.168.100.200",
        "181.25.211.101",
        "1732527400123",
        "1732527400",
        "0.04909719810098678",
        "7713004   118     agent",
        "pages 211-227 (2003)",
        "550e8400-e29b-41d4-a716-446655440000",
        "call_123",
        "+1 2 3",
        "1234567890123456789012345",
    ],
)
def test_no_phone(text: str) -> None:
    assert found(text) == []


def test_national_numbers_need_their_region() -> None:
    assert found("(650) 253-0000", built_in()) == []
    assert found("+1 650 253 0000", built_in()) == [("phone", "+1 650 253 0000")]


def test_two_numbers_in_one_go_are_both_found() -> None:
    text = "0049 30 901820 / 650-253-0000"
    assert MASK * 14 in redact(text, OURS).text
    assert not any(char.isdigit() for char in redact(text, OURS).text)


def test_after_many_numbers_that_are_none_the_shape_is_enough() -> None:
    noise = "12345678, " * 2000
    numbers = ("+49 30 901820", "(030) 901820", "650-253-0000", "6502530000", "0171 1234567")
    text = noise + ", ".join(numbers)
    assert redact(text, OURS).text[len(noise) :] == ", ".join(MASK * len(number) for number in numbers)


@pytest.mark.parametrize(
    "number",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111 - 1111 - 1111 - 1111",
        "4111111111111111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "3782 822463 10005",
        "378282246310005",
        "3056 930902 5904",
        "6011111111111117",
        "3530111333300000",
        "6304 0000 0000 0000",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "４１１１ １１１１ １１１１ １１１１",
        "41\u200b11 1111\u00ad 1111 1111",
        "4111\u00a01111\u00a01111\u00a01111",
    ],
)
@pytest.mark.parametrize("around", ["{}", "card {}.", '{{"pan": "{}"}}', "pan={}&x=1", r"\n{}\n", "card{}"])
def test_card(number: str, around: str) -> None:
    assert found(around.format(number)) == [("card", number)]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "1732527400123",
        "0.4111111111111111",
        "41111111111111111111111",
        "a4111111111111111b",
        "2019 2020 2021 2022 2023",
        "9111111111111111",
    ],
)
def test_no_card(text: str) -> None:
    assert [kind for kind, _ in found(text) if kind == "card"] == []


@pytest.mark.parametrize(
    "account",
    [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89-3704-0044-0532-0130-00",
        "GB82WEST12345698765432",
        "NO93 8601 1117 947",
        "MT84MALT011000012345MTLCAST001S",
        "DE８９ 3704\u200b 0044 0532 0130 00",
    ],
)
@pytest.mark.parametrize("around", ["{}", "to {} please", '{{"iban": "{}"}}', r"\n{}\n", "{}, then"])
def test_iban(account: str, around: str) -> None:
    assert found(around.format(account)) == [("iban", account)]


@pytest.mark.parametrize("text", ["DE88 3704 0044 0532 0130 00", "XX89370400440532013000", "DE8937040044", "AB12"])
def test_no_iban(text: str) -> None:
    assert [kind for kind, _ in found(text) if kind == "iban"] == []


TOKENS = {
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws, temporary": "ASIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp_" + BODY + "k1L2m3N4o5P6q7R8",
    "github, fine-grained": "github_pat_" + BODY + "k1_" + LONG,
    "gitlab": "glpat-" + BODY,
    "slack": "xoxb-" + "123456789012-" + BODY,
    "stripe": "sk_live_" + BODY,
    "stripe, webhook": "whsec_" + BODY * 2,
    "openai": "sk-proj-" + LONG,
    "anthropic": "sk-ant-api03-" + LONG,
    "google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "google, oauth": "ya29." + LONG,
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + f"zdWIiOiIxMjM0In0.{BODY}-_",
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
@pytest.mark.parametrize("around", ["{}", "use {} now", '{{"value": "{}"}}', "export X={}", r"\n{}\n", "<{}>", "`{}`"])
def test_token(token: str, around: str) -> None:
    assert found(around.format(token)) == [("secret", token)]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {BODY}", BODY),
        (f"-H 'Authorization: Basic {LONG}=='", f"{LONG}=="),
        (f'{{"authorization": "Bearer {BODY}"}}', BODY),
        (f"AUTHORIZATION={BODY}", BODY),
        (f"sent Bearer {BODY}.", f"{BODY}."),
        ("postgres://app:s3cret@db/x", "s3cret"),
        ("https://:hunter2@host", "hunter2"),
        ("amqp://app:a/b", None),
        (f"https://{BODY}@host/x", BODY),
        (r"https:\/\/me:hunter2@host", "hunter2"),
        ("https://hooks.slack.com/services/T0/B0/" + BODY, "hooks.slack.com/services/T0/B0/" + BODY),
        (f"aws_secret_access_key = {LONG}", LONG),
        (f'"SecretAccessKey": "{LONG}"', LONG),
        (f"api_key={BODY}&x=1", BODY),
        (f"X-Api-Key: {BODY}", BODY),
        (f'{{"apiKey":"{BODY}"}}', BODY),
        ("password: hunter2", "hunter2"),
        ("DB_PASSWORD=correct", "correct"),
        ('"password": "correct horse battery"', "correct horse battery"),
        (r'{"body": "{\"password\": \"pa\\\"ss\"}"}', r"pa\\\"ss"),
        ("<password>hunter2</password>", "hunter2"),
        ("--db-password hunter2 --x", "hunter2"),
        ('--token "abcdefgh"', "abcdefgh"),
        ("the password is hunter2.", "hunter2"),
        ("p\u0430ssword: hunt\u200ber2", "hunt\u200ber2"),
        ("Password=pw12;Server=x", "pw12"),
        ("client_secret: 'abcdefghij'", "abcdefghij"),
        ("İpassword: hunter2", "hunter2"),  # one character here, two in lower case
    ],
)
def test_secret(text: str, secret: str | None) -> None:
    assert found(text) == ([("secret", secret)] if secret else [])


@pytest.mark.parametrize(
    "text",
    [
        '"max_tokens": 4096, "token_count": 12, "token": "end of turn"',
        "the password is required, reset your password here",
        "token = get_token(), password = os.environ[1], password = getpass.getpass()",
        "password: ${PASSWORD}, api_key = {{ key }}, token: <your token>",
        "secret: be kind, secretary: Mary, api_key: required",
        '{"password": "", "token": null, "secret": false}',
        "task-oriented-dialogue-systems-2024, sk-learn-is-not-a-key-at-all",
        "Bearer tokens are nice, the bearer certificates-of-deposits",
        "Authorization: required",
        "https://example.org:8080/@user, ftp://host/a:b@c",
        "the token 'abcdefgh' is a word",
        '{"properties": {"password": {"type": "string"}}}',
    ],
)
def test_no_secret(text: str) -> None:
    assert found(text) == []


class TestPrivateKeys:
    def test_all_lines_are_masked_and_stay_lines(self) -> None:
        masked = redact(f"before\n{PEM}\nafter", OURS).text
        assert masked.splitlines() == ["before", *(MASK * len(line) for line in PEM.splitlines()), "after"]

    def test_inside_of_json(self) -> None:
        text = json.dumps({"key": PEM, "other": 1})
        masked = json.loads(redact(text, OURS).text)
        assert set(masked["key"]) == {MASK, "\n"}
        assert masked["other"] == 1

    def test_cut_off(self) -> None:
        text = PEM[: PEM.index("==")] + "\n\nThat is all of it, no more."
        assert redact(text, OURS).text.endswith(f"{MASK}\n\nThat is all of it, no more.")
        assert redact(text, OURS).text.count(MASK) == len(PEM[: PEM.index("==")].replace("\n", ""))

    def test_its_mention_is_not_the_key(self) -> None:
        assert found("look for -----BEGIN PRIVATE KEY----- in files") == [("secret", "-----BEGIN PRIVATE KEY-----")]

    def test_with_headers(self) -> None:
        text = PEM.replace("-----\nMIIE", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIE")
        assert found(text) == [("secret", text)]

    def test_public_keys_are_public(self) -> None:
        assert found(PEM.replace("RSA PRIVATE", "PUBLIC")) == []


HOSTILE = (
    *(
        "a",
        "1",
        "@",
        "a@",
        "a.",
        "@a.",
        "a-",
        "%40a",
        "x@1.",
        "1 ",
        "0 ",
        "4 ",
        "4444 ",
        "12 34-",
        "+1 ",
        "+",
        "((",
        "(1",
    ),
    *("1.1.1 ", "1234567 ", "12345678901234567 ", "+49 30 9", "0044 ", "00", "5816381344, ", "650-253-000 "),
    *(
        "\\",
        '\\\\"',
        '"',
        "\\n",
        "\\u0041",
        "\\u",
        "'\\'",
        "\u200b",
        "\u200b1",
        "\u0430",
        "\u0430a",
        "█",
        "█a@b.co",
        " ",
        "\n",
    ),
    *("eyJ", "eyJa.", "eyJ-", "sk-", "sk-a", "ghp_", "xoxb-", "glpat-", "AKIA", "AIza", "whsec_", "ya29."),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN A ", "-----", "-----BEGIN PRIVATE KEY-----a", "----- ", "-"),
    *("password=", 'password="', 'password \\"', "password='\\'", "--password ", "--", "token: ", "api key ", "secret"),
    *(
        "bearer ",
        "authorization: ",
        "authorization:a ",
        "://:",
        "://a:",
        "://a@",
        "://a:b@c",
        "GB82",
        "gb82 w",
        "DE89 3704 ",
    ),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_comes_to_an_end(unit: str) -> None:
    """200,000 characters: what takes quadratic time on them would not end while anybody waits."""
    text = (unit * (200_000 // len(unit) + 1))[:200_000]
    assert len(redact(text, OURS).text) == len(text)
