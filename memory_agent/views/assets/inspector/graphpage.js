// The page around the drawing: filters that are the legend, two sliders of time, what is chosen and where it was said.
"use strict";
(function (root) {
  const { h, svg, fill, day, percent, many, cut, say, link } = root.Dom;
  const { Source, Moments, Drawing, Parts } = root;
  const MOST_ROWS = 80, MOST_BARS = 72;
  const kept = { off: new Set(), past: true, words: "", when: null, known: Moments.NOW, scope: { kind: "all" }, everything: false, chosen: null };
  let page = null;

  async function show(put, [kind, id]) {
    const data = await Source.get("graph");
    if (!data.facts.length) { nothing(put); return null; }
    if (page) page.close();
    page = new Page(data, put);
    if (kind === "around" && id) page.enter({ kind: "node", id });
    else if (kind === "fact" && id) page.chooseFact(id);
    return () => { page.close(); page = null; };
  }

  function nothing(put) {
    const told = [Source.lead, "What this memory knows is drawn here once turns were taken in and consolidated.",
      Source.live ? ["Take a file in under ", link(["audit"], "Audit"), ", then consolidate it under ", link(["runs"], "Runs"), ". Or talk: ", h("code", {}, "memory-agent chat")] : null];
    put(h("div.page", {}, h("h1", {}, "Graph"), Parts.empty("Nothing is known yet", ...told.filter(Boolean))));
  }

  class Page {
    constructor(data, put) {
      this.data = data;
      this.canvas = h("div.canvas", { id: "canvas", tabindex: 0, role: "application", "aria-roledescription": "graph",
        "aria-label": "Graph. Arrow keys go from node to node, Enter opens, F shows what is near, Escape goes back, plus and minus zoom.",
        on: { keydown: (event) => this.key(event) } });
      this.panel = h("aside.panel", { "aria-label": "What is chosen", tabindex: -1 });
      this.crumbs = h("nav.crumbs", { "aria-label": "Part of the graph" });
      this.empty = h("div.nothing", { hidden: true }, h("p", {}, "Nothing to see at this moment with these filters."),
        h("button", { type: "button", on: { click: () => this.reset() } }, "Show everything, as of now"));
      this.told = h("p.told", {});
      this.validStops = Moments.validStops(data.facts);
      this.knownStops = Moments.knownStops(data.facts);
      const tools = h("div.tools", {},
        this.tool("+", "Nearer", () => this.drawing.zoom(1.3)), this.tool("−", "Further", () => this.drawing.zoom(1 / 1.3)),
        this.tool("⤢", "Show all of it", () => this.drawing.fit()));
      put(h("div.graph", {},
        this.rail(), h("section.stage", { "aria-label": "Drawing" }, this.crumbs, this.canvas, this.empty, tools, this.times()), this.panel));
      this.drawing = new Drawing(this.canvas, data, { choose: (what) => this.choose(what), enter: (what) => this.enter(what) });
      this.drawing.view = this.view();
      this.scope(this.drawing.has(kept.scope) ? kept.scope : { kind: "all" }, false);
      this.whole.hidden = !this.drawing.large;
      this.theme = () => this.drawing.restyle();
      document.addEventListener("theme", this.theme);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.theme);
    }

    tool(mark, name, act) { return h("button", { type: "button", title: name, "aria-label": name, on: { click: act } }, mark); }

    view() {
      return { when: kept.when, known: kept.known, classes: this.classes, past: kept.past, words: kept.words };
    }

    // The legend is the filter: each class with its colour and how many facts it has.
    rail() {
      const counts = new Map();
      for (const fact of this.data.facts) if (fact.retired === null) counts.set(fact.cls, (counts.get(fact.cls) || 0) + 1);
      const present = root.CLASSES.filter((cls) => counts.has(cls));
      this.classes = new Set(present.filter((cls) => !kept.off.has(cls)));
      const boxes = present.map((cls) => h(`label.check.cls-${cls}`, {},
        h("input", { type: "checkbox", checked: this.classes.has(cls), "data-cls": cls, on: { change: (event) => {
          if (event.target.checked) { this.classes.add(cls); kept.off.delete(cls); } else { this.classes.delete(cls); kept.off.add(cls); }
          this.redraw();
        } } }), h("i.swatch", { "aria-hidden": "true" }), h("span", {}, cls), h("small", {}, counts.get(cls))));
      this.all = (on) => {
        this.classes = new Set(on ? present : []);
        kept.off = new Set(on ? [] : present);
        boxes.forEach((box) => { box.querySelector("input").checked = on; });
        this.redraw();
      };
      const find = h("input", { type: "search", id: "find", placeholder: "name or word", value: kept.words, "aria-label": "Find in the graph",
        on: { input: (event) => { kept.words = event.target.value; clearTimeout(this.typing); this.typing = setTimeout(() => this.redraw(), 90); } } });
      const past = h("label.check", {}, h("input", { type: "checkbox", id: "past", checked: kept.past, on: { change: (event) => { kept.past = event.target.checked; this.redraw(); } } }),
        h("i.line.over", { "aria-hidden": "true" }), h("span", {}, "what is over, faded"));
      this.whole = h("label.check", { title: "Draws each fact instead of groups" },
        h("input", { type: "checkbox", id: "everything", checked: kept.everything, on: { change: (event) => this.scope({ kind: "all" }, event.target.checked) } }),
        h("span", {}, "draw every fact"));
      return h("aside.rail", { "aria-label": "Filters and legend" },
        h("label.field", {}, h("span", {}, "Find"), find),
        h("fieldset", {}, h("legend", {}, "Classes"), h("p.mini", {}, h("button.plain", { type: "button", on: { click: () => this.all(true) } }, "all"), h("button.plain", { type: "button", on: { click: () => this.all(false) } }, "none")), boxes),
        h("fieldset", {}, h("legend", {}, "Show"), past, this.whole),
        h("fieldset.key", {}, h("legend", {}, "Legend"),
          h("p", {}, h("i.dot.hub", { "aria-hidden": "true" }), "much is known of it"), h("p", {}, h("i.dot.entity", { "aria-hidden": "true" }), "person, place or thing"),
          h("p", {}, h("i.dot.value", { "aria-hidden": "true" }), "a value"), h("p", {}, h("i.line", { "aria-hidden": "true" }), "holds"),
          h("p", {}, h("i.line.over", { "aria-hidden": "true" }), "superseded or ended"), h("p", {}, h("i.line.doubt", { "aria-hidden": "true" }), "stale or disputed")));
    }

    times() {
      const valid = this.slider("when", "True at", this.validStops, this.data.facts.flatMap((fact) => [fact.start, fact.end]), kept.when, (moment) => { kept.when = moment; });
      const known = this.slider("known", "Known at", this.knownStops, this.data.facts.flatMap((fact) => [fact.recorded, fact.retired]), kept.known === Moments.NOW ? null : kept.known, (moment) => { kept.known = moment === null ? Moments.NOW : moment; });
      this.play = h("button.play", { type: "button", "aria-label": "Play time", title: "Play time", on: { click: () => this.toggle(valid) } }, "▶");
      valid.row.append(this.play);
      this.sliders = [valid.input, known.input];
      return h("div.times", { role: "group", "aria-label": "Time" }, valid.row, known.row, this.told);
    }

    // A slider over the days on which something changes; its right end is now.
    slider(id, word, stops, moments, moment, set) {
      const at = moment === null ? stops.length : Math.max(0, stops.indexOf(moment));
      const output = h("output", { for: id });
      const input = h("input", { type: "range", id, min: 0, max: stops.length, value: at, step: 1, disabled: stops.length < 1 });
      const said = () => {
        const n = Number(input.value), text = n >= stops.length ? "now" : day(stops[n]);
        fill(output, text);
        input.setAttribute("aria-valuetext", text);
      };
      input.addEventListener("input", () => {
        const n = Number(input.value);
        set(n >= stops.length ? null : stops[n]);
        said();
        this.redraw();
      });
      said();
      return { input, row: h("div.time", {}, h("label", { for: id }, word), this.marks(stops, moments), input, output) };
    }

    // What the two sliders ask together, as a sentence.
    sentence() {
      const { when, known } = kept, now = known === Moments.NOW;
      const true_ = when === null ? `What ${now ? "holds now" : "held"}` : `What was true on ${day(when)}`;
      return now ? `${true_}, by what is known today.` : `${true_}, as this memory believed on ${day(known)}.`;
    }

    reset() {
      kept.words = ""; kept.past = true;
      for (const slider of this.sliders) { slider.value = slider.max; slider.dispatchEvent(new Event("input")); }
      document.getElementById("find").value = "";
      document.getElementById("past").checked = true;
      this.all(true);
    }

    // How much changes around each stop, as small bars over the slider.
    marks(stops, moments) {
      const bars = Math.min(stops.length, MOST_BARS), counts = new Array(bars).fill(0);
      const mark = svg("svg", { class: "marks", viewBox: `0 0 ${Math.max(bars, 1) * 10} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
      let at = 0;
      for (const moment of moments.filter((one) => one !== null).sort((a, b) => a - b)) {
        while (at < stops.length - 1 && stops[at] < moment) at++;
        if (bars) counts[Math.floor((at * bars) / stops.length)]++;
      }
      const most = Math.max(1, ...counts);
      counts.forEach((n, place) => {
        const high = (18 * Math.sqrt(n / most)).toFixed(1);
        mark.append(svg("rect", { x: place * 10 + 1, y: 20 - high, width: 8, height: high }));
      });
      return mark;
    }

    toggle(valid) {
      if (this.timer) { this.stop(); return; }
      const { input } = valid, steps = Number(input.max);
      if (Number(input.value) >= steps) input.value = 0;
      this.play.textContent = "❚❚";
      this.timer = setInterval(() => {
        input.value = Number(input.value) + Math.max(1, Math.round(steps / 120));
        input.dispatchEvent(new Event("input"));
        if (Number(input.value) >= steps) this.stop();
      }, 240);
    }

    stop() {
      clearInterval(this.timer);
      this.timer = null;
      this.play.textContent = "▶";
    }

    close() {
      this.stop();
      clearTimeout(this.filling);
      clearTimeout(this.typing);
      document.removeEventListener("theme", this.theme);
      matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.theme);
      this.drawing.close();
    }

    scope(scope, everything = kept.everything) {
      kept.scope = scope;
      kept.everything = everything;
      const box = document.getElementById("everything");
      if (box) box.checked = everything;
      this.drawing.show(scope, everything);
      this.drawing.choose(null);
      kept.chosen = null;
      const here = scope.kind === "all" ? "" : scope.kind === "group" ? this.drawing.name({ kind: "group", id: scope.id }) : `near ${this.drawing.names.get(scope.id)}`;
      fill(this.crumbs, scope.kind === "all" ? h("span", {}, "Everything") : h("button.plain", { type: "button", on: { click: () => this.scope({ kind: "all" }) } }, "Everything"),
        here ? [" › ", h("span", { "aria-current": "true" }, here)] : null,
        scope.kind === "around" ? [" ", h("label.hops", {}, "within ", h("select", { "aria-label": "How near", on: { change: (event) => this.scope({ ...scope, hops: Number(event.target.value) }) } },
          [1, 2, 3].map((n) => h("option", { value: n, selected: n === scope.hops }, many(n, "fact")))))] : null);
      this.redraw();
      this.fillPanel();
    }

    redraw() {
      const seen = this.drawing.draw(this.view());
      this.empty.hidden = seen.size > 0;
      fill(this.told, this.sentence());
      clearTimeout(this.filling);
      this.filling = setTimeout(() => this.fillPanel(), 120);
    }

    choose(what) {
      kept.chosen = what;
      this.drawing.choose(what);
      this.fillPanel();
      if (what) say(`${this.drawing.name(what)}, ${many(this.drawing.factsOf(what).length, "fact")}`);
    }

    chooseFact(id) {
      const edge = this.drawing.edges.find((one) => one.id === id);
      if (!edge) return;
      if (this.drawing.large) this.scope({ kind: "around", id: edge.subject, hops: 1 });
      this.choose({ kind: "fact", id: edge.key });
    }

    enter(what) {
      if (what.kind === "group") this.scope({ kind: "group", id: what.id });
      else if (what.kind === "node") { this.scope({ kind: "around", id: what.id, hops: 1 }); this.choose(what); }
      else this.choose(what);
    }

    key(event) {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const done = () => { event.preventDefault(); event.stopPropagation(); };
      if (ways[event.key]) {
        const next = this.drawing.towards(...ways[event.key]);
        if (next) this.choose(next);
        done();
      } else if (event.key === "Enter" && kept.chosen) {
        if (kept.chosen.kind === "group") this.enter(kept.chosen); else this.panel.focus();
        done();
      } else if (event.key.toLowerCase() === "f" && kept.chosen && kept.chosen.kind === "node") { this.enter(kept.chosen); done(); }
      else if (event.key === "Escape") { if (kept.chosen) this.choose(null); else if (kept.scope.kind !== "all") this.scope({ kind: "all" }); done(); }
      else if (event.key === "+" || event.key === "=") { this.drawing.zoom(1.25); done(); }
      else if (event.key === "-") { this.drawing.zoom(0.8); done(); }
      else if (event.key === "0") { this.drawing.fit(); done(); }
    }

    fillPanel() {
      const what = kept.chosen;
      if (what && what.kind === "fact") { this.factPanel(what); return; }
      const facts = this.drawing.factsOf(what);
      const holds = facts.filter((one) => one.state === "holds").length;
      const node = what && what.kind === "node" ? this.drawing.byId.get(what.id) : null;
      fill(this.panel,
        h("header", {}, what || !Source.lead ? null : h("p", {}, Source.lead), h("h2", {}, what ? this.drawing.name(what) : "In view"),
          h("p.soft", {}, node && node.type !== "value" ? `A ${node.type}. ` : "", `${many(facts.length, "fact")}: ${holds.toLocaleString("en")} hold${holds === 1 ? "s" : ""}`, facts.length - holds ? `, ${(facts.length - holds).toLocaleString("en")} ${facts.length - holds === 1 ? "is" : "are"} over` : "", "."),
          what && what.kind === "group" ? h("button.primary", { type: "button", on: { click: () => this.enter(what) } }, "Open this group") : null,
          node ? h("p.buttons", {}, h("button", { type: "button", on: { click: () => this.enter(what) } }, "Only what is near"),
            node.entity && Source.has("record") ? link(["record", node.id], "Its record") : null) : null),
        h("ul.facts", {}, facts.slice(0, MOST_ROWS).map((one) => h(`li.cls-${one.fact.cls}${one.state === "past" ? ".over" : ""}`, {},
          h("button.row", { type: "button", on: { click: () => this.choose({ kind: "fact", id: one.key }) } }, h("i.swatch", { "aria-hidden": "true" }),
            h("span", {}, h("bdi", {}, one.fact.text)), h("small", {}, one.fact.when))))),
        facts.length > MOST_ROWS ? h("p.soft", {}, `and ${facts.length - MOST_ROWS} more; narrow it down, or see `, link(["memories"], "all memories"), ".") : null);
    }

    factPanel(what) {
      const found = this.drawing.seen.get(what.id);
      const edge = this.drawing.byKey.get(what.id);
      const fact = found ? found.fact : edge.versions[edge.versions.length - 1];
      const weights = h("dd", {}, "…");
      if (Source.has("weights")) Source.get("weights").then((known) => fill(weights, root.MemoriesPage.inWeights(fact, known, new Set(known.taught)))).catch((error) => fill(weights, error.message));
      const name = (id) => h("button.plain.name", { type: "button", on: { click: () => this.choose({ kind: "node", id }) } }, h("bdi", {}, cut(this.drawing.names.get(id), 40)));
      fill(this.panel,
        h("header", {}, h("p.mini", {}, h("button.plain", { type: "button", on: { click: () => this.choose(null) } }, "← back")),
          h("h2", {}, h("bdi", {}, fact.text)),
          h("p", {}, Parts.chip(fact.cls), " ", Parts.status(fact.status), fact.modality === "actual" ? null : [" ", h("span.badge", {}, fact.modality)], fact.negated ? [" ", h("span.badge", {}, "not so")] : null)),
        h("dl", {}, h("dt", {}, "Between"), h("dd", {}, name(fact.subject), " and ", name(fact.object)),
          h("dt", {}, "True"), h("dd", {}, fact.when), h("dt", {}, "Believed"), h("dd", {}, fact.retired === null ? `since ${day(fact.recorded)}` : `${day(fact.recorded)} to ${day(fact.retired)}`),
          h("dt", {}, "Confidence"), h("dd", {}, percent(fact.confidence)),
          Source.has("weights") ? [h("dt", {}, "Weights"), weights] : null),
        h("h3", {}, "In whose words"), Parts.quotes(fact.sources, this.data.sessions),
        edge.versions.length > 1 ? h("p.soft", {}, many(edge.versions.length, "version"), " of it were believed.") : null,
        Source.has("record") ? h("p", {}, link(["record", fact.id], "Its record, history and what may be done")) : null);
    }
  }

  root.GraphPage = { show };
})(globalThis);
