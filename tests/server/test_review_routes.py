"""Reviews and the audit's proof over REST."""

from __future__ import annotations

from memory_agent.memories import Memories
from memory_agent.testing.extractor import MarkedExtractor


def test_an_admin_reviews_and_a_writer_does_not(memories: Memories, client: object) -> None:
    memory = memories.of("bo", tenant="acme")
    said = {"bo": "{Ana Abel | lives_in | Rome}", "Mallory": "{Ana Abel | likes | chess}"}
    memory.add([{"role": "user", "speaker": by, "content": text} for by, text in said.items()])
    memory.consolidate(extractor=MarkedExtractor())
    admin, writer = client("admin"), client("writer")  # type: ignore[operator]
    (waiting,) = admin.get("/v1/spaces/bo/review").json()["items"]
    assert (waiting["fact"]["object"], waiting["reason"]) == ("chess", "untrusted")
    ids = {"ids": [waiting["fact"]["id"]]}
    assert writer.get("/v1/spaces/bo/review").status_code == 403
    assert writer.post("/v1/spaces/bo/review/approve", json=ids).status_code == 403
    approved = admin.post("/v1/spaces/bo/review/approve", json=ids, headers={"Idempotency-Key": "k"})
    assert approved.json() == ids, "an answer that is kept must not hold what was remembered"
    assert admin.get("/v1/spaces/bo/review").json()["items"] == []
    assert admin.post("/v1/spaces/bo/review/reject", json=ids).status_code == 200
    assert admin.post("/v1/spaces/bo/review/reject", json=ids).status_code == 404
    assert admin.get("/v1/spaces/bo/audit/verify").json()["whole"] is True
    assert client("admin", "beta").get("/v1/spaces/bo/review").json()["items"] == []  # type: ignore[operator]
