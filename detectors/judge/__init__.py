"""A language model as judge, without the network: what it is asked, and how its answers are read."""

from detectors.judge.answer import Evaluation, Extract, Extraction, MalformedAnswer, read_evaluation, read_extraction
from detectors.judge.chunks import MIN_CHUNK_CHARS, Excerpt, chunked, readable
from detectors.judge.combining import combine
from detectors.judge.instructions import attempts_to_instruct_judge
from detectors.judge.prompt import (
    PROMPT_VERSION,
    BoundaryInData,
    Request,
    TooManyExtracts,
    evaluation_request,
    extraction_request,
    extracts_request,
)
from detectors.judge.verdict import Attempt, Citation, JudgeVerdict, Reason, Teacher

__all__ = [
    "MIN_CHUNK_CHARS",
    "PROMPT_VERSION",
    "Attempt",
    "BoundaryInData",
    "Citation",
    "Evaluation",
    "Excerpt",
    "Extract",
    "Extraction",
    "JudgeVerdict",
    "MalformedAnswer",
    "Reason",
    "Request",
    "Teacher",
    "TooManyExtracts",
    "attempts_to_instruct_judge",
    "chunked",
    "combine",
    "evaluation_request",
    "extraction_request",
    "extracts_request",
    "read_evaluation",
    "read_extraction",
    "readable",
]
