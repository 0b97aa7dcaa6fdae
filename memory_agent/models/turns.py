"""What a model's chat template writes around what is said, so that other servers can write turns just as it was taught.

Taken by rendering: a server that knows only the model's own template may slip in a system line that `ChatFormat`
leaves out, and the student was taught without it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from memory_agent.models.template import ChatFormat

_SAID, _ANSWERED, _AGAIN = "\x00said\x00", "\x00answered\x00", "\x00again\x00"


@dataclass(frozen=True)
class Turns:
    """Text before and after a user's message, after an answer that ends, and between an answer and the next message."""

    before: str
    after: str
    end: str
    between: str
    answer_space: str = ""
    """What stands before an answer, of models without a template."""
    system_before: str = ""
    system_after: str = ""
    """Both empty where the template knows no system line."""

    @classmethod
    def of(cls, chat: ChatFormat) -> Turns:
        """What `chat` writes."""
        first = [{"role": "user", "content": _SAID}]
        more = [{"role": "assistant", "content": _ANSWERED}, {"role": "user", "content": _AGAIN}]
        before, after = chat.prompt(first).split(_SAID)
        between = chat.prompt([*first, *more]).split(_ANSWERED)[1].split(_AGAIN)[0]
        templated = bool(chat.tokenizer.chat_template)
        line = ["", ""]
        if templated:
            from jinja2.exceptions import TemplateError

            try:
                whole = chat.prompt([{"role": "system", "content": _AGAIN}, *first])
                line = whole.split(before + _SAID)[0].split(_AGAIN)
            except TemplateError:  # it knows no system role
                line = ["", ""]
        return cls(
            before=before,
            after=after,
            end=chat.tokenizer.decode(list(chat.stops[:1])),
            between=between,
            answer_space="" if templated else " ",
            system_before=line[0] if len(line) == 2 else "",
            system_after=line[1] if len(line) == 2 else "",
        )

    def jinja(self, *, marked: bool = False) -> str:
        """As a Jinja template; `marked` puts answers between generation marks, by which trainers know what to learn."""
        opened, closed = ("{% generation %}", "{% endgeneration %}") if marked else ("", "")
        said = {name: json.dumps(getattr(self, name)) for name in self.__dataclass_fields__}
        content = "message['content']"
        system = f"{{{{ {said['system_before']} + {content} + {said['system_after']} }}}}" if self.system_before else ""
        ended = f"{said['answer_space']} + {content} + ({said['end']} if loop.last else '')"
        return (
            "{%- for message in messages -%}"
            "{%- if message['role'] == 'assistant' -%}"
            f"{opened}{{{{ {ended} }}}}{closed}"
            f"{{%- elif message['role'] == 'system' -%}}{system}"
            "{%- elif loop.index0 > 0 and messages[loop.index0 - 1]['role'] == 'assistant' -%}"
            f"{{{{ {said['between']} + {content} + {said['after']} }}}}"
            "{%- else -%}"
            f"{{{{ {said['before']} + {content} + {said['after']} }}}}"
            "{%- endif -%}"
            "{%- endfor -%}"
        )

    def go(self) -> str:
        """As the Go template of an Ollama Modelfile, turn by turn."""
        system = f"{{{{ if .System }}}}{self.system_before}{{{{ .System }}}}{self.system_after}{{{{ end }}}}"
        told = f"{self.before}{{{{ .Prompt }}}}{self.after}{self.answer_space}{{{{ .Response }}}}{self.end}"
        return (system if self.system_before else "") + told
