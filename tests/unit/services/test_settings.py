"""Settings: what makes no sense is refused by name, and secrets are never shown."""

from __future__ import annotations

from collections.abc import Iterator
from enum import EnumMeta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from services.cli.main import app
from services.errors import SettingsError
from services.settings import Settings, load_settings

SECRET = "correct-horse-battery"


def bad_values() -> Iterator[tuple[str, str]]:
    """(field, value) for each constraint of each field, read off the class: a new one is tested without a line here."""
    for name, field in Settings.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if get_origin(kind) is Literal or isinstance(kind, EnumMeta):
                yield name, "nonsense"
            elif kind in (int, float, bool):
                yield name, "many"
        for constraint in field.metadata:
            match constraint:
                case annotated_types.Ge(ge=low):
                    yield name, str(low - 1)
                case annotated_types.Gt(gt=low):
                    yield name, str(low)
                case annotated_types.Le(le=high):
                    yield name, str(high + 1)
                case annotated_types.MinLen(min_length=length):
                    yield name, "x" * (length - 1)
            if getattr(constraint, "pattern", None):
                yield name, "not a topic name"


def bounds() -> Iterator[tuple[str, str]]:
    for name, field in Settings.model_fields.items():
        for constraint in field.metadata:
            match constraint:
                case annotated_types.Ge(ge=edge) | annotated_types.Le(le=edge):
                    yield name, str(edge)


def test_constraints_are_found_by_the_tests_below() -> None:
    assert len(list(bad_values())) > 30
    assert len(list(bounds())) > 20


@pytest.mark.parametrize(("name", "value"), list(bad_values()))
def test_a_value_that_makes_no_sense_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    variable = f"PLUMBLINE_{name.upper()}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert f"{variable}: " in str(refusal.value)
    assert name not in str(refusal.value)


@pytest.mark.parametrize(("name", "value"), list(bounds()))
def test_the_edges_of_what_makes_sense_are_accepted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("PLUMBLINE_BATCH_MAX_RECORDS", "1")
    if name == "batch_max_records":
        monkeypatch.setenv("PLUMBLINE_DEAD_LETTER_WINDOW", "1000000")
    monkeypatch.setenv(f"PLUMBLINE_{name.upper()}", value)
    assert getattr(load_settings(), name) == float(value)


def test_every_problem_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_METRICS_PORT", "70000")
    monkeypatch.setenv("PLUMBLINE_LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    lines = str(refusal.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["PLUMBLINE_METRICS_PORT", "PLUMBLINE_LOG_LEVEL"]


def test_a_batch_must_fit_into_the_dead_letter_window() -> None:
    load_settings(batch_max_records=100, dead_letter_window=100)
    with pytest.raises(SettingsError, match=r"PLUMBLINE_DEAD_LETTER_WINDOW.*PLUMBLINE_BATCH_MAX_RECORDS"):
        load_settings(batch_max_records=101, dead_letter_window=100)


NAMED = {"kafka_sasl_username": "plumbline", "kafka_sasl_password": SECRET}


@pytest.mark.parametrize(
    "fields",
    [
        {"kafka_security_protocol": "SSL"},
        {"kafka_security_protocol": "SSL", "kafka_ssl_cafile": "ca.pem", "kafka_ssl_check_hostname": False},
        {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "SCRAM-SHA-512", **NAMED},
        {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN", **NAMED},
        {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "GSSAPI"},
    ],
)
def test_whole_security_settings_are_accepted(fields: dict[str, Any]) -> None:
    settings = load_settings(**fields)
    assert settings.kafka_security_protocol == fields["kafka_security_protocol"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kafka_security_protocol": "SASL_SSL", **NAMED}, ["KAFKA_SASL_MECHANISM"]),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN"},
            ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"],
        ),
        (
            {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": "SCRAM-SHA-256",
                "kafka_sasl_password": SECRET,
            },
            ["KAFKA_SASL_USERNAME"],
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN", "kafka_sasl_username": "me"},
            ["KAFKA_SASL_PASSWORD"],
        ),
        (NAMED, ["KAFKA_SASL_MECHANISM", "KAFKA_SECURITY_PROTOCOL"]),
        ({"kafka_ssl_cafile": "ca.pem"}, ["KAFKA_SSL_CAFILE", "KAFKA_SECURITY_PROTOCOL"]),
        (
            {
                "kafka_security_protocol": "SASL_PLAINTEXT",
                "kafka_sasl_mechanism": "PLAIN",
                "kafka_ssl_keyfile": "key.pem",
                **NAMED,
            },
            ["KAFKA_SSL_CAFILE", "KAFKA_SECURITY_PROTOCOL"],
        ),
        ({"kafka_sasl_mechanism": "PLAIN", **NAMED}, ["KAFKA_SASL_MECHANISM", "KAFKA_SECURITY_PROTOCOL"]),
        (
            {"kafka_security_protocol": "SSL", "kafka_sasl_mechanism": "PLAIN", **NAMED},
            ["KAFKA_SASL_MECHANISM", "KAFKA_SECURITY_PROTOCOL"],
        ),
    ],
)
def test_half_security_settings_are_refused_by_name_and_without_the_password(
    fields: dict[str, Any], named: list[str]
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(**fields)
    assert all(f"PLUMBLINE_{name}" in str(refusal.value) for name in named)
    assert SECRET not in str(refusal.value)
    assert SECRET not in repr(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.fixture
def secrets_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "plumbline",
        "KAFKA_SASL_PASSWORD": SECRET,
        "KAFKA_SSL_PASSWORD": SECRET,
        "DATABASE_URL": f"postgresql+psycopg://plumbline:{SECRET}@db/plumbline",
    }.items():
        monkeypatch.setenv(f"PLUMBLINE_{name}", value)


@pytest.mark.usefixtures("secrets_in_environment")
def test_secrets_are_in_no_text_form_of_the_settings() -> None:
    settings = load_settings()
    for text in (repr(settings), str(settings), f"{settings.model_dump()}", settings.model_dump_json()):
        assert SECRET not in text
    assert settings.kafka_sasl_password is not None
    assert settings.kafka_sasl_password.get_secret_value() == SECRET


@pytest.mark.usefixtures("secrets_in_environment")
def test_the_settings_command_lists_every_variable_and_no_secret() -> None:
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 0
    assert SECRET not in result.output
    shown = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert set(shown) == {f"PLUMBLINE_{name.upper()}" for name in Settings.model_fields}
    assert shown["PLUMBLINE_KAFKA_SASL_USERNAME"] == "plumbline"
    assert "*" in shown["PLUMBLINE_DATABASE_URL"]


@pytest.mark.usefixtures("secrets_in_environment")
def test_secrets_are_not_in_the_text_of_an_error_about_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_KAFKA_SASL_MECHANISM", "ROT13")
    monkeypatch.setenv("PLUMBLINE_RETRY_SECONDS", "-1")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert SECRET not in str(refusal.value)


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.topic_prefix = "other."


def test_topics_carry_the_prefix_and_paths_are_paths(tmp_path: Path) -> None:
    settings = load_settings(topic_prefix="team-a.", bundle=str(tmp_path))
    assert settings.topic("transcripts.dead") == "team-a.transcripts.dead"
    assert settings.bundle == tmp_path
