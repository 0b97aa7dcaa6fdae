"""A chat as a model's own template writes it, without the system line some templates slip in.

The default line of SmolLM2's template is half the tokens of a short question and its answer, in
training and again at every answer; it is left out unless a system message is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, str]
"""`role` ("system", "user" or "assistant") and `content`."""

_PROBE = [{"role": "user", "content": "u"}]
_LINE = [{"role": "system", "content": "s"}]


class ChatFormat:
    """Turns messages into token ids for one tokenizer. Models without a template get `User:` / `Assistant:` lines."""

    def __init__(self, tokenizer: Any, stops: Sequence[int] = ()) -> None:
        """`stops`: ids that end an answer beside the tokenizer's own end of sequence."""
        self.tokenizer = tokenizer
        own = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
        self.stops: tuple[int, ...] = tuple(dict.fromkeys([*own, *stops]))
        self.pad = int(tokenizer.pad_token_id) if tokenizer.pad_token_id is not None else (self.stops or (0,))[0]
        self._injects = self._injects_a_line()

    def prompt(self, messages: str | Sequence[Message]) -> str:
        """The text a model is to continue: a question (a plain string), or a conversation that ends with the user."""
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else [dict(m) for m in messages]
        if not self.tokenizer.chat_template:
            lines = [f"{turn['role'].capitalize()}: {turn['content']}\n" for turn in turns]
            return "".join(lines) + "Assistant:"
        if self._injects and turns[0]["role"] != "system":
            line = self._render(_LINE, generate=False)
            return self._without(line, self._render([*_LINE, *turns]))
        return self._render(turns)

    def prompt_ids(self, messages: str | Sequence[Message]) -> list[int]:
        """`prompt` as token ids."""
        return self.ids(self.prompt(messages))

    def answer_ids(self, answer: str) -> list[int]:
        """An answer as token ids, with the end that makes the model stop."""
        spaced = answer if self.tokenizer.chat_template else f" {answer}"
        return [*self.ids(spaced), *self.stops[:1]]

    def ids(self, text: str) -> list[int]:
        """Token ids of `text`, nothing added."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def text(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out, spaces at the ends trimmed."""
        decoded: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return decoded.strip()

    def _render(self, turns: Sequence[Message], generate: bool = True) -> str:
        text: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generate)
        return text

    def _without(self, line: str, text: str) -> str:
        start = self.tokenizer.bos_token or ""
        rest = text[len(line) :]
        return start + rest if start and line.startswith(start) and not self._bos_is_a_turn() else rest

    def _bos_is_a_turn(self) -> bool:
        # SmolLM2's beginning of sequence is the mark that opens every turn.
        return self._render(_PROBE, generate=False).count(self.tokenizer.bos_token) > 1

    def _injects_a_line(self) -> bool:
        if not self.tokenizer.chat_template:
            return False
        from jinja2.exceptions import TemplateError

        try:
            line, both = self._render(_LINE, generate=False), self._render([*_LINE, *_PROBE])
        except TemplateError:  # a template that knows no system role has no line to leave out
            return False
        plain = self._render(_PROBE)
        return both.startswith(line) and len(self._without(line, both)) < len(plain)
