"""The distilled model as a langchain chat model: the student, with the adapter that the question calls for.

Which adapter answers follows the router's rules (memory_agent.distillation.routing): a question about nobody
in the graph goes to the untouched student.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from memory_agent.answering import adapter_for
from memory_agent.memory import Memory
from memory_agent.models.local import LocalChatModel, LocalModel


class DistilledChatModel(BaseChatModel):
    """A user's student model with what was distilled into it: greedy, streaming, one conversation at a time.

    Raises ModelNotFound when the student is not on this machine, InvalidInput when the conversation is too long.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    memory: Memory
    max_new_tokens: int = 256

    @property
    def _llm_type(self) -> str:
        return "memory-agent-distilled"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"student": self.memory.space.settings.student, "space": self.memory.space.key}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_model_name"] = kwargs.get("model") or "distilled"
        return params

    def get_num_tokens(self, text: str) -> int:
        """Tokens of `text` in the student's tokenizer."""
        return self._plain().get_num_tokens(text)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._routed(messages)._generate(messages, stop, run_manager, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._routed(messages)._stream(messages, stop, run_manager, **kwargs)

    def _plain(self) -> LocalChatModel:
        local = LocalModel.load(self.memory.space.settings)
        return LocalChatModel(local=local, max_new_tokens=self.max_new_tokens)

    def _routed(self, messages: list[BaseMessage]) -> LocalChatModel:
        """The student with the adapter of the last question."""
        question = next((str(m.text) for m in reversed(messages) if m.type == "human"), "")
        model = self._plain()
        if question.strip():
            model.adapter = adapter_for(self.memory.space, question)
        return model
