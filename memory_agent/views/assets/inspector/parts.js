// Pieces that several pages show: chips, dates, quotes in their conversation.
"use strict";
(function (root) {
  const { h, fill, link, clean } = root.Dom;
  const { Source } = root;

  const chip = (cls) => h(`span.chip.cls-${cls}`, {}, h("i.swatch", { "aria-hidden": "true" }), cls);
  const status = (word) => h(`span.badge.${word}`, {}, word);

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
  const records = (rows, none = "None.") => (rows.length ? h("ul.records", {}, rows.map((row) => h("li", {}, h("small", {}, row.number ? `${row.kind} ${row.number}` : row.kind),
    row.kind === "version" ? h("bdi", {}, row.text) : link([row.kind === "run" ? "runs" : "record", row.id], h("bdi", {}, row.text))))) : h("p.soft", {}, none));

  // A table whose rows become cards where the screen is narrow: each cell then stands beside its column's name.
  function table(what, label, heads, body) {
    const named = heads.map((head) => (head instanceof Node ? head : h("th", { scope: "col" }, head)));
    return h("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, h(`table.rows.${what}`, {}, h("thead", {}, h("tr", {}, named)), body));
  }
  function row(what, heads, cells) {
    const made = cells.map((cell) => (cell instanceof Node && /^T[DH]$/.test(cell.tagName) ? cell : h("td", {}, cell)));
    made.forEach((cell, at) => { if (heads[at]) cell.dataset.head = heads[at]; });
    return h(`tr${what ? `.${what}` : ""}`, {}, made);
  }

  // A page without anything on it: what it would show, and what to do about it.
  const empty = (title, ...rest) => h("div.empty", {}, h("h2", {}, title), rest.map((line) => h("p", {}, line)));

  const wait = (text = "Reading…") => h("p.soft", { role: "status" }, text);

  root.Parts = { chip, status, marked, quotes, records, table, row, empty, wait };
})(globalThis);
