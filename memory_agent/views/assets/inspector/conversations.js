// Conversations: sessions, their turns, what was read in each and what was refused, with the reason.
"use strict";
(function (root) {
  const { h, day, minute, many, link } = root.Dom;
  const { Source, Parts } = root;

  async function show(put, [name, turn]) {
    const sessions = await Source.get("sessions");
    if (!sessions.length) { put(h("div.page", {}, h("h1", {}, "Conversations"), Parts.empty("Nothing was said yet", "Turns appear here as soon as they are taken in.", Source.live ? [link(["audit"], "Take turns in"), " from a file, or talk: ", h("code", {}, "memory-agent chat")] : ""))); return; }
    const chosen = name || sessions[0].name;
    const session = await Source.get("session", chosen);
    put(h("div.page", {}, h("h1", {}, "Conversations"), h("div.split", {},
      h("nav.list", { "aria-label": "Sessions" }, h("ul", {}, sessions.map((one) => h("li", {}, h("a", { href: `#/conversations/${encodeURIComponent(one.name)}`, "aria-current": one.name === chosen ? "page" : null },
        h("b", {}, h("bdi", {}, one.name)), h("small", {}, told(one))))))),
      h("section.turns", { "aria-label": `Session ${chosen}` }, h("h2", {}, h("bdi", {}, chosen)),
        h("p.buttons", {}, Source.live && session.turns.length ? h("button.danger", { type: "button", on: { click: () => root.MemoriesPage.forget(`session:${chosen}`, `the whole session ${chosen}`) } }, "Forget this session…") : null),
        session.turns.map((one) => turnOf(one, one.id === turn))))));
    if (turn) {
      const it = document.getElementById(`turn ${turn}`);
      if (it) { it.scrollIntoView({ block: "center" }); it.focus(); }
    }
  }

  const told = (one) => [`${day(one.start)} · ${many(one.turns, "turn")}`, one.claims || one.refused ? ` · ${many(one.claims, "claim")}` : "", one.refused ? `, ${one.refused} refused` : "", one.pending ? ` · ${one.pending} not read yet` : ""].join("");

  function turnOf(turn, it) {
    const spans = turn.facts.flatMap((fact) => fact.spans.map(([start, end]) => [start, end, fact.cls, fact.id]));
    return h(`article.turn.${turn.role}${it ? ".it" : ""}`, { id: `turn ${turn.id}`, tabindex: -1 },
      h("header", {}, h("b", {}, h("bdi", {}, turn.speaker)), " ", h("time", {}, minute(turn.at)), " ", link(["record", turn.id], "record"),
        turn.flags.map((flag) => [" ", h("span.badge.stale", { title: "screening saw this; it is kept out of facts" }, flag)]), turn.read ? null : [" ", h("span.badge", {}, "not read yet")]),
      h("p", {}, Parts.marked(turn.content, spans)),
      turn.facts.length ? h("ul.read", { "aria-label": "Read in it" }, turn.facts.map((fact) => h(`li.cls-${fact.cls}`, {}, h("i.swatch", { "aria-hidden": "true" }), link(["record", fact.id], h("bdi", {}, fact.text)), fact.status === "current" ? null : [" ", Parts.status(fact.status)]))) : null,
      turn.refused.length ? h("ul.refused", { "aria-label": "Refused" }, turn.refused.map((one) => h("li", {}, h("span.badge.refused", {}, "refused"), " ", h("bdi", {}, one.text), h("small", {}, `: ${one.reason}`)))) : null);
  }

  root.ConversationsPage = { show };
})(globalThis);
