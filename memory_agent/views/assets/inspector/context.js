// Context: what a model would be shown for a question, which arm found what, and the answers of the four modes.
"use strict";
(function (root) {
  const { h, fill, many, percent, link } = root.Dom;
  const { Source, Parts } = root;
  const MODES = [["base", "base", "the small model alone, untouched"], ["retrieval", "retrieval", "reads what is found"], ["adapter", "weights", "closed book, with what was distilled"], ["both", "both", "reads what is found, with the weights on"]];
  const HITS = ["Rank", "What", "Score", "Arms"];
  const kept = { question: "", budget: 800 };

  async function show(put) {
    if (!Source.live) { put(h("div.page", {}, h("h1", {}, "Context"), h("p", {}, "An exported page cannot ask; run ", h("code", {}, "memory-agent inspect"), "."))); return; }
    const question = h("input", { type: "search", required: true, value: kept.question, placeholder: "Where does she live?" });
    const budget = h("input", { type: "number", min: 1, max: 100000, value: kept.budget });
    const out = h("div", { "aria-live": "polite" }), answers = h("div", { "aria-live": "polite" });
    const ask = async (event) => {
      event.preventDefault();
      kept.question = question.value; kept.budget = Number(budget.value);
      fill(answers); fill(out, Parts.wait("Searching… the first question loads the models."));
      try { fill(out, shown(await Source.send("POST", "/context", { question: question.value, budget: kept.budget }))); }
      catch (error) { fill(out, h("p.bad", { role: "alert" }, error.message)); }
    };
    const four = h("button", { type: "button", on: { click: () => question.reportValidity() && modes(answers, question.value, MODES) } }, "Ask in four modes");
    put(h("div.page", {}, h("h1", {}, "Context"), h("form.filters", { on: { submit: ask } },
      h("label.field.grow", {}, h("span", {}, "Question"), question), h("label.field", {}, h("span", {}, "Tokens at most"), budget), h("button.primary", { type: "submit" }, "Show the context"), four), answers, out));
    fill(out, h("p.soft", {}, "Shows the text that a model would be given for a question, what it costs in tokens, and how each line was found. “Ask in four modes” has the small model answer it, with and without that text and with and without what it was taught."));
  }

  function shown(context) {
    const parts = Object.entries(context.parts).filter(([, n]) => n > 0);
    const facts = (hit) => hit.record.text || `${hit.record.speaker}: ${hit.record.content}`;
    return [
      h("h2", {}, `The exact context, ${many(context.tokens, "token")}`),
      h("div.bar", { role: "img", "aria-label": parts.map(([name, n]) => `${name} ${n} tokens`).join(", ") || "empty" }, parts.map(([name, n], at) => h(`span.part-${at % 4}`, { style: { "flex-grow": n } }, `${name} ${n.toLocaleString("en")}`))),
      h("pre", { tabindex: 0, "aria-label": "Context" }, h("bdi", {}, context.text || "Nothing was found.")),
      h("h2", {}, "Which arm found what"),
      context.hits.length ? Parts.table("hits", "Hits", HITS, h("tbody", {}, context.hits.map((hit, n) => Parts.row("", HITS, [h("td.number", {}, n + 1), link(["record", hit.record.id], h("bdi", {}, facts(hit))), h("td.number", {}, hit.score.toFixed(2)), arms(hit.why)])))) : h("p.soft", {}, "No arm found anything."),
    ];
  }

  const arms = (why) => h("ul.arms", {}, Object.entries(why.scores).sort((a, b) => b[1] - a[1]).map(([arm, score]) => h("li", {}, h("span", {}, arm), h("meter", { min: 0, max: 1, value: Math.max(0, Math.min(1, score)), "aria-label": `${arm} ${score.toFixed(2)}` }), h("small", {}, score.toFixed(2), why.ranks[arm] ? `, rank ${why.ranks[arm]}` : ""))), why.note ? h("li", {}, h("small", {}, why.note)) : null);

  // The same question in several modes, side by side; one after the other, since they share one model.
  async function modes(place, question, wanted) {
    const cards = new Map(wanted.map(([mode, word, means]) => [mode, h("div.card", {}, h("h3", {}, word), h("p.soft", {}, means), Parts.wait("Asking…"))]));
    fill(place, h("h2", {}, h("bdi", {}, question)), h("div.cards", {}, [...cards.values()]));
    for (const [mode, word, means] of wanted) {
      try {
        const answer = await Source.send("POST", "/ask", { question, mode });
        fill(cards.get(mode), h("h3", {}, word), h("p.soft", {}, means), answer.text.trim() ? h("p.answer", {}, h("bdi", {}, answer.text)) : h("p.answer.soft", {}, "(it said nothing)"),
          h("p.soft", {}, `answered by ${answer.mode}, ${many(answer.tokens, "token")}`, answer.confidence === null ? "" : `, its least sure word at ${percent(answer.confidence)}`, answer.note ? `. ${answer.note}` : ""),
          answer.sources.length ? h("p.soft", {}, "rests on ", answer.sources.slice(0, 6).map((id, n) => [n ? ", " : "", link(["record", id], `source ${n + 1}`)])) : null);
      } catch (error) { fill(cards.get(mode), h("h3", {}, word), h("p.bad", {}, error.message)); }
    }
  }

  root.ContextPage = { show, modes, MODES };
})(globalThis);
