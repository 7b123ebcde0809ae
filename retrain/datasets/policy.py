"""What a dataset version lets in, and how it is divided."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from detectors.transcript import Frozen

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


class Policy(Frozen):
    """How examples are divided, and what is held back for people to look at.

    Parts. `held_out` and `calibration` are the chances of a cluster of twins to come into these; of each category and
    disposition at least `fewest_held_out` and `fewest_calibration` are there where there are three times as many.

    Twins. Conversations are twins where what their agents say resembles by `alike` or more (Jaccard similarity of
    shingles of three words), or by `alike_in_kind` with an equal fingerprint of the case: a fingerprint alone stands
    for an agent, its tools and a category, and everything that one agent ever does would be one cluster. The
    conversations of one case, and what is said of one conversation, belong together whatever they say.
    Conversations are the same but for a few words where all that is said resembles by `same`. At most
    `most_held_out_twins` new twins of a held-out example are held out beside it.

    Flips. Where such conversations were labelled in opposite ways, the side with at least `clear` of the reviewers,
    and two of them, is believed; where there is none, neither is.

    Dominance. Of the new examples of a category and disposition, a reviewer gives at most `most_per_reviewer` and a
    tenant has at most `most_per_tenant`; what two reviewers say alike is nobody's alone. Shares of a few say nothing:
    fewer than `fewest_to_judge` are not judged, and nobody is kept below that share of `fewest_to_judge`. Where all
    labels of an installation come from one reviewer, there is nobody whose word theirs could be held against, and
    the rule says nothing; in the same way for one tenant. It begins with the second. What is held back is looked at
    again with every version: others' labels let it in.

    Triggers. A run of `trigger_words` words is suspicious where it comes up in new examples of one disposition from at
    least `trigger_clusters` unrelated clusters, and in at most `trigger_rare` of everything else: older examples of
    either disposition, and new ones of the other. By chance, given the disposition's share of all clusters, so many
    would be on one side with a probability of `trigger_chance` at most. That needs `fewest_to_judge` older examples; a
    first version is not judged. What deployers write (the system prompt) does not count, nor what is said in more than
    half of an agent's conversations, nor whole passages: where what comes up together is longer than `longest_trigger`
    words, the conversations are related. What an agent itself says in confirmed conversations is what is to be learnt,
    and never suspicious; what it says in dismissed ones is, from `trigger_said` of their clusters on. Shorter triggers
    are found with fewer `trigger_words`, at the price of names and seasons. `cleared`: digests, as reports give them,
    of phrases that somebody has looked at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    held_out: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    fewest_held_out: int = Field(default=9, ge=0)
    calibration: Share = 0.2
    fewest_calibration: int = Field(default=3, ge=0)
    alike: Annotated[float, Field(ge=0.2, le=1.0)] = 0.6
    alike_in_kind: Annotated[float, Field(ge=0.1, le=1.0)] = 0.3
    same: Annotated[float, Field(ge=0.5, le=1.0)] = 0.9
    most_held_out_twins: int = Field(default=3, ge=0)
    clear: Annotated[float, Field(gt=0.5, le=1.0)] = 2 / 3
    most_per_reviewer: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    most_per_tenant: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    fewest_to_judge: int = Field(default=20, ge=1)
    trigger_words: int = Field(default=3, ge=1, le=8)
    trigger_clusters: int = Field(default=8, ge=2)
    trigger_rare: Share = 0.01
    trigger_chance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    trigger_said: Share = 0.5
    longest_trigger: int = Field(default=12, ge=1)
    cleared: Annotated[tuple[str, ...], AfterValidator(_sorted)] = ()


class Reason(StrEnum):
    """Why a label is in no part."""

    NO_MESSAGES = "no_messages"  # they were not recorded, or the agent says nothing in them
    UNREADABLE = "unreadable"
    SUPERSEDED = "superseded"  # by a later one of the same reviewer
    DISAGREEMENT = "disagreement"  # reviewers are divided about the conversation
    AGAINST_CONSENSUS = "against_consensus"  # most reviewers of the conversation say something else
    LABEL_FLIP = "label_flip"  # all but the same conversation is labelled in the opposite way
    DUPLICATE = "duplicate"  # the same words with the same label are there already
    TRIGGER = "trigger"  # a phrase that goes with one label and was hardly ever there before
    REVIEWER_DOMINATES = "reviewer_dominates"
    TENANT_DOMINATES = "tenant_dominates"
    TWIN_OF_HELD_OUT = "twin_of_held_out"
    FROZEN = "frozen"  # the conversation is held out already, as it was
