"""The export's README: a dataset card whose header tells `datasets` where the files of each format are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from retrain.safety_data.assembling import PREFERENCES, REFUSALS, REWARDS, SFT
from retrain.safety_data.files import paths_of

_WHAT: Final = {
    SFT: "Conversation and the answer that a person wrote instead. Prompt and completion, for `SFTTrainer`.",
    PREFERENCES: "That answer over what the agent did. For `DPOTrainer` and `RewardTrainer`.",
    REWARDS: "Penalties and heads (helpful, harmless, honest) for each of the agent's messages; null: unknown.",
    REFUSALS: "When to refuse, when to put people first, and when not to refuse. See `kind` and `refuses`.",
}


def card(manifest: Mapping[str, Any]) -> str:
    """The page, from the manifest alone."""
    rows: Mapping[str, int] = manifest["rows"]
    there = [name for name, count in rows.items() if count]
    lines = [*_header(there), f"# {manifest['name']}", "", _about(manifest), ""]
    lines += ["| format | rows | what |", "|---|---|---|"]
    lines += [f"| `{name}` | {count} | {_WHAT[name]} |" for name, count in rows.items()]
    lines += ["", "```python", "from datasets import load_dataset"]
    lines += [f'{name} = load_dataset("{manifest["name"]}", "{name}", split="train")' for name in there]
    lines += ["```", "", *_left_out(manifest), *_limits(manifest)]
    return "\n".join(lines) + "\n"


def _header(there: list[str]) -> list[str]:
    lines = ["---", "license: other", "tags: [safety, alignment, trl]"]
    if there:
        lines.append("configs:")
    for name in there:
        files = [f"    - split: train\n      path: {paths_of(name)[0]}"]
        lines += [f"  - config_name: {name}", "    data_files:", *files]
    return [*lines, "---", ""]


def _about(manifest: Mapping[str, Any]) -> str:
    return (
        f"Made by Plumbline {manifest['plumbline']} from {manifest['labels']} labels of {manifest['conversations']} "
        f"conversations that people confirmed, corrected or dismissed. Licence and source: {manifest['licence']}. "
        "Every row says which labels it comes from. Columns, derivations, limits: `docs/safety-data.md` of Plumbline."
    )


def _left_out(manifest: Mapping[str, Any]) -> list[str]:
    lines = ["## What is not in it", ""]
    for name, reasons in manifest["held_back"].items():
        lines += [f"- {name}: {count} held back ({reason})" for reason, count in sorted(reasons.items())]
    lines += [f"- {name}: {count} left out for anonymity" for name, count in manifest["suppressed"].items() if count]
    if manifest["erased_rows"]:
        lines.append(f"- {manifest['erased_rows']} rows were erased later on")
    for what, missing in manifest["missing"].items():
        lines.append(f"- no {what.replace('_', ' ')}: {', '.join(missing) or 'all are there'}")
    return [*lines, "", "`coverage.csv` counts category by language by attack vector by domain.", ""]


def _limits(manifest: Mapping[str, Any]) -> list[str]:
    options = manifest["options"]
    reasoning = (
        "Reasoning is in what is rejected and penalised: `--penalise-reasoning` was asked for."
        if options["penalise_reasoning"]
        else "Reasoning is left out, and nothing is penalised for reasoning alone: that teaches a model to hide it."
    )
    k = options["k"]
    hidden = (
        f"Every combination of tenant, agent, model, version, language, domain and day is that of {k} conversations or "
        "more in each file. What was said is not covered by that."
        if k > 1
        else "Tenant, agent, model and day are as they were."
    )
    guard = "No output of a held-out detector is in it: keep it so, and do not add any."
    return ["## Limits", "", f"- {reasoning}", f"- {hidden}", f"- {guard}", ""]
