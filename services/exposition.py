"""`/metrics` in Prometheus' text format, fast: what stands before a value is written once and kept."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

from prometheus_client import Metric, disable_created_metrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_ESCAPED_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_KINDS: Final = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}


_Head = tuple[str, dict[str, str], str]
"""A series' name and labels, and both as they are written."""


class Exposition:
    """All that `registry` knows, as text: what the client library writes, less the times at which series were created,
    which Prometheus would keep as a series more for each.

    Most of a scrape's time goes into writing names and labels. They come in the same order as in the scrape before, but
    for new ones, and are taken from there.
    """

    def __init__(self, registry: Collector) -> None:
        self._registry = registry
        self._before: dict[str, list[_Head]] = {}

    def text(self) -> bytes:
        """One scrape. Several threads may ask at once."""
        before, heads = self._before, dict[str, list[_Head]]()
        lines: list[str] = []
        for metric in self._registry.collect():
            lines += _header(metric)
            heads[metric.name] = _samples(metric, before.get(metric.name, []), lines)
        self._before = heads
        lines.append("")
        return "\n".join(lines).encode()


def _samples(metric: Metric, before: list[_Head], lines: list[str]) -> list[_Head]:
    """Adds a line for each sample; what they begin with, to be handed in `before` the next time."""
    heads: list[_Head] = []
    created, known = f"{metric.name}_created", len(before)
    for sample in metric.samples:  # by position, and nothing made that can be helped: this is the inner loop
        name, labels, value, at = sample[0], sample[1], sample[2], len(heads)
        if name == created:
            continue
        head = before[at] if at < known else None
        if head is None or head[0] != name or head[1] != labels:
            head = (name, labels, _head(name, labels))
        heads.append(head)
        lines.append(head[2] + (repr(float(value)) if -1e6 < value < 1e6 else _number(value)))
    return heads


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _head(name: str, labels: dict[str, str]) -> str:
    written = ",".join(f'{label}="{value.translate(_ESCAPED)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{written}}} " if written else f"{name} "


def _header(metric: Metric) -> Iterator[str]:
    name = metric.name + _SUFFIXES.get(metric.type, "")
    yield f"# HELP {name} {metric.documentation.translate(_ESCAPED_HELP)}"
    yield f"# TYPE {name} {_KINDS.get(metric.type, metric.type)}"


class _Handler(BaseHTTPRequestHandler):
    timeout = 30

    def __init__(self, exposition: Exposition, *rest: Any) -> None:
        self._exposition = exposition
        super().__init__(*rest)

    def do_GET(self) -> None:
        """Whatever the path. Not compressed: that takes longer than writing it."""
        body = self._exposition.text()
        self.send_response(200)
        self.send_header("Content-Type", _CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: scrapes come every few seconds."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Nothing: a scraper that hangs up is not our fault, and tries again."""


def serve(registry: Collector, host: str, port: int) -> ThreadingHTTPServer:
    """Serves `registry` in a thread until the process ends. Raises `OSError` where the port is taken."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # or they are collected, to be left out
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    kind = type("_Server", (_Server,), {"address_family": family})
    server: ThreadingHTTPServer = kind(address[:2], partial(_Handler, Exposition(registry)))
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
