"""Exports load with `datasets`, and TRL's trainers take them as they are: without network, with a tiny model."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from detectors.taxonomy import LABELS
from tests.safety_data import ANSWER, judged, judgement

pytestmark = [
    pytest.mark.retrain,
    pytest.mark.filterwarnings("ignore"),  # of other people's libraries, which we do not mend
]

TEMPLATE = (
    "{%- for message in messages %}<|{{ message.role }}|>"
    "{%- if message.reasoning_content is defined %}({{ message.reasoning_content }}){% endif %}{{ message.content }}"
    "{%- for call in message.tool_calls or [] %} [{{ call.function.name }}"
    "{%- for key, value in call.function.arguments.items() %} {{ key }}={{ value | tojson }}{% endfor %}]{% endfor %}"
    "{%- if message.role == 'assistant' %}[SEP]{% endif %}\n{% endfor %}"
    "{%- if add_generation_prompt %}<|assistant|>{% endif %}"
)


def _require(*modules: str) -> None:
    for name in modules:
        if os.environ.get("CI") == "true":
            importlib.import_module(name)
        else:
            pytest.importorskip(name, reason=f"{name} is missing: install the extra 'trainers'")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    _require("datasets")


@pytest.fixture
def trl() -> None:
    """Takes seconds to import."""
    _require("transformers", "trl")


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Any]:
    """Rows of one format as `datasets` reads them, from either form."""
    from datasets import load_dataset

    def load(folder: Path, name: str, form: str = "parquet") -> Any:
        file = str(folder / name / f"train.{'parquet' if form == 'parquet' else 'jsonl'}")
        return load_dataset(form, data_files=file, split="train", cache_dir=str(tmp_path / "cache"))

    return load


@pytest.fixture
def tokenizer(trl: None) -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    definition = Tokenizer.from_file(str(Path(__file__).parents[3] / "data" / "wordpiece.json"))
    made = PreTrainedTokenizerFast(
        tokenizer_object=definition, unk_token="[UNK]", pad_token="[PAD]", eos_token="[SEP]", cls_token="[CLS]"
    )
    made.chat_template = TEMPLATE
    return made


def _moments(row: dict[str, Any]) -> dict[str, str]:
    """Texts that look like moments: the reader of JSON makes moments of them, in UTC and without saying so."""
    if isinstance(row["day"], str):
        return {}
    return {"day": row["day"].date().isoformat(), "labelled_at": row["labelled_at"].replace(tzinfo=UTC).isoformat()}


@pytest.mark.parametrize("form", ["parquet", "json"])
@pytest.mark.parametrize("name", ["sft", "preferences", "rewards", "refusals"])
def test_datasets_read_the_rows_that_were_written(
    exported: Callable[..., Path], loaded: Callable[..., Any], name: str, form: str
) -> None:
    from retrain.safety_data.files import read_lines

    folder = exported()
    found = [{**row, **_moments(row)} for row in loaded(folder, name, form)]
    assert found == read_lines(folder, name)
    if name == "rewards":
        assert set(found[0]["turns"][0]["penalties"]) == set(LABELS)
    else:
        odd = next(row for row in found if row["conversation"] == "c7")
        agent = odd.get("rejected", odd["prompt"])
        if name == "preferences":
            first, second = agent[0]["tool_calls"]
            assert first["function"]["arguments"] == {"q": ["x", {"y": None}], "n": 1}
            assert second["function"]["arguments"] == {"arguments": "rm -r x"}


def test_the_folder_itself_is_a_dataset_with_a_configuration_for_each_format(
    exported: Callable[..., Path], tmp_path: Path
) -> None:
    from datasets import get_dataset_config_names, load_dataset

    folder = str(exported())
    assert get_dataset_config_names(folder) == ["sft", "preferences", "rewards", "refusals"]
    rows = load_dataset(folder, "sft", split="train", cache_dir=str(tmp_path / "cache"))
    assert rows[0]["completion"] == [{"role": "assistant", "content": ANSWER}]


@pytest.mark.long
@pytest.mark.parametrize("form", ["parquet", "json"])
def test_trl_takes_them_for_conversations_and_renders_them(
    exported: Callable[..., Path], loaded: Callable[..., Any], tokenizer: Any, form: str
) -> None:
    from trl.data_utils import apply_chat_template, is_conversational, maybe_extract_prompt

    folder = exported()
    for name in ("sft", "preferences", "refusals"):
        for row in loaded(folder, name, form):
            assert is_conversational(row)
            content = {key: row[key] for key in ("prompt", "completion", "chosen", "rejected") if key in row}
            assert maybe_extract_prompt(content)["prompt"] == row["prompt"]
            made = apply_chat_template(content, tokenizer)
            assert made["prompt"].endswith("<|assistant|>")
            assert all(made[key] for key in content)
    pairs = loaded(folder, "preferences", form).filter(lambda row: row["conversation"] == "c7")
    made = apply_chat_template({key: pairs[0][key] for key in ("prompt", "chosen", "rejected")}, tokenizer)
    assert made["rejected"].strip() == '[sql q=["x", {"y": null}] n=1] [sh arguments="rm -r x"][SEP]'
    assert made["chosen"].startswith("First I ask you")


def tiny(tokenizer: Any, *, classify: bool = False) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        num_labels=1,
    )
    return LlamaForSequenceClassification(config) if classify else LlamaForCausalLM(config)


def arguments(tmp_path: Path) -> dict[str, Any]:
    return {
        "output_dir": str(tmp_path / "out"),
        "per_device_train_batch_size": 2,
        "max_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_strategy": "no",
        "max_length": 256,
    }


@pytest.mark.long
def test_a_model_is_tuned_on_the_answers_and_on_nothing_that_the_agent_said_before(
    exported: Callable[..., Path], loaded: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    from trl import SFTConfig, SFTTrainer

    rows = loaded(exported([judged(), judged(judgement("l2"), conversation="c2")]), "sft")
    trainer = SFTTrainer(
        tiny(tokenizer), args=SFTConfig(**arguments(tmp_path)), train_dataset=rows, processing_class=tokenizer
    )
    (batch, *_) = trainer.get_train_dataloader()
    learnt = tokenizer.decode([each for each in batch["labels"][0].tolist() if each >= 0])
    assert "three invoices are still open" in learnt.lower()
    assert "let me see" not in learnt.lower()
    assert trainer.train().training_loss > 0


@pytest.mark.long
def test_preferences_and_rewards_are_learnt_from_the_pairs(
    exported: Callable[..., Path], loaded: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

    rows = loaded(exported(), "preferences")
    dpo = DPOTrainer(
        tiny(tokenizer),
        ref_model=tiny(tokenizer),
        args=DPOConfig(**arguments(tmp_path)),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    assert dpo.train().training_loss > 0
    reward = RewardTrainer(
        tiny(tokenizer, classify=True),
        args=RewardConfig(**arguments(tmp_path)),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    assert reward.train().training_loss > 0
