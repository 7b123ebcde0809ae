"""How quick the triage page is with much in the database: real PostgreSQL, the real server, users on loopback.

    python tests/bench/triage.py [--verdicts 1000000] [--cases 50000] [--users 20] [--seconds 20]

Rows are made inside PostgreSQL. Latencies are those that a client on the same machine sees: the server's own time and
everything around it, while the clients take their share of the same cores. With Chromium, a conversation of 2,000
messages is opened as well.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
from pydantic import SecretStr
from sqlalchemy import text

from deploy.child import free_port
from deploy.postgres.local import LocalPostgres, missing_tools
from detectors.codec import event_from
from services.schema import upgrade
from services.settings import Settings, load_settings
from services.store import Database, cases, open_engine
from services.store.recording import Store
from services.triage.configured import archivist_of, salt_of
from tests.bench.triage_server import account, serving

_VERDICTS = """
INSERT INTO verdicts (verdict_id, event_id, tenant_id, conversation_id, seq, status, misalignment, flags, scores,
  flagged, thresholds, evidence, detectors, bundle_version, arm, stage, synthetic, occurred_at, decided_at, recorded_at)
SELECT md5('v' || n)::uuid, 'e' || n, 't' || n % 5, 'c' || n / 4, n % 4, 'scored', random(), (n % 20 = 0)::int,
  '{"deception": 0.4, "sabotage": 0.1}', CASE WHEN n % 20 = 0 THEN '["deception"]'::jsonb ELSE '[]'::jsonb END,
  '{"deception": 0.5, "misalignment": 0.6}', '[]', '[]', 'b1', 'stable', 'ensemble', false,
  now() - n * interval '2 seconds', now() - n * interval '2 seconds', now() - n * interval '2 seconds'
FROM generate_series(0, :verdicts - 1) n
"""
_CASES = """
INSERT INTO cases (case_id, tenant_id, fingerprint, state, waiting, severity, rank, category, agent, model_version,
  origin, score, lead_conversation_id, last_verdict_id, conversations, flagged_verdicts, opened_at, last_flagged_at,
  answer_by, decide_by, regressions, version, updated_at)
SELECT md5('case' || n)::uuid, 't' || n % 5, md5('f' || n % 9000), s.state, s.waiting,
  (ARRAY['critical','high','medium'])[1 + n % 3], n % 3, (ARRAY['deception','sabotage','coercion'])[1 + n % 3],
  'agent-' || n % 40, 'v' || n % 6, 'flag', random(), 'c' || n * 5, md5('v' || n * 20)::uuid, 1, 1,
  now() - n * interval '40 seconds', now() - n * interval '40 seconds', now(), now(), 0, 1, now()
FROM generate_series(0, :cases - 1) n,
LATERAL (SELECT
  (ARRAY['open','acknowledged','confirmed','dismissed','resolved','resolved','resolved','resolved'])[1 + n % 8]
  AS state,
  n % 8 < 2 AS waiting) s
"""
_MEMBERS = """
INSERT INTO case_conversations (tenant_id, conversation_id, case_id, added_at, flagged_verdicts, last_verdict_id,
  category)
SELECT tenant_id, lead_conversation_id, case_id, opened_at, 1, last_verdict_id, category FROM cases
"""
_EVENTS = """
INSERT INTO case_events (case_id, tenant_id, at, actor, kind, data)
SELECT case_id, tenant_id, opened_at, 'plumbline', 'opened', '{"version": 1}' FROM cases
"""
_TEXTS = """
INSERT INTO conversation_texts (tenant_id, conversation_id, words)
SELECT tenant_id, lead_conversation_id,
  (SELECT to_tsvector('simple', string_agg('word' || (hashtext(case_id::text || i) & 4095), ' '))
   FROM generate_series(1, 300) i)
FROM cases
"""


def fill(database: Database, *, verdicts: int, cases_: int) -> None:
    for statement in (_VERDICTS, _CASES, _MEMBERS, _EVENTS, _TEXTS):
        with database.write() as tx:
            tx.execute(text(statement), {"verdicts": verdicts, "cases": cases_})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def long_conversation(database: Database, settings: Settings, messages: int) -> str:
    """The id of a case of a conversation so long."""
    from tests.triage_data import verdict

    said = []
    for number in range(messages):
        role = "user" if number % 2 == 0 else "assistant"
        item: dict[str, Any] = {"role": role, "content": f"Message {number}. " + "It goes on about invoices. " * 12}
        if number % 10 == 5:
            item["tool_calls"] = [{"name": "search", "arguments": {"query": f"invoice {number}", "pages": [1, 2, 3]}}]
        said.append(item)
    of = event_from(
        {
            "event_id": "long",
            "tenant_id": "t0",
            "conversation_id": "a-long-one",
            "occurred_at": datetime.now(UTC).isoformat(),
            "messages": said,
            "agent": {"name": "long-winded"},
        }
    )
    archivist = archivist_of(settings, salt_of(database))
    Store(database.engine).record([verdict(of)], [], [archivist.redacted(of)], now=datetime.now(UTC))
    with database.read() as tx:
        member = cases.member(tx, "t0", "a-long-one")
    assert member is not None
    return str(member.case_id)


class Users:
    """People who all look at pages at once, for some seconds."""

    def __init__(self, url: str, cookies: httpx.Cookies, case_ids: list[str]) -> None:
        self._url = url
        self._cookies = cookies
        self._case_ids = case_ids
        self._took: dict[str, list[float]] = defaultdict(list)
        self._failed: list[str] = []

    def run(self, users: int, seconds: float) -> dict[str, list[float]]:
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._one, args=(number, until)) for number in range(users)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failed:
            raise SystemExit(f"{len(self._failed)} requests failed: {sorted(set(self._failed))[:3]}")
        return self._took

    def _one(self, number: int, until: float) -> None:
        rng = random.Random(number)
        with httpx.Client(base_url=self._url, cookies=self._cookies, timeout=60) as client:
            looks: dict[str, Callable[[], str]] = {
                "queue page": lambda: "/",
                "case page": lambda: f"/cases/{rng.choice(self._case_ids)}",
                "search": lambda: f"/api/v1/cases?q=word{rng.randrange(4096)}",
                "queue by the API": lambda: "/api/v1/cases?waiting=true&limit=50",
            }
            while time.monotonic() < until:
                name = rng.choice(list(looks))
                began = time.perf_counter()
                answer = client.get(looks[name]())
                self._took[name].append(1000 * (time.perf_counter() - began))
                if answer.status_code != 200:
                    self._failed.append(f"{name}: {answer.status_code}")
                time.sleep(rng.uniform(0.2, 1.0))  # people read


def percentile(values: list[float], share: int) -> float:
    return quantiles(values, n=100)[share - 1] if len(values) > 1 else values[0]


def in_chromium(url: str, cookies: httpx.Cookies, path: str) -> list[float]:
    """Milliseconds until a page has been laid out, several times."""
    from playwright.sync_api import sync_playwright

    from tests.browser_launch import CHROMIUM, FLAGS

    took = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(5):
            context = browser.new_context()
            context.add_cookies([{"name": c.name, "value": c.value or "", "url": url} for c in cookies.jar])
            page = context.new_page()
            page.goto(url + path, wait_until="load")
            timing = page.evaluate(
                "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0)))"
            )
            took.append(float(timing))
            context.close()
        browser.close()
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if missing := missing_tools():
        print(f"needs PostgreSQL: {', '.join(missing)} missing")
        return 0
    with LocalPostgres() as server, tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            database_url=SecretStr(server.create_database("triage")), web_port=free_port(), metrics_port=0
        )
        database = Database(open_engine(settings.database_url.get_secret_value()))
        upgrade(database.engine)
        began = time.monotonic()
        fill(database, verdicts=arguments.verdicts, cases_=arguments.cases)
        print(f"{arguments.verdicts:,} verdicts, {arguments.cases:,} cases in {time.monotonic() - began:.0f} s")
        long_case = long_conversation(database, settings, 2_000)
        with database.read() as tx:
            rows = tx.execute(text("SELECT case_id FROM cases ORDER BY random() LIMIT 500")).scalars()
            case_ids = [str(row) for row in rows]
        with serving(settings, Path(folder)) as url:
            cookies = account(settings, url)
            Users(url, cookies, case_ids).run(2, 3)  # warm
            took = Users(url, cookies, case_ids).run(arguments.users, arguments.seconds)
            targets = {"queue page": 150, "case page": 150, "search": 300}
            told: dict[str, Any] = {}
            for name, values in sorted(took.items()):
                p50, p95 = median(values), percentile(values, 95)
                told[name] = {"p50_ms": p50, "p95_ms": p95, "requests": len(values)}
                target = f" (target: {targets[name]})" if name in targets else ""
                print(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms{target}, {len(values)} requests")
            if shutil.which("chromium"):
                opened = in_chromium(url, cookies, f"/cases/{long_case}")
                told["2,000 messages"] = {"median_ms": median(opened), "worst_ms": max(opened)}
                worst = max(opened)
                print(f"2,000 messages in Chromium: median {median(opened):.0f} ms, worst {worst:.0f} (target: 1000)")
        if arguments.output:
            arguments.output.write_text(json.dumps(told, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
