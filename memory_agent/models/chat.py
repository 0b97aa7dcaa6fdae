"""Chat models by name: the local student, an OpenAI-compatible endpoint, or any of langchain's providers."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput, MissingExtra


def load_chat_model(spec: str | BaseChatModel, settings: Settings) -> BaseChatModel:
    """The chat model that `spec` names.

    "local" is the student model of the settings, in this process. "openai:<name>" is a model of
    the `openai` client, at `settings.base_url` where one is set (vLLM, Ollama, llama.cpp).
    "<provider>:<name>" is left to langchain's `init_chat_model`. A model is passed through.

    Raises InvalidInput when the spec has no such form, MissingExtra when langchain is not
    installed, ModelNotFound when the student's weights are not on this machine.
    """
    if isinstance(spec, BaseChatModel):
        return spec
    if spec == "local":
        from memory_agent.models.local import LocalChatModel

        return LocalChatModel.load(settings)
    provider, colon, name = spec.partition(":")
    if not colon or not name:
        raise InvalidInput(
            f"model {spec!r}: say 'local', 'openai:<name>', '<provider>:<name>', or pass a BaseChatModel"
        )
    if provider == "openai":
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=name, base_url=settings.base_url or None)
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtra(f"the model {spec!r}", "providers") from error
    model: BaseChatModel = init_chat_model(name, model_provider=provider)
    return model
