"""What someone would write in an afternoon: one message at a time through a text-classification pipeline.

Run as a process of its own: `afternoon.py BOOTSTRAP_SERVERS TRANSCRIPTS VERDICTS`, until stopped. It has the encoder's
architecture and base weights with an untrained head of as many labels: weights' values do not change the speed.
It reads all of the text, as Plumbline does, in chunks of 256 tokens.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from kafka import KafkaConsumer, KafkaProducer
from transformers import AutoTokenizer, BertForSequenceClassification, pipeline

from detectors.taxonomy import LABELS
from retrain.base import minilm_folder

CHUNK_TOKENS = 256


def main(bootstrap_servers: str, transcripts: str, verdicts: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    model = BertForSequenceClassification.from_pretrained(
        minilm_folder(), num_labels=len(LABELS), dtype=torch.float32
    ).eval()
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu", top_k=None)
    consumer = KafkaConsumer(
        transcripts,
        bootstrap_servers=bootstrap_servers,
        group_id="afternoon",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        value_deserializer=json.loads,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    producer = KafkaProducer(
        bootstrap_servers=bootstrap_servers, value_serializer=lambda value: json.dumps(value).encode()
    )
    for message in consumer:
        event = message.value
        chunks = split(tokenizer, text_of(event))
        answers = classify(chunks, truncation=True, max_length=CHUNK_TOKENS, function_to_apply="sigmoid")
        scores: dict[str, float] = {}
        for answer in answers:
            for item in answer:
                scores[item["label"]] = max(item["score"], scores.get(item["label"], 0.0))
        verdict = {"event_id": event["event_id"], "chunks": len(chunks), "scores": scores}
        producer.send(verdicts, key=message.key, value=verdict)
        producer.flush()
        consumer.commit()


def text_of(event: dict[str, Any]) -> str:
    lines = []
    for message in event["messages"]:
        for part in message["parts"]:
            content = part.get("content") or part.get("arguments") or part.get("response") or ""
            lines.append(f"{message['role']}: {content if isinstance(content, str) else json.dumps(content)}")
    return "\n".join(lines)


def split(tokenizer: Any, text: str) -> list[str]:
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    size = CHUNK_TOKENS - 2
    groups = [offsets[first : first + size] for first in range(0, len(offsets), size)]
    return [text[group[0][0] : group[-1][1]] for group in groups]


if __name__ == "__main__":
    main(*sys.argv[1:])
