"""The tokenizer of a bundle, with what the features need to know about its vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from detectors.errors import BundleError
from detectors.normalisation import fold_lookalikes, is_legible

MAX_CHARS_AT_ONCE: Final = 20_000
"""Longer texts are tokenised in chunks, which bounds memory; a chunk ends at white space where there is some."""


WORD_START: Final = "\u2581"
# Names of the first, the last and the padding token. Those of ours begin with a character that the tokenizer's
# normaliser drops: no text can spell them.
_SPECIAL_TOKENS: Final = (("[CLS]", "\ufeff<s>"), ("[SEP]", "\ufeff</s>"), ("[PAD]", "\ufeff<pad>"))


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """Token ids, shape [tokens], and for each the characters [start, end) of the text it stands for."""

    ids: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]


class TextTokenizer:
    """A tokenizer with character offsets into the text as given, before any normalisation.

    Look-alike letters are folded first (`fold_lookalikes`, which keeps offsets). Raises `BundleError` where
    `definition` is not a tokenizer with a beginning, an end and a padding token.
    """

    def __init__(self, definition: bytes) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(definition.decode())
        except Exception as error:  # tokenizers raises bare Exception
            raise BundleError(f"the tokenizer cannot be loaded: {type(error).__name__}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True  # "[SEP]" in somebody's text is text
        self.cls_id, self.sep_id, self.pad_id = (self._special(*names) for names in _SPECIAL_TOKENS)

    def _special(self, *names: str) -> int:
        for name in names:
            if (number := self._tokenizer.token_to_id(name)) is not None:
                return int(number)
        raise BundleError(f"the tokenizer has no {names[0]}")

    @cached_property
    def vocabulary(self) -> list[str]:
        """Tokens by id."""
        tokens = [""] * self._tokenizer.get_vocab_size(with_added_tokens=True)
        for token, number in self._tokenizer.get_vocab(with_added_tokens=True).items():
            tokens[number] = token
        return tokens

    def plain(self, text: str) -> NDArray[np.int32]:
        """Ids of a short text, without special tokens."""
        return np.asarray(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)

    def starts_word(self, token: str) -> bool:
        """Whether `token` of the vocabulary begins a word (WordPiece marks what continues, others what begins)."""
        return token.startswith(WORD_START) if self._marks_starts else not token.startswith("##")

    @cached_property
    def _marks_starts(self) -> bool:
        return any(token.startswith(WORD_START) for token in self.vocabulary)

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """All of each text, without special tokens. Empty where there is nothing to read."""
        chunks = [
            (number, base, chunk)
            for number, text in enumerate(texts)
            for base, chunk in _chunks(text)
            if is_legible(chunk)
        ]
        encodings = self._tokenizer.encode_batch(
            [fold_lookalikes(chunk) for _, _, chunk in chunks], add_special_tokens=False
        )
        found: list[list[NDArray[np.int32]]] = [[] for _ in texts]
        for (number, base, chunk), encoding in zip(chunks, encodings, strict=True):
            offsets = np.asarray(encoding.offsets, dtype=np.int32).reshape(-1, 2)
            offsets = _without_leading_space(offsets, chunk) + np.int32(base)
            found[number].append(np.column_stack([np.asarray(encoding.ids, dtype=np.int32), offsets]))
        return [_joined(parts) for parts in found]


def _without_leading_space(offsets: NDArray[np.int32], text: str) -> NDArray[np.int32]:
    """`offsets` [tokens, 2], less the space that SentencePiece counts to the word behind it."""
    for row, (start, end) in enumerate(offsets.tolist()):
        if end - start > 1 and text[start].isspace():
            offsets[row, 0] += 1
    return offsets


def _joined(parts: Sequence[NDArray[np.int32]]) -> TokenizedText:
    """One text from the tokens of its chunks, each [tokens, (id, start, end)]."""
    rows = np.concatenate([np.empty((0, 3), dtype=np.int32), *parts])
    return TokenizedText(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy())


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    while start < len(text):
        end = min(start + MAX_CHARS_AT_ONCE, len(text))
        if end < len(text) and (space := text.rfind(" ", start + MAX_CHARS_AT_ONCE // 2, end)) > 0:
            end = space
        yield start, text[start:end]
        start = end
