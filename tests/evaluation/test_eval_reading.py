"""`eval consolidation`: counts of what was read, and a sample that a reader can judge."""

from __future__ import annotations

import json
from pathlib import Path

from memory_agent.evaluation import reading

TALK = {
    "sample_id": "c1",
    "qa": [],
    "conversation": {
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ana", "dia_id": "D1:1", "text": "I moved to Porto last month."},
            {"speaker": "Ben", "dia_id": "D1:2", "text": "Nice! My dog Rex says hi."},
        ],
    },
}


def test_what_was_read_is_counted_and_sampled_with_its_words(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps([TALK]))
    found = reading.run(f"locomo:{file}", sample=50)
    assert (found["turns"], found["failed"], found["rejected"]) == (2, 0, {})
    assert sum(found["facts_by_predicate"].values()) == found["facts"] == len(found["sample"])
    home = next(row for row in found["sample"] if row["predicate"] == "lives_in")
    assert (home["subject"], home["object"], str(home["valid_from"])) == ("Ana", "Porto", "2023-04")
    (source,) = home["sources"]
    assert source["turn"]["text"][source["start"] : source["end"]] == source["quote"]
    assert (
        reading.run(f"locomo:{file}", sample=1, seed=3)["sample"]
        == reading.run(f"locomo:{file}", sample=1, seed=3)["sample"]
    )
