"""Structured logs. They carry ids, counts and reasons, never a conversation's content."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from services.settings import Settings


def configure_logs(settings: Settings) -> None:
    """One JSON object (or one readable line) an event, on standard error."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    json_lines = settings.log_format == "json"
    renderer: Any = structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(
        logging.CRITICAL
    )  # it logs every reconnect; our own metrics and logs cover outages


def get_logger(service: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines name the service."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(service=service)
    return logger
