"""What we write of metrics is what the client library writes, in every scrape."""

from __future__ import annotations

import math
import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, generate_latest

from services.exposition import Exposition, serve
from services.metrics import ScorerMetrics

Steps = st.lists(st.tuples(st.sampled_from("cghr"), st.text(max_size=8), st.floats(0, 1e20)), max_size=30)


def expected(registry: CollectorRegistry) -> list[str]:
    """The library's lines, without the times of creation."""
    return [line for line in generate_latest(registry).decode().split("\n") if "_created" not in line]


@given(Steps)
def test_every_scrape_says_what_the_library_says(steps: list[tuple[str, str, float]]) -> None:
    registry = CollectorRegistry()
    counter = Counter("c", 'How "often"\\\n', ["label", "also"], registry=registry)
    gauge = Gauge("g", "How much", ["label"], registry=registry)
    histogram = Histogram("h", "How long", ["label"], buckets=(1, 2.5), registry=registry)
    exposition = Exposition(registry)
    for kind, label, value in steps:
        if kind == "c":
            counter.labels(label, "x").inc(value)
        elif kind == "g":
            gauge.labels(label).set(value)
        elif kind == "h":
            histogram.labels(label).observe(value)
        else:  # series that go, and others in their places
            gauge.clear()
        assert exposition.text().decode().split("\n") == expected(registry)


def test_all_that_our_processes_have_is_written() -> None:
    registry = CollectorRegistry()
    PlatformCollector(registry=registry)
    ScorerMetrics(registry).verdicts.labels("scored", 'v\u00e4\n"1"', "stable").inc()
    Info("build", "What", registry=registry).info({"version": "1"})
    gauge = Gauge("odd", "Odd values", ["kind"], registry=registry)
    for value in (math.inf, -math.inf, math.nan, -0.0, 3, 1.5e300):
        gauge.labels(str(value)).set(value)
    exposition = Exposition(registry)
    for _ in range(2):
        assert exposition.text().decode().split("\n") == expected(registry)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_it_is_served_whatever_the_scraper_would_like_best(host: str) -> None:
    registry = CollectorRegistry()
    Counter("c", "How often", registry=registry).inc()
    server = serve(registry, host, 0)
    port = server.server_address[1]
    request = urllib.request.Request(
        f"http://{'localhost' if host == 'localhost' else '127.0.0.1'}:{port}/metrics",
        headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.read() == b"# HELP c_total How often\n# TYPE c_total counter\nc_total 1.0\n"
    with pytest.raises(OSError, match="in use"):
        serve(registry, host, port)
    server.shutdown()
    server.server_close()
