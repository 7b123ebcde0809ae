"""Faust, as far as we use it: it joins the group, fetches and commits."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from typing import Any, Final

import faust

from services.errors import ServicesError
from services.records import Record
from services.settings import Settings

_LATEST: Final = 4_102_444_800.0  # the year 2100: senders may set any timestamp, and none may stop the line


def make_app(settings: Settings, group: str, folder: str) -> Any:
    """An app without tables, web server or producer of its own. Raises `ServicesError`."""
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
    servers = [f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")]
    session = settings.kafka_session_timeout_seconds
    return faust.App(
        settings.topic(group),
        broker=servers,
        broker_credentials=_credentials(settings),
        broker_session_timeout=session,
        broker_heartbeat_interval=max(0.1, session / 4),
        broker_request_timeout=max(60.0, 2 * session),
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=True,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        store="memory://",
        datadir=folder,
    )


def never_acknowledge(message: Any) -> None:
    """Whatever becomes of the stream, the offset of this message is not committed. (A cancelled agent acknowledges the
    event it was at, once.)
    """
    message.incref()


def abandon(app: Any) -> None:
    """Stopping the app waits for no message any more. It would wait for ever for one that is never acknowledged."""
    app.conf.stream_wait_empty = False


def ends(app: Any, topic: str) -> dict[int, tuple[int, datetime]]:
    """Partition → its end, and when the broker last said so. Partitions that it has said nothing of are left out."""
    found = {}
    for partition in [each for each in app.consumer.assignment() if each.topic == topic]:
        try:
            # Faust passes on only the end, which says nothing of the present once the broker is away. First the time:
            # both change in another thread, and an end that is newer than its time does no harm.
            heard_at = app.consumer._thread._ensure_consumer().last_poll_timestamp(partition)
            end = app.consumer.highwater(partition)
        except (AssertionError, AttributeError, KeyError):  # between two assignments
            continue
        if end is not None and heard_at is not None:
            found[partition.partition] = (end, datetime.fromtimestamp(heard_at / 1000, UTC))
    return found


def record_of(message: Any) -> Record:
    """A record from Faust's message."""
    timestamp = datetime.fromtimestamp(min(max(0.0, message.timestamp or 0.0), _LATEST), UTC)
    return Record(message.topic, message.partition, message.offset, message.key, message.value, timestamp)


def _credentials(settings: Settings) -> Any:
    protocol, password = settings.kafka_security_protocol, settings.kafka_sasl_password
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        context.check_hostname = settings.kafka_ssl_check_hostname
        if settings.kafka_ssl_certfile:
            key_password = settings.kafka_ssl_password
            context.load_cert_chain(
                settings.kafka_ssl_certfile,
                settings.kafka_ssl_keyfile,
                key_password.get_secret_value() if key_password else None,
            )
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    if settings.kafka_sasl_mechanism == "GSSAPI":
        raise ServicesError("the correlator does not speak GSSAPI: use PLAIN or SCRAM")
    return faust.SASLCredentials(
        username=settings.kafka_sasl_username,
        password=password.get_secret_value() if password else None,
        ssl_context=context,
        mechanism=settings.kafka_sasl_mechanism,
    )
