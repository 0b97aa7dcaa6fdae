"""A trainer of your own: a plain training loop over the job's chat.jsonl. `memory.distill(trainer=train)`.

Whatever it does, the gate judges the adapter it leaves, by questions that are not in the job.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 40


def train(job: Path, out: Path, progress: Callable[[float, str], None] | None = None) -> Path:
    """Train a small LoRA on the rows, a row a step, and leave it in `out`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plan = json.loads((job / "job.json").read_text("utf-8"))
    rows = [json.loads(line) for line in (job / "chat.jsonl").read_text("utf-8").splitlines()]
    torch.manual_seed(plan["seed"])
    tokenizer: Any = AutoTokenizer.from_pretrained(plan["base_folder"])
    base: Any = AutoModelForCausalLM.from_pretrained(plan["base_folder"], dtype=torch.float32)
    model: Any = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    for step in range(STEPS):
        said = tokenizer.apply_chat_template(rows[step % len(rows)]["messages"], return_tensors="pt", return_dict=True)
        model(**said, labels=said["input_ids"]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if progress:
            progress((step + 1) / STEPS, f"step {step + 1}")
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    return out
