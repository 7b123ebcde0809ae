"""Connections to the brokers: addresses, TLS and SASL from the settings, and one sentence where nobody answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kafka.errors import KafkaError

from services.errors import TransientError
from services.records import Record
from services.settings import MEBIBYTE, Settings

ANSWER_TIMEOUT: Final = timedelta(seconds=10)
DEAD_LETTER_ALLOWANCE: Final = MEBIBYTE
"""A dead letter is its record plus headers: its topic takes records that much larger, so that it always fits."""
_LATEST_TIMESTAMP: Final = 4_102_444_800_000  # the year 2100: senders may set any, and none may stop the line


def connected(client: Any, settings: Settings, **options: Any) -> Any:
    """A client of class `client`. Raises `TransientError` without a broker."""
    try:
        return client(
            bootstrap_servers=[server.strip() for server in settings.kafka_bootstrap_servers.split(",")],
            client_id="plumbline",
            reconnect_backoff_max_ms=1000,
            bootstrap_timeout_ms=milliseconds(ANSWER_TIMEOUT),
            **_security(settings),
            **options,
        )
    except KafkaError as error:
        raise TransientError(
            f"no Kafka broker answers at {settings.kafka_bootstrap_servers} "
            f"(PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS): {type(error).__name__}"
        ) from error


def _security(settings: Settings) -> dict[str, Any]:
    password, key_password = settings.kafka_sasl_password, settings.kafka_ssl_password
    given = {
        "security_protocol": settings.kafka_security_protocol,
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": password.get_secret_value() if password else None,
        "ssl_cafile": _path(settings.kafka_ssl_cafile),
        "ssl_certfile": _path(settings.kafka_ssl_certfile),
        "ssl_keyfile": _path(settings.kafka_ssl_keyfile),
        "ssl_password": key_password.get_secret_value() if key_password else None,
        "ssl_check_hostname": settings.kafka_ssl_check_hostname,
    }
    return {name: value for name, value in given.items() if value is not None}


def _path(path: object) -> str | None:
    return None if path is None else str(path)


def milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)


def record_of(message: Any) -> Record:
    """A record from the client's own."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        timestamp=datetime.fromtimestamp(min(max(0, message.timestamp or 0), _LATEST_TIMESTAMP) / 1000, UTC),
        headers=tuple((name, value or b"") for name, value in message.headers or ()),
    )
