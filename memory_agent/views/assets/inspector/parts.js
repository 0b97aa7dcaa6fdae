// Pieces that several pages show: chips, dates, quotes in their conversation.
"use strict";
(function (root) {
  const { h, fill, link, clean, day } = root.Dom;
  const { Source } = root;

  const chip = (cls) => h(`span.chip.cls-${cls}`, {}, h("i.swatch", { "aria-hidden": "true" }), cls);
  const status = (word) => h(`span.badge.${word}`, {}, word);
  const when = (fact) => `${fact.from || "?"} → ${fact.to || (fact.status === "current" ? "now" : "?")}`;

  // A turn's words with spans marked; spans are counted in code points, as Python counts.
  function marked(content, spans) {
    const letters = Array.from(content), parts = [];
    let at = 0;
    for (const [start, end, cls, id] of [...spans].sort((a, b) => a[0] - b[0] || b[1] - a[1])) {
      if (start < at || end > letters.length || start >= end) continue;
      parts.push(letters.slice(at, start).join(""));
      const words = letters.slice(start, end).join("");
      parts.push(h(`mark.cls-${cls || "other"}`, {}, id ? link(["record", id], words) : words));
      at = end;
    }
    return h("bdi.words", {}, [...parts, letters.slice(at).join("")]);
  }

  // Quotes, each of which opens to the turns around it.
  function quotes(sources, sessions) {
    return h("ul.quotes", {}, sources.map(([episode, start, end, quote, speaker, date]) => {
      const around = h("div.around", { hidden: true });
      const session = sessions[episode];
      const open = h("button.plain", { type: "button", "aria-expanded": "false", on: { click: async () => {
        const closed = around.hidden;
        open.setAttribute("aria-expanded", String(closed));
        around.hidden = !closed;
        if (closed && !around.firstChild) {
          try { fill(around, turnsAround(await Source.get("session", session), episode, [start, end])); }
          catch (error) { fill(around, h("p.bad", {}, error.message)); }
        }
      } } }, "in the conversation");
      return h("li", {}, h("blockquote", {}, h("bdi", {}, quote)),
        h("p.soft", {}, h("bdi", {}, speaker || "unknown"), date ? `, ${date} · ` : " · ", session !== undefined && Source.has("session") ? open : clean(episode)), around);
    }));
  }

  function turnsAround(session, episode, span) {
    const at = session.turns.findIndex((turn) => turn.id === episode);
    const shown = session.turns.slice(Math.max(0, at - 2), at + 2);
    return [shown.map((turn) => h(`p.turn${turn.id === episode ? ".it" : ""}`, {}, h("b", {}, h("bdi", {}, turn.speaker)), " ",
      turn.id === episode ? marked(turn.content, [[...span, "accent"]]) : h("bdi", {}, turn.content))),
    h("p", {}, link(["conversations", session.name, episode], "Open the whole conversation"))];
  }

  // Rows of {kind, id, text} as links to their records.
  const records = (rows) => (rows.length ? h("ul.records", {}, rows.map((row) => h("li", {}, h("small", {}, row.kind), " ",
    row.kind === "version" ? h("bdi", {}, row.text) : link([row.kind === "run" ? "runs" : "record", row.id], h("bdi", {}, row.text))))) : h("p.soft", {}, "None."));

  const wait = (text = "Reading…") => h("p.soft", { role: "status" }, text);

  root.Parts = { chip, status, when, marked, quotes, records, wait, day };
})(globalThis);
