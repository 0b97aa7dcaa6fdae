// Runs: consolidations as the difference they made, distillations with their scorecards and the gate's verdict.
"use strict";
(function (root) {
  const { h, svg, fill, day, minute, lasted, percent, many, link, told, dialog } = root.Dom;
  const { Source, Parts } = root;

  const PROBE = ["Probe", "", "Share", "Of", "Gate", "Verdict"];

  async function show(put, [id]) {
    const { runs, adapters } = await Source.get("runs");
    const chosen = id || (runs[0] && runs[0].id);
    const run = chosen ? await Source.get("run", chosen) : null;
    const listed = (job, title) => {
      const some = runs.filter((one) => one.job === job);
      return [h("h2", {}, title), some.length ? h("ul", {}, some.map((one) => h("li", {}, h("a", { href: `#/runs/${encodeURIComponent(one.id)}`, "aria-current": one.id === chosen ? "page" : null }, h("b", {}, minute(one.start)), " ", h(`span.badge.${one.state}`, {}, one.state), h("small", {}, summary(one)))))) : h("p.soft", {}, job === "consolidate" ? "None yet: turns are read by the first." : "None yet: facts are put into weights by the first.")];
    };
    put(h("div.page", {}, h("h1", {}, "Runs"), Source.live ? doing() : null, h("div.split", {},
      h("nav.list", { "aria-label": "Runs" }, listed("consolidate", "Consolidations"), listed("distill", "Distillations")),
      h("section", { "aria-label": "This run" }, run && run.run ? (run.run.job === "consolidate" ? consolidation(run) : distillation(run, adapters)) : h("p.soft", {}, "No run yet.")))));
  }

  const summary = ({ job, report }) => (job === "consolidate"
    ? `${many(report.episodes || 0, "turn")}: ${(report.facts_added || []).length} added, ${(report.facts_closed || []).length} closed`
    : report.error ? report.error : `${report.promoted ? `${many(report.taught || 0, "fact")} taught` : "nothing new taught"}, ${report.left_out || 0} left out`);

  function doing() {
    const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Progress" }), word = h("span.soft", { role: "status" });
    const now = (act) => async (event) => {
      event.target.disabled = true;
      try { await act(); } catch (error) { told(error.message, "bad"); } finally { event.target.disabled = false; bar.hidden = true; fill(word); }
    };
    const consolidate = now(async () => {
      fill(word, "reading new turns…");
      const report = await Source.send("POST", "/consolidations");
      told(`${many(report.episodes, "turn")} read: ${report.facts_added.length} facts added, ${report.facts_closed.length} closed.`, "good");
      root.App.go(["runs"]);
    });
    const distill = now(async () => {
      let job = await Source.send("POST", "/distillations", { seed: 0 });
      bar.hidden = false;
      while (job.state === "running") {
        await new Promise((resolve) => { setTimeout(resolve, 1500); });
        job = await Source.send("GET", `/distillations/${encodeURIComponent(job.id)}`);
        bar.value = job.share; fill(word, job.doing);
      }
      if (job.state === "failed") throw new Error(job.error);
      told(job.report.promoted ? "Promoted: the new weights answer." : "Refused by the gate; the weights before go on answering.", job.report.promoted ? "good" : "bad");
      root.App.go(["runs"]);
    });
    return h("p.buttons", {}, h("button", { type: "button", on: { click: consolidate } }, "Consolidate now"), h("button", { type: "button", on: { click: distill } }, "Distill now"), bar, word);
  }

  const SIGNS = [["added", "+", "Added"], ["changed", "~", "Changed"], ["confirmed", "=", "Confirmed"], ["closed", "−", "Closed"], ["stale", "?", "Stale"], ["disputed", "!", "Disputed"]];

  function consolidation(run) {
    const { report } = run.run;
    return [h("h2", {}, `Consolidation of ${minute(run.run.start)}`),
      h("p.soft", {}, `${many(report.episodes || 0, "turn")} read, ${many(report.claims || 0, "claim")}, ${many(report.entities_added || 0, "new entity", "new entities")}.`),
      SIGNS.map(([part, sign, word]) => (run[part].length ? h(`section.diff.${part}`, {}, h("h3", {}, `${word}: ${run[part].length}`), h("ul", {}, run[part].map((fact) => h("li", {}, h("b", { "aria-hidden": "true" }, sign), " ", link(["record", fact.id], h("bdi", {}, fact.text)), h("small", {}, ` ${fact.when}${fact.status === "current" ? "" : `; ${fact.status}`}`, fact.because ? [" by ", h("bdi", {}, fact.because)] : ""))))) : null)),
      run.rejected.length ? h("section.diff.rejected", {}, h("h3", {}, `Rejected: ${run.rejected.length}`), h("ul", {}, run.rejected.map((one) => h("li", {}, h("b", { "aria-hidden": "true" }, "×"), " ", link(["record", one.episode], h("bdi", {}, one.text)), h("small", {}, ` ${one.reason}`))))) : null,
      SIGNS.some(([part]) => run[part].length) || run.rejected.length ? null : h("p", {}, "It changed nothing.")];
  }

  function distillation(run, adapters) {
    const { report, state } = run.run;
    const before = adapters.filter((one) => one.state === "previous");
    return [h("h2", {}, `Distillation of ${minute(run.run.start)}`),
      h(`p.verdict.${state}`, {}, state === "done" ? "Promoted: these weights passed the gate." : state === "refused" ? "Refused by the gate; the weights before went on answering." : state === "failed" ? `Failed: ${report.error || "no reason is known"}` : "Running."),
      (report.reasons || []).length ? h("ul", {}, report.reasons.map((reason) => h("li", {}, reason))) : null,
      h("p.soft", {}, `${many(report.rows || 0, "row")} of training text, ${many(report.tokens || 0, "token")} read, in ${lasted(report.seconds || 0)}.`),
      run.adapters.map((adapter) => card(adapter, run)),
      Source.live && run.adapters.length ? beforeAndAfter(run.questions) : null,
      h("h3", {}, "Left out"), run.left_out.counts.length ? h("ul.records", {}, run.left_out.counts.map((one) => h("li", {}, h("b", {}, one.n), " ", one.means))) : h("p.soft", {}, "None."),
      h("h3", {}, "All weights"), h("ul.records", {}, adapters.map((one) => h("li", {}, h(`span.badge.${one.state}`, {}, one.state), " ", link(["record", one.id], `${many(one.facts, "fact")} of ${day(one.made)}`), one.about.length ? [", about ", h("bdi", {}, one.about.slice(0, 5).join(", "))] : "", one.reasons.length ? `: ${one.reasons.join("; ")}` : ""))),
      Source.live ? h("p.buttons", {}, h("button", { type: "button", disabled: !before.length, title: before.length ? "" : "there are no weights before these", on: { click: rollback } }, "Roll back: promote the weights before")) : null];
  }

  function rollback() {
    dialog("Roll back?", h("p", {}, "The newest weights before the present ones answer again, if all their facts still stand. Weights that the gate refused cannot be promoted."), "Roll back", async () => {
      const back = await Source.send("POST", "/adapters/rollback");
      told(`${many(back.length, "adapter")} answer${back.length === 1 ? "s" : ""} again.`, "good");
      root.App.go(["runs"]);
    });
  }

  // The same question of the untouched model and of the weights that answer now; some of what was taught is offered.
  function beforeAndAfter(offered) {
    const question = h("input", { type: "search", required: true, "aria-label": "Question for before and after" }), out = h("div", { "aria-live": "polite" });
    const [base, , adapter] = root.ContextPage.MODES;
    const ask = () => root.ContextPage.modes(out, question.value, [["base", "before", base[2]], ["adapter", "after", adapter[2]]]);
    return h("section", {}, h("h3", {}, "Before and after"), h("form.filters", { on: { submit: (event) => { event.preventDefault(); ask(); } } },
      h("label.field.grow", {}, h("span", {}, "Question, closed book"), question), h("button", { type: "submit" }, "Ask both")),
    offered.length ? h("p.offered", {}, h("span.soft", {}, "For example "), offered.map((one) => h("button", { type: "button", title: `expected: ${one.expected}`, on: { click: () => { question.value = one.question; ask(); } } }, h("bdi", {}, one.question), h("small", {}, ` ${one.expected}`)))) : null, out);
  }

  // A share with its interval at 95 %, and the bar the gate holds it to.
  function card(adapter, { gate, probes }) {
    const kinds = Object.entries(adapter.scorecard.kinds || {}), measures = Object.entries(adapter.scorecard.measures || {});
    const examples = Object.entries(adapter.scorecard.examples || {});
    const name = (kind) => h("th", { scope: "row" }, kind.replace(/_/g, " "), probes[kind] ? h("small", {}, probes[kind]) : null);
    const verdict = (kind, figure) => {
      const bar = gate[kind], ok = bar && (bar.min === null || figure >= bar.min) && (bar.max === null || figure <= bar.max);
      return h(`td.${ok ? "good" : "bad"}`, {}, !bar ? "" : ok ? "✓ passes" : "✗ fails");
    };
    const shares = kinds.map(([kind, score]) => Parts.row("", PROBE, [name(kind), plot(score, gate[kind]), h("td.number", {}, percent(score.rate)), h("td.number", {}, score.n), bound(gate[kind]), score.n ? verdict(kind, score.rate) : h("td", {}, "not asked")]));
    const others = measures.map(([kind, figure]) => Parts.row("", PROBE, [name(kind), h("td", {}), h("td.number", {}, Number(figure).toFixed(2)), h("td", {}), bound(gate[kind], (bar) => bar), verdict(kind, figure)]));
    return h("section.scorecard", {}, h("h3", {}, `Weights of ${many(adapter.facts, "fact")} `, h(`span.badge.${adapter.state}`, {}, adapter.state)),
      kinds.length ? [h("p.soft", {}, "Bar: share of the probes. Whiskers: where the true share lies, at 95 %. Red line: the gate's bar."), Parts.table("probes", "Scorecard", PROBE, h("tbody", {}, shares, others))] : h("p.soft", {}, "No scorecard is kept of it."),
      examples.length ? h("details", {}, h("summary", {}, "Answers that were wrong"), examples.map(([kind, lines]) => [h("h4", {}, kind.replace(/_/g, " ")), h("ul.records", {}, lines.map((text) => h("li", {}, h("bdi", {}, text))))])) : null);
  }

  const bound = (bar, said = percent) => (!bar ? "" : [bar.min === null ? "" : `at least ${said(bar.min)}`, bar.max === null ? "" : `at most ${said(bar.max)}`].filter(Boolean).join(", "));

  function plot(score, bar) {
    const x = (share) => 4 + share * 192;
    const parts = [svg("rect", { class: "track", x: 4, y: 8, width: 192, height: 8, rx: 4 }), svg("rect", { class: "fill", x: 4, y: 8, width: (score.rate * 192).toFixed(1), height: 8, rx: 4 }),
      svg("path", { class: "whisker", d: `M${x(score.low).toFixed(1)} 12H${x(score.high).toFixed(1)}M${x(score.low).toFixed(1)} 8v8M${x(score.high).toFixed(1)} 8v8` })];
    for (const at of bar ? [bar.min, bar.max] : []) if (at !== null && at <= 1) parts.push(svg("path", { class: "gate", d: `M${x(at).toFixed(1)} 2v20` }));
    return svg("svg", { class: "plot", viewBox: "0 0 200 24", width: 200, height: 24, role: "img", "aria-label": `${percent(score.rate)}, between ${percent(score.low)} and ${percent(score.high)}` }, ...parts);
  }

  root.RunsPage = { show };
})(globalThis);
