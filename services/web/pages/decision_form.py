"""What a person decided, as the form says it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from services.triage.case import Disposition
from services.triage.errors import NotAllowedError
from services.triage.label import LONGEST_ANSWER, LONGEST_COMMENT, Decision

_MOST_JSON: Final = 50_000
_FIELDS: Final = ("disposition", "conversation_id", "category", "spans", "corrected_answer", "comment", "seconds")


class DecisionForm(BaseModel):
    """`spans` is JSON. What is empty was not said. `once`: the same form counts once, however often it is sent."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    disposition: Disposition
    conversation_id: Annotated[str, Field(min_length=1, max_length=256)]
    category: Annotated[str, Field(max_length=64)] = ""
    spans: Annotated[str, Field(max_length=_MOST_JSON)] = ""
    corrected_answer: Annotated[str, Field(max_length=2 * LONGEST_ANSWER)] = ""
    comment: Annotated[str, Field(max_length=2 * LONGEST_COMMENT)] = ""
    seconds: Annotated[str, Field(max_length=32)] = ""
    once: Annotated[str, Field(max_length=64, pattern="^[A-Za-z0-9_-]*$")] = ""
    back: Annotated[str, Field(max_length=4000)] = ""

    @field_validator("corrected_answer", "comment")
    @classmethod
    def _lines_as_typed(cls, text: str) -> str:
        """Browsers send two characters for the end of a line."""
        return text.replace("\r\n", "\n")

    @property
    def decision(self) -> Decision:
        """Raises `NotAllowedError` that says where it makes no sense."""
        given: dict[str, Any] = {name: value for name in _FIELDS if (value := getattr(self, name)) != ""}
        try:
            if "spans" in given:
                given["spans"] = json.loads(self.spans)
            return Decision.model_validate(given)
        except ValidationError as error:
            fields = sorted({str(item["loc"][0]) if item["loc"] else "disposition" for item in error.errors()})
            raise NotAllowedError(f"this cannot be decided so; look again at: {', '.join(fields)}") from None
        except (ValueError, RecursionError):
            raise NotAllowedError("this cannot be decided so; look again at: spans") from None


class CaseDecisionForm(DecisionForm):
    """A decision about a case that was seen in this `version`."""

    version: Annotated[int, Field(ge=1, le=2**53)]
