"""How quick both arms are compared with much in the database: real PostgreSQL, a candidate in the shadow stage.

    python tests/bench/rollout.py [--verdicts 1000000] [--hours 3]

Verdicts are made inside PostgreSQL, half of them the candidate's, five events a conversation. The first look counts the
stage from its beginning, as a process does that has just started; later ones count on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from statistics import median

from sqlalchemy import text

from deploy.postgres.local import LocalPostgres, missing_tools
from deploy.rollout import steps
from deploy.rollout.state import SYSTEM, first
from services.rollout.tallies import Tallies
from services.schema import upgrade
from services.store import Database, open_engine

_VERDICTS = """
INSERT INTO verdicts (verdict_id, event_id, tenant_id, conversation_id, status, flags, scores, flagged, thresholds,
  evidence, detectors, bundle_version, arm, stage, seconds, synthetic, occurred_at, decided_at, recorded_at)
SELECT md5('v' || n)::uuid, 'e' || n / 2, 't' || n / 10 % 20, 'c' || n / 10, 'scored', (random() < 0.01)::int,
  (SELECT jsonb_object_agg('category_' || k, random()) FROM generate_series(1, 12) k), '[]', '{}',
  jsonb_build_array(jsonb_build_object('message_id', repeat(md5(n::text), 8))), '[]',
  CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, CASE WHEN n % 2 = 0 THEN 'stable' ELSE 'shadow' END, 'screen', 0.01,
  false, r.at, r.at, r.at
FROM generate_series(0, :verdicts - 1) n,
LATERAL (SELECT CAST(:began AS timestamptz) + n / CAST(:verdicts AS float) * CAST(:span AS interval) AS at) r
"""
_EVERY = timedelta(seconds=10)
_LOOKS = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--hours", type=float, default=3)
    given = parser.parse_args()
    if missing := missing_tools():
        sys.stderr.write(f"PostgreSQL needs {', '.join(missing)}\n")
        return 1
    with LocalPostgres() as server:
        print(json.dumps(measured(server, given.verdicts, timedelta(hours=given.hours)), indent=1))
    return 0


def measured(server: LocalPostgres, verdicts: int, span: timedelta) -> dict[str, float]:
    """Seconds of the first look, and of later ones while time goes on within what was recorded."""
    engine = open_engine(server.create_database("rollout"))
    upgrade(engine)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with engine.begin() as connection:
        connection.execute(text(_VERDICTS), {"verdicts": verdicts, "began": began, "span": span})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE verdicts"))
    rollout = steps.start(first("a", began), "b", actor=SYSTEM, reason="bench", at=began)
    tallies, now = Tallies(Database(engine)), began + span - _LOOKS * _EVERY
    seconds = []
    for _ in range(_LOOKS):
        start = time.perf_counter()
        tallies.compare(rollout, now)
        seconds.append(time.perf_counter() - start)
        now += _EVERY
    engine.dispose()
    later = seconds[1:]
    return {
        "verdicts": verdicts,
        "first_look_seconds": round(seconds[0], 2),
        "later_look_seconds_median": round(median(later), 3),
        "later_look_seconds_most": round(max(later), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
