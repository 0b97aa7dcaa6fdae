"""Answers drawn at a temperature, or begun in the model's own mouth: for measuring, not for serving."""

from __future__ import annotations

from pathlib import Path

from memory_agent.models.local import LocalModel, Prompt


def draw(
    student: LocalModel,
    prompt: Prompt,
    *,
    adapter: Path | None = None,
    begun: str = "",
    count: int = 1,
    temperature: float = 1.0,
    seed: int = 0,
    max_new_tokens: int = 24,
) -> list[str]:
    """`count` answers that go on from `begun`, from the whole distribution; at temperature 0 the likeliest, each time.

    The same arguments give the same answers. Raises ModelError when the adapter does not load.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with student.opened(adapter) as loaded, torch.inference_mode():
        ids = [*loaded.chat.prompt_ids(prompt), *loaded.chat.ids(begun)]
        x = torch.tensor([ids] * count, device=loaded.device)
        said: list[list[int]] = [[] for _ in range(count)]
        running = set(range(count))
        cache = loaded.begun(count)
        for _ in range(max_new_tokens):
            out = loaded.model(input_ids=x, past_key_values=cache, use_cache=True, **loaded.last_only)
            logits, cache = out.logits[:, -1].float().cpu(), out.past_key_values
            chosen = (
                torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
                if temperature > 0
                else logits.argmax(-1)
            )
            for n in sorted(running):
                token = int(chosen[n])
                if token in loaded.chat.stops:
                    running.discard(n)
                else:
                    said[n].append(token)
            if not running:
                break
            x = chosen[:, None].to(loaded.device)
        return [loaded.chat.text(one) for one in said]
