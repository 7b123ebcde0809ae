"""The tokenizer of a bundle, with what the features need to know about its vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from detectors.errors import BundleError
from detectors.normalisation import fold_lookalikes, is_legible

MAX_CHARS_AT_ONCE: Final = 20_000
"""Longer texts are tokenised in chunks, which bounds memory; a chunk ends at white space where there is some."""


_IS_SPACE: Final = np.asarray([chr(point).isspace() for point in range(0x3002)])
"""By code point; the last stands for all that follow: U+3000 is the last white space of Unicode."""
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
        counts = np.asarray([len(encoding) for encoding in encodings], dtype=np.intp)
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.int32)
        offsets = chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings))
        start, end = np.fromiter(offsets, dtype=np.int32).reshape(-1, 2).T
        start = start + _leading_space(start, end, [chunk for _, _, chunk in chunks], counts)
        base = np.repeat(np.asarray([base for _, base, _ in chunks], dtype=np.int32), counts)
        start, end = start + base, end + base
        of_text = np.zeros(len(texts), dtype=np.intp)
        np.add.at(of_text, np.asarray([number for number, _, _ in chunks], dtype=np.intp), counts)
        last = np.cumsum(of_text)
        slices = [slice(*bounds) for bounds in zip((last - of_text).tolist(), last.tolist(), strict=True)]
        return [TokenizedText(ids[tokens], start[tokens], end[tokens]) for tokens in slices]


def _leading_space(
    start: NDArray[np.int32], end: NDArray[np.int32], texts: Sequence[str], counts: NDArray[np.intp]
) -> NDArray[np.int32]:
    """1 for each token that SentencePiece counts the space before it to, else 0; `counts` tokens are of each text."""
    characters = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
    lengths = np.asarray([len(text) for text in texts], dtype=np.intp)
    base = np.repeat(np.cumsum(lengths) - lengths, counts)
    found = np.zeros(len(start), dtype=np.int32)
    longer = np.flatnonzero(end - start > 1)
    found[longer] = _IS_SPACE[np.minimum(characters[start[longer] + base[longer]], len(_IS_SPACE) - 1)]
    return found


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    while start < len(text):
        end = min(start + MAX_CHARS_AT_ONCE, len(text))
        if end < len(text) and (space := text.rfind(" ", start + MAX_CHARS_AT_ONCE // 2, end)) > 0:
            end = space
        yield start, text[start:end]
        start = end
