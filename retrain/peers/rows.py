"""The rows that peers are scored on, as JSON lines `{set, row, misaligned, said, all}`.

`said` is what the agent says, thinks and does, which is what Plumbline judges; `all` is every part of the conversation,
which is where an injected instruction would be.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from detectors.bundle import TOKENIZER, load_bundle
from detectors.loading import DEFAULT_BUNDLE, windower_of
from detectors.tokens import TextTokenizer
from detectors.transcript import part_text
from retrain.baseline import agents_words
from retrain.evaluate import Options, drawn, sets_of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+", help="files or folders of labelled transcripts")
    parser.add_argument("--per-set", type=int, default=Options().per_set)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE, help="whose windows decide what can be scored")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    options = Options(per_set=arguments.per_set)
    windower = windower_of(bundle.manifest, TextTokenizer(bundle.files[TOKENIZER]), max_windows=options.max_windows)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", encoding="utf-8") as lines:
        for name, everything in sets_of(arguments.sets).items():
            for number, item in enumerate(drawn(everything, windower, options)):
                messages = item.conversation.event.messages
                row = {
                    "set": name,
                    "row": number,
                    "misaligned": item.conversation.misaligned,
                    "said": agents_words(messages),
                    "all": "\n".join(part_text(part) or "" for message in messages for part in message.parts),
                }
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
