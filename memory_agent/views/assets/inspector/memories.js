// Memories as a table that filters and sorts, and one record's page with what may be done to it.
"use strict";
(function (root) {
  const { h, fill, many, percent, link, dialog, told } = root.Dom;
  const { Source, Parts } = root;
  const STEP = 100;
  const HEADS = [["text", "Fact"], ["about", "About"], ["cls", "Class"], ["when", "True"], ["status", "Status"], ["confidence", "Confidence"], ["sources", "Sources"], ["weights", "Weights"]];
  const NAMES = HEADS.map(([, word]) => word);
  const kept = { words: "", cls: "", status: "", taught: "", by: "text", down: false, most: STEP };
  const VALUE = { text: (r) => r.fact.text, about: (r) => r.about, cls: (r) => r.fact.cls, when: (r) => `${r.fact.from || "~"} ${r.fact.to || "~"}`,
    status: (r) => r.fact.status, confidence: (r) => r.fact.confidence, sources: (r) => r.sources, weights: (r) => r.weights };

  // What weights know of a fact, as the table's filter and a reader want it.
  function inWeights(fact, weights, taught) {
    if (taught.has(fact.id)) return "known by heart";
    const why = weights.untaught[fact.id];
    return why ? `not taught: ${weights.reasons[why] || why}` : "may be taught";
  }

  async function show(put) {
    const [data, weights] = await Promise.all([Source.get("graph"), Source.get("weights")]);
    const names = new Map(data.nodes.map((node) => [node.id, node.name]));
    const taught = new Set(weights.taught);
    const rows = data.facts.filter((fact) => fact.retired === null).map((fact) => ({ fact, about: names.get(fact.subject) || "", sources: fact.sources.length, weights: inWeights(fact, weights, taught) }));
    if (!rows.length) {
      put(h("div.page", {}, h("h1", {}, "Memories"), Parts.empty("Nothing is known yet", "Facts appear here once turns were taken in and consolidated.", Source.live ? [link(["audit"], "Take turns in"), ", then ", link(["runs"], "consolidate"), "."] : "")));
      return;
    }
    const body = h("tbody", {}), count = h("p.soft", { role: "status" }), more = h("button", { type: "button", on: { click: () => { kept.most += STEP; draw(); } } }, "Show more");
    const heads = HEADS.map(([by, word]) => h("th", { scope: "col", "data-by": by, "aria-sort": "none" }, h("button.plain", { type: "button", on: { click: () => { kept.down = kept.by === by && !kept.down; kept.by = by; draw(); } } }, word)));

    function draw() {
      const words = kept.words.toLowerCase().split(/\s+/).filter(Boolean);
      const found = rows.filter((row) => (!kept.cls || row.fact.cls === kept.cls) && (!kept.status || row.fact.status === kept.status)
        && (!kept.taught || row.weights.startsWith(kept.taught)) && words.every((word) => `${row.fact.text} ${row.about} ${row.fact.sources.map((s) => s[3]).join(" ")}`.toLowerCase().includes(word)));
      const key = VALUE[kept.by];
      found.sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * (kept.down ? -1 : 1); });
      heads.forEach((head) => head.setAttribute("aria-sort", head.dataset.by === kept.by ? (kept.down ? "descending" : "ascending") : "none"));
      sorting.value = kept.by;
      fill(body, found.slice(0, kept.most).map(({ fact, about, sources, weights }) => Parts.row(fact.status, NAMES, [
        link(["record", fact.id], h("bdi", {}, fact.text)), h("bdi", {}, about), Parts.chip(fact.cls), fact.when, Parts.status(fact.status),
        h("td.number", {}, percent(fact.confidence)), h("td.number", {}, sources), weights])));
      fill(count, found.length === rows.length ? many(rows.length, "memory", "memories") : `${found.length.toLocaleString("en")} of ${many(rows.length, "memory", "memories")}`);
      more.hidden = found.length <= kept.most;
    }

    const select = (name, label, options) => h("label.field", {}, h("span", {}, label), h("select", { on: { change: (event) => { kept[name] = event.target.value; kept.most = STEP; draw(); } } },
      options.map(([key, word]) => h("option", { value: key, selected: kept[name] === key }, word))));
    const some = (list) => [["", "any"], ...[...new Set(list)].sort().map((word) => [word, word])];
    const sorting = h("select", { on: { change: () => { kept.by = sorting.value; kept.down = false; draw(); } } }, HEADS.map(([by, word]) => h("option", { value: by }, word.toLowerCase())));
    put(h("div.page", {}, h("h1", {}, "Memories"),
      h("div.filters", { role: "search" }, h("label.field", {}, h("span", {}, "Find"), h("input", { type: "search", value: kept.words, on: { input: (event) => { kept.words = event.target.value; kept.most = STEP; draw(); } } })),
        select("cls", "Class", some(rows.map((r) => r.fact.cls))), select("status", "Status", some(rows.map((r) => r.fact.status))),
        select("taught", "Weights", [["", "any"], ["known", "known by heart"], ["may", "may be taught"], ["not", "not taught"]]), h("label.field.narrow", {}, h("span", {}, "Sorted by"), sorting)), count,
      Parts.table("memories", "Table of memories", heads, body), more));
    draw();
  }

  async function record(put, [id]) {
    const found = await Source.get("record", id);
    const graph = await Source.get("graph");
    const sources = found.sources.map((s) => [s.episode, s.start, s.end, s.quote, s.speaker, s.day]);
    const section = (title, ...rest) => h("section", {}, h("h2", {}, title), ...rest);
    const fact = found.kind === "fact";
    put(h("div.page.record", {},
      h("p.mini", {}, link(["memories"], "← Memories")),
      h("h1", {}, h("bdi", {}, found.title)), h("p.soft", {}, found.kind, " ", h("code", {}, id)),
      Source.live && found.can.length ? h("p.buttons", {}, actions(found, id)) : null,
      h("div.columns", {},
        h("div", {}, section("What it says", h("dl", {}, found.fields.map(([name, text]) => [h("dt", {}, name), h("dd", {}, h("bdi", {}, text))]))),
          found.taught ? section("Weights", h("p", {}, found.taught), found.adapters.length ? h("ul.records", {}, found.adapters.map((a) => h("li", {}, h("small", {}, a.state), h("span", {}, link(["record", a.id], `adapter ${a.id.slice(0, 12)}`), a.version ? `, taught version ${a.version}` : "", a.reasons.length ? `: ${a.reasons.join("; ")}` : "")))) : null) : null,
          fact ? section("In whose words", Parts.quotes(sources, graph.sessions)) : null),
        h("div", {}, fact ? section("History", Parts.records(found.versions)) : null,
          section("Rests on", Parts.records(found.rests_on, "Nothing that is kept here.")), section("What rests on it", Parts.records(found.supports, "Nothing.")),
          fact ? h("p", {}, link(["graph", "fact", id], "Show it in the graph")) : null,
          found.kind === "entity" ? h("p", {}, link(["graph", "around", id], "Show it in the graph")) : null))));
  }

  function actions(found, id) {
    const made = [];
    if (found.can.includes("edit")) made.push(h("button", { type: "button", on: { click: () => edit(id, found.is) } }, "Correct"));
    if (found.can.includes("correct")) made.push(h("button", { type: "button", on: { click: () => correct(found, id) } }, "Correct the words"));
    if (found.can.includes("merge")) made.push(h("button", { type: "button", on: { click: () => merge(found, id) } }, "Merge into…"));
    if (found.can.includes("split")) made.push(h("button", { type: "button", on: { click: () => split(found, id) } }, "Split off again…"));
    if (found.can.includes("forget")) made.push(h("button.danger", { type: "button", on: { click: () => forget(id, found.title) } }, "Forget…"));
    return made;
  }

  const field = (name, input) => h("label.field", {}, h("span", {}, name), input);

  // `is` holds the fact as it is: subject, predicate, object, valid_from, valid_to.
  function edit(id, is) {
    const date = (value, hint) => h("input", { value: value || "", placeholder: hint, pattern: "\\d{4}(-\\d\\d(-\\d\\d)?|-W\\d\\d)?", title: "2024, 2024-03 or 2024-03-14" });
    const object = h("input", { value: is.object, required: true }), from = date(is.valid_from, "2024, 2024-03 or 2024-03-14"), to = date(is.valid_to, "still so");
    dialog("Correct this fact", h("div", {}, h("p", {}, h("bdi", {}, is.subject), ` ${is.predicate.replace(/_/g, " ")} …`),
      field("What is so", object), field("True from", from), field("True until", to), h("p.soft", {}, "The correction is kept in the conversation “edits” as its source; what it replaces is withdrawn.")), "Correct", async () => {
      const body = {};
      if (object.value !== is.object) body.object = object.value;
      if (from.value && from.value !== is.valid_from) body.valid_from = from.value;
      if (to.value && to.value !== is.valid_to) body.valid_to = to.value;
      if (!Object.keys(body).length) throw new Error("Nothing was changed.");
      const now = await Source.send("PATCH", `/records/${encodeURIComponent(id)}`, body);
      told("Corrected.", "good");
      root.App.go(["record", now.record.id]);
    });
  }

  function correct(found, id) {
    const text = found.content;
    const words = h("textarea", { rows: 5, required: true }, text);
    dialog("Correct the words of this turn", h("div", {}, field("What was said", words), h("p.soft", {}, "What was read in it falls, and it is read again by the next consolidation.")), "Correct", async () => {
      await Source.send("PATCH", `/records/${encodeURIComponent(id)}`, { content: words.value });
      told("Corrected.", "good");
      root.App.go(["record", id]);
    });
  }

  async function merge(found, id) {
    const { nodes } = await Source.get("graph");
    const others = nodes.filter((node) => node.entity && node.id !== id).sort((a, b) => (a.name < b.name ? -1 : 1));
    const into = h("select", { required: true }, others.map((node) => h("option", { value: node.id }, `${node.name} (${node.type})`)));
    dialog("Are they one?", h("div", {}, h("p", {}, h("b", {}, h("bdi", {}, found.title)), " is from now on the same as"), field("The one whose name stays", into), h("p.soft", {}, "It can be taken back: what was read keeps its own entity.")), "Merge", async () => {
      const kept = await Source.send("POST", "/merge", { id, into: into.value });
      told("They are one now.", "good");
      root.App.go(["record", kept.record.id]);
    });
  }

  function split(found, id) {
    dialog("Split off again?", h("p", {}, h("bdi", {}, found.title), " is on its own again, with the facts that were read of it."), "Split", async () => {
      await Source.send("POST", "/split", { id });
      told("They are two again.", "good");
      root.App.go(["record", id]);
    });
  }

  // Nothing is forgotten before it was shown what else goes.
  function forget(id, title) {
    const reason = h("input", { value: "asked for", required: true, "aria-label": "Why" });
    const what = h("div", { role: "status" }, Parts.wait("Looking what else would go…"));
    dialog("Forget this?", h("div", {}, h("p", {}, h("bdi", {}, title)), what, field("Why (kept in the audit; name no content)", reason)), "Forget for good", async () => {
      const gone = await Source.send("POST", "/forget", { id, reason: reason.value });
      told(`Forgotten: ${summed(gone)}.`, "good");
      root.App.go(["memories"]);
    }, { danger: true, before: (go) => {
      go.disabled = true;
      Source.send("POST", "/forget", { id, reason: "dry run", dry_run: true }).then(async (report) => {
        const graph = await Source.get("graph");
        const text = new Map([...graph.nodes.map((n) => [n.id, n.name]), ...graph.facts.map((f) => [f.id, f.text])]);
        fill(what, h("p", {}, "This would go: ", h("b", {}, summed(report)), "."),
          h("ul.records", {}, Object.entries(report.forgotten).filter(([kind]) => kind !== "claim").flatMap(([kind, ids]) => ids.slice(0, 12).map((one) => h("li", {}, h("small", {}, kind), " ", h("bdi", {}, text.get(one) || one))))),
          report.redacted.length ? h("p", {}, `${many(report.redacted.length, "turn")} ${report.redacted.length === 1 ? "stays" : "stay"}, with these words cut out.`) : null,
          report.adapters_off.length ? h("p.bad", {}, `${many(report.adapters_off.length, "adapter")} would be switched off.`) : null);
        go.disabled = false;
      }).catch((error) => fill(what, h("p.bad", {}, error.message)));
    } });
  }

  const summed = (report) => Object.entries(report.forgotten).map(([kind, ids]) => many(ids.length, kind, kind.endsWith("y") ? `${kind.slice(0, -1)}ies` : `${kind}s`)).join(", ") || "nothing more";

  root.MemoriesPage = { show, record, forget, summed, inWeights };
})(globalThis);
