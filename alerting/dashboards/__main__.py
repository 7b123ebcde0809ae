"""Writes the dashboards' JSON; with `--check`, says whether it is current.

python -m alerting.dashboards [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from alerting.dashboards.boards import BOARDS
from alerting.dashboards.panels import json_of

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


def files() -> dict[str, str]:
    """Name → content of every file."""
    return {f"{board.uid}.json": json.dumps(json_of(board), indent=1, sort_keys=True) + "\n" for board in BOARDS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    wanted = files()
    there = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    if check:
        stale = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        if stale:
            sys.stderr.write(f"not current: {', '.join(stale)}; write them with `python -m alerting.dashboards`\n")
        return 1 if stale else 0
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, content in wanted.items():
        (FOLDER / name).write_text(content, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
