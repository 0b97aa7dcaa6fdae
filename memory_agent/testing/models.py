"""Stand-ins for an embedder and a chat model: deterministic, offline, and honest about what they were asked."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field, SkipValidation

Reply = str | AIMessage | Exception


class HashEmbedder(Embeddings):
    """Bag-of-words vectors by the hashing trick: texts that share words are near, the same text always the same vector.

    Each word and its first five letters (a crude stem) fall on one of `dimension` places with a sign;
    vectors are of unit length (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning").
    """

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension
        self.texts_embedded = 0
        """How many texts were embedded so far, for tests of caching."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A list of `dimension` floats for each text."""
        self.texts_embedded += len(texts)
        return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The vector of `text`, `dimension` floats."""
        return self.embed_documents([text])[0]

    def _vector(self, text: str) -> list[float]:
        vector = np.zeros(self.dimension, dtype=np.float64)
        for word in re.findall(r"\w+", text.lower()):
            for feature in (word, f"{word[:5]}~"):
                place = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big")
                vector[place % self.dimension] += 1.0 if place >> 63 else -1.0
        length = float(np.linalg.norm(vector))
        if length == 0:
            vector[0] = length = 1.0
        return [float(x) for x in vector / length]


class ScriptedReranker:
    """A reranker that scores by a function of question and text, and may take its time about it."""

    def __init__(self, score: Callable[[str, str], float], *, seconds: float = 0.0) -> None:
        self.score = score
        self.seconds = seconds
        """How long each pair takes."""
        self.pairs: list[tuple[str, str]] = []
        """Every pair scored so far."""

    def prepare(self) -> None:
        """Nothing to load."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """One number a text."""
        time.sleep(self.seconds * len(texts))
        self.pairs += [(question, text) for text in texts]
        return [self.score(question, text) for text in texts]


class ScriptedChatModel(BaseChatModel):
    """A chat model that says what it was told to, in order, and remembers what it was asked.

    `replies` holds texts, whole AIMessages (with tool calls) or exceptions to raise, or is one
    function of the messages. Asking more often than there are replies raises AssertionError.
    """

    replies: SkipValidation[Sequence[Reply] | Callable[[list[BaseMessage]], Reply]]
    prompts: list[list[BaseMessage]] = Field(default_factory=list)
    """The messages of every call so far."""
    tools: list[Any] = Field(default_factory=list)
    """What `bind_tools` was given last."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = len(self.prompts)
        self.prompts.append(list(messages))
        if callable(self.replies):
            reply = self.replies(list(messages))
        elif asked < len(self.replies):
            reply = self.replies[asked]
        else:
            raise AssertionError(f"the script has {len(self.replies)} replies, this is call {asked + 1}: {messages}")
        if isinstance(reply, Exception):
            raise reply
        message = reply if isinstance(reply, AIMessage) else AIMessage(content=reply)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Remember the tools; the script decides whether they are called."""
        self.tools = list(tools)
        return self
