// The drawing: cytoscape over a scope of the graph (all, a group, or what lies around something). Positions belong
// to the scope and never to the moment, so nothing moves while time does.
"use strict";
(function (root) {
  const { clean, cut, many } = root.Dom;
  const { edges: edgesOf, visible } = root.Moments;
  const MOST = 260; // facts that one picture shows legibly
  const HUB = 4;
  const FADED = 0.5; // what is over: still to be read
  const DOUBTED = new Set(["stale", "disputed"]);
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

  const measure = (() => {
    let context = null;
    return (text, size, weight = 400) => {
      if (typeof document === "undefined") return text.length * size * 0.56; // no page, as in tests
      context = context || document.createElement("canvas").getContext("2d");
      context.font = `${weight} ${size}px ${FONT}`;
      return context.measureText(text).width;
    };
  })();

  // A name on two lines of about one length, where it has a space to be parted at.
  function halved(name) {
    const spaces = [...name.matchAll(/ /g)].map((found) => found.index);
    if (name.length < 12 || !spaces.length) return [name];
    const at = spaces.reduce((best, one) => (Math.abs(one - name.length / 2) < Math.abs(best - name.length / 2) ? one : best));
    return [name.slice(0, at), name.slice(at + 1)];
  }

  function colours() {
    const style = getComputedStyle(document.documentElement), found = new Map();
    return (name) => {
      if (!found.has(name)) found.set(name, style.getPropertyValue(`--${name}`).trim());
      return found.get(name);
    };
  }

  function sheet() {
    const of = colours();
    const classes = root.CLASSES.map((cls) => ({ selector: `edge.cls-${cls}`, style: { "line-color": of(cls), "target-arrow-color": of(cls), color: of(cls) } }));
    const values = root.CLASSES.map((cls) => ({ selector: `node.value.cls-${cls}`, style: { "border-color": of(cls) } }));
    return [
      { selector: "node", style: { label: "data(label)", width: "data(w)", height: "data(h)", shape: "round-rectangle", "corner-radius": 14, "background-color": of("panel"),
        "border-width": 1.4, "border-color": of("edge"), color: of("ink"), "font-family": FONT, "font-size": 13, "text-valign": "center", "text-halign": "center",
        "text-wrap": "wrap", "text-max-width": 400, "min-zoomed-font-size": 6, "overlay-opacity": 0, "transition-property": "none" } },
      { selector: "node.entity", style: { "font-weight": 600, "border-width": 1.8, "border-color": of("ink") } },
      { selector: "node.hub", style: { "background-color": of("ink"), color: of("bg"), "font-size": 15, "font-weight": 700 } },
      { selector: "node.bundle", style: { "border-style": "double", "border-width": 4, "font-size": 12 } },
      { selector: "node.group", style: { shape: "ellipse", "background-color": of("group"), "border-color": of("accent"), "font-weight": 600, "font-size": "data(size)", "min-zoomed-font-size": 5 } },
      ...values,
      { selector: "edge", style: { width: 1.6, "curve-style": "bezier", "control-point-step-size": 34, "target-arrow-shape": "triangle", "arrow-scale": 0.8, label: "data(label)",
        "font-family": FONT, "font-size": 11, "text-rotation": "autorotate", "text-background-color": of("bg"), "text-background-opacity": 0.88, "text-background-padding": 2,
        "min-zoomed-font-size": 7, "overlay-opacity": 0, "line-color": of("other"), "target-arrow-color": of("other"), color: of("other") } },
      { selector: "edge.link", style: { width: "data(width)", "line-color": of("edge"), "target-arrow-shape": "none", color: of("soft"), "curve-style": "straight", "text-rotation": "none", "min-zoomed-font-size": 9 } },
      ...classes,
      { selector: ".past", style: { opacity: FADED } },
      { selector: "edge.past", style: { "line-style": "dashed" } },
      { selector: "edge.doubt", style: { "line-style": "dotted", width: 2.2 } },
      { selector: ".gone", style: { display: "none" } },
      { selector: ".off", style: { opacity: 0.3 } },
      { selector: "node.chosen", style: { "border-color": of("accent"), "border-width": 4, opacity: 1 } },
      { selector: "edge.chosen", style: { width: 4, opacity: 1, "z-index": 9 } },
    ];
  }

  class Drawing {
    constructor(box, data, act) { // without a box nothing is painted, but everything else is done
      this.data = data;
      this.act = act;
      this.nodes = data.nodes.map((node) => ({ ...node, name: clean(node.name) }));
      this.names = new Map(this.nodes.map((node) => [node.id, node.name]));
      this.byId = new Map(this.nodes.map((node) => [node.id, node]));
      this.edges = edgesOf(data.facts);
      this.byKey = new Map(this.edges.map((edge) => [edge.key, edge]));
      this.touching = new Map(this.nodes.map((node) => [node.id, []]));
      for (const edge of this.edges) for (const end of new Set([edge.subject, edge.object])) this.touching.get(end).push(edge);
      this.groups = null;
      this.scope = { kind: "all" };
      this.places = new Map();
      this.chosen = null;
      this.seen = new Map();
      this.cy = cytoscape({ container: box, headless: !box, style: box ? sheet() : [], layout: { name: "preset" }, minZoom: 0.03, maxZoom: 3, boxSelectionEnabled: false, autounselectify: true });
      this.painted = null; // every fact of a large graph, which is no work for cytoscape
      this.cy.on("tap", (event) => this.act.choose(this.under(event)));
      this.cy.on("dbltap", (event) => {
        const what = this.under(event);
        if (what && what.kind !== "fact" && what.kind !== "link") this.act.enter(what);
      });
    }

    under(event) {
      if (event.target !== this.cy) return this.whatIs(event.target);
      return this.painted ? this.painted.at(event.position) : null;
    }

    whatIs(element) {
      const id = element.id();
      if (element.hasClass("group")) return { kind: "group", id };
      if (element.hasClass("bundle")) return { kind: "bundle", id };
      if (element.hasClass("link")) return { kind: "link", id };
      return element.isNode() ? { kind: "node", id } : { kind: "fact", id };
    }

    grouped() {
      if (!this.groups) {
        const found = Clusters.groups(this.nodes, this.edges);
        this.groups = { list: found, byId: new Map(found.map((group) => [group.id, group])), ...Clusters.links(found, this.edges) };
      }
      return this.groups;
    }

    // Whether what the scope is about is still known.
    has(scope) {
      return scope.kind === "all" || (scope.kind === "group" ? this.grouped().byId.has(scope.id) : this.byId.has(scope.id));
    }

    get large() { return this.edges.length > MOST; }

    // Which edges and nodes the scope holds, before any filter.
    within(scope) {
      if (scope.kind === "all") return { edges: this.edges, nodes: this.nodes };
      const ids = scope.kind === "group" ? new Set(this.grouped().byId.get(scope.id).members)
        : Clusters.around(this.edges, scope.id, scope.hops);
      const edges = this.edges.filter((edge) => ids.has(edge.subject) && ids.has(edge.object));
      return { edges, nodes: this.nodes.filter((node) => ids.has(node.id)) };
    }

    // Draw a scope anew. `everything` draws each fact of a large graph, groups side by side.
    show(scope, everything = false) {
      this.scope = scope;
      this.everything = everything;
      const held = this.within(scope);
      const large = scope.kind === "all" && this.large, overview = large && !everything;
      if (this.painted) { this.painted.close(); this.painted = null; }
      this.cy.batch(() => {
        this.cy.elements().remove();
        if (!large || overview) this.cy.add(overview ? this.overview() : this.detail(held));
      });
      if (large && everything) this.painted = this.whole();
      this.isOverview = overview;
      if (this.painted) this.cy.viewport(this.painted.fitted()); else this.fitElements();
      this.draw();
    }

    fitElements() {
      this.cy.fit(undefined, 36);
      if (this.cy.zoom() > 1.25) { this.cy.zoom(1.25); this.cy.center(); }
      // On a phone the whole would be too small to read: begin at what is best known.
      if (this.cy.width() < 520 && this.cy.zoom() < 0.6 && this.cy.container()) {
        this.cy.zoom(0.62);
        this.cy.center(this.cy.nodes().max((node) => node.degree()).ele);
      }
    }

    overview() {
      const { list, between, inside } = this.grouped();
      const boxes = list.map((group) => {
        const count = inside.get(group.id).length;
        const size = Math.min(20, 15 + Math.sqrt(count) / 4), lines = halved(cut(this.names.get(group.centre), 26));
        const w = Math.max(...[...lines, "000 facts"].map((line) => measure(line, size, 600))) + 28, h = (lines.length + 1) * size * 1.15 + 26;
        const more = 6 * Math.sqrt(count);
        return { id: group.id, w: w + more, h: h + more, size, name: lines.join("\n"), group };
      });
      const places = this.placed("overview", boxes, between.map((link) => [link.source, link.target]));
      return [
        ...boxes.map((box) => ({ group: "nodes", data: { ...box, group: undefined, label: box.name }, position: places.get(box.id), classes: "group" })),
        ...between.map((link) => ({ group: "edges", data: { id: link.id, source: link.source, target: link.target, width: 2, label: "" }, classes: "link" })),
      ];
    }

    // Each fact of a large graph: every group as it would be drawn alone, in the place it has among the others.
    whole() {
      const { list, between } = this.grouped();
      const locals = list.map((group) => {
        const ids = new Set(group.members);
        const nodes = this.nodes.filter((node) => ids.has(node.id));
        const boxes = this.boxes(nodes, []);
        const links = this.edges.filter((edge) => ids.has(edge.subject) && ids.has(edge.object)).map((edge) => [edge.subject, edge.object]);
        const places = this.placed(`whole ${group.id}`, boxes, links, 0);
        const xs = [...places.values()].map((p) => p.x), ys = [...places.values()].map((p) => p.y);
        const w = Math.max(...xs) - Math.min(...xs) + 220, h = Math.max(...ys) - Math.min(...ys) + 90;
        return { id: group.id, w, h, boxes, places, x: (Math.max(...xs) + Math.min(...xs)) / 2, y: (Math.max(...ys) + Math.min(...ys)) / 2 };
      });
      const centres = this.placed("whole", locals, between.map((link) => [link.source, link.target]), 0);
      const nodes = locals.flatMap((local) => local.boxes.map((box) => {
        const inner = local.places.get(box.id), outer = centres.get(local.id), { id, label, w, h } = box;
        const kind = box.hub ? "hub" : box.node.entity ? "entity" : "value";
        return { id, label, w, h, kind, cls: this.classOf(id), x: outer.x + inner.x - local.x, y: outer.y + inner.y - local.y };
      }));
      const edges = this.edges.map((edge) => ({ key: edge.key, subject: edge.subject, object: edge.object, cls: edge.versions[edge.versions.length - 1].cls, words: this.words(edge) }));
      return new root.Whole(this.cy, nodes, edges, { of: this.cy.container() ? colours() : String, font: FONT });
    }

    classOf(id) {
      const [edge] = this.touching.get(id);
      return edge ? edge.versions[edge.versions.length - 1].cls : "other";
    }

    detail({ nodes, edges }) {
      const bundles = Clusters.bundles(nodes, edges, edges.length > MOST ? 5 : 14);
      const hidden = new Set(bundles.flatMap((bundle) => bundle.members));
      this.bundles = new Map(bundles.map((bundle) => [bundle.id, bundle]));
      const kept = nodes.filter((node) => !hidden.has(node.id));
      const drawn = edges.filter((edge) => !hidden.has(edge.object));
      const boxes = this.boxes(kept, bundles);
      const links = [...drawn.map((edge) => [edge.subject, edge.object]), ...bundles.map((bundle) => [bundle.owner, bundle.id])];
      const places = this.placed(JSON.stringify(this.scope), boxes, links);
      return [
        ...boxes.map((box) => this.nodeElement(box, places)),
        ...drawn.map((edge) => this.edgeElement(edge)),
        ...bundles.map((bundle) => ({ group: "edges", classes: `cls-${this.byKey.get(bundle.keys[0]).versions[0].cls}`,
          data: { id: `to ${bundle.id}`, source: bundle.owner, target: bundle.id, label: bundle.predicate } })),
      ];
    }

    // Leaves in the order of their class and predicate, so that colours stand together around a hub.
    boxes(nodes, bundles) {
      const order = (node) => {
        const [edge] = this.touching.get(node.id);
        const fact = edge ? edge.versions[edge.versions.length - 1] : null;
        return fact ? `${String(root.CLASSES.indexOf(fact.cls)).padStart(2, "0")} ${fact.predicate} ${fact.start || 0}` : "";
      };
      const sorted = nodes.map((node) => [order(node), node]).sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1].id < b[1].id ? -1 : 1));
      return [
        ...sorted.map(([, node]) => {
          const hub = node.entity && this.touching.get(node.id).length >= HUB;
          const label = cut(node.name, 30), size = hub ? 15 : 13;
          const lines = node.entity && this.touching.get(node.id).length > 1 ? [0] : this.touching.get(node.id).map((edge) => measure(this.words(edge), 11) + 26);
          return { id: node.id, label, line: Math.max(58, ...lines), w: Math.max(34, measure(label, size, node.entity ? 650 : 400) + (hub ? 30 : 20)), h: hub ? 36 : 27, node, hub };
        }),
        ...bundles.map((bundle) => {
          const label = `${bundle.predicate}\n${many(bundle.members.length, "value")}`;
          return { id: bundle.id, label, w: Math.max(measure(bundle.predicate, 12, 600), 60) + 26, h: 42, bundle };
        }),
      ];
    }

    nodeElement(box, places) {
      const data = { id: box.id, label: box.label, w: box.w, h: box.h };
      if (box.bundle) return { group: "nodes", data, position: { ...places.get(box.id) }, classes: "bundle value" };
      const classes = box.node.entity ? `entity${box.hub ? " hub" : ""}` : `value cls-${this.classOf(box.id)}`;
      return { group: "nodes", data, position: { ...places.get(box.id) }, classes };
    }

    words(edge) {
      const fact = edge.versions[edge.versions.length - 1];
      const words = fact.modality === "actual" ? fact.predicate : `${fact.predicate} (${fact.modality})`;
      return cut(clean(fact.negated ? `not: ${words}` : words), 26);
    }

    edgeElement(edge) {
      const { cls } = edge.versions[edge.versions.length - 1];
      return { group: "edges", data: { id: edge.key, source: edge.subject, target: edge.object, label: this.words(edge) }, classes: `cls-${cls}` };
    }

    placed(name, boxes, links, work) {
      if (!this.places.has(name)) {
        const { clientWidth: width, clientHeight: height } = this.cy.container() || { clientWidth: 1000, clientHeight: 700 };
        this.places.set(name, Places.place(boxes, links, Math.max(0.7, Math.min(2.2, width / Math.max(height, 1))), work));
      }
      return this.places.get(name);
    }

    // Look at a moment, through filters: only classes change, never places. Returns what is to be seen.
    draw(view = this.view) {
      this.view = view;
      this.seen = visible(this.edges, { ...view, now: this.data.now, names: this.names });
      if (this.painted) this.painted.see((key) => this.stateOf(key));
      else this.cy.batch(() => (this.isOverview ? this.drawGroups() : this.drawFacts()));
      return this.seen;
    }

    // How an edge is drawn: "holds", "past", "doubt" (it stands, but stale or disputed), or null: not at all.
    stateOf(key) {
      const found = this.seen.get(key);
      if (!found) return null;
      return found.state === "holds" && DOUBTED.has(found.fact.status) ? "doubt" : found.state;
    }

    drawGroups() {
      const { list, between, inside } = this.grouped();
      const count = (keys) => keys.reduce((n, key) => n + (this.seen.has(key) && this.seen.get(key).state === "holds" ? 1 : 0), 0);
      const any = (keys) => keys.some((key) => this.seen.has(key));
      const live = new Set();
      for (const link of between) {
        const element = this.cy.getElementById(link.id), n = count(link.keys), shown = any(link.keys);
        if (shown) { live.add(link.source); live.add(link.target); }
        this.mark(element, { gone: !shown, past: shown && !n });
        if (n && element.data("count") !== n) element.data({ count: n, width: 1 + Math.min(7, Math.sqrt(n)), label: n > 1 ? String(n) : "" });
      }
      for (const group of list) {
        const element = this.cy.getElementById(group.id), n = count(inside.get(group.id)), shown = any(inside.get(group.id)) || live.has(group.id);
        this.mark(element, { gone: !shown, past: shown && !n && !live.has(group.id) });
        if (element.data("count") !== n) element.data({ count: n, label: `${element.data("name")}\n${many(n, "fact")}` });
      }
    }

    drawFacts() {
      const ends = new Map();
      const touch = (id, holds) => ends.set(id, ends.get(id) || holds);
      for (const element of this.cy.edges()) {
        const id = element.id();
        if (id.startsWith("to bundle:")) {
          const bundle = this.bundles.get(id.slice(3)), n = bundle.keys.filter((key) => this.seen.has(key) && this.seen.get(key).state === "holds").length;
          const shown = bundle.keys.some((key) => this.seen.has(key));
          this.mark(element, { gone: !shown, past: shown && !n });
          if (shown) { touch(bundle.owner, n > 0); touch(bundle.id, n > 0); }
          const label = `${bundle.predicate}\n${many(n, "value")}`, box = this.cy.getElementById(bundle.id);
          if (box.data("label") !== label) box.data("label", label);
          continue;
        }
        const state = this.stateOf(id);
        this.mark(element, { gone: !state, past: state === "past", doubt: state === "doubt" });
        if (state) { const edge = this.byKey.get(id); touch(edge.subject, state !== "past"); touch(edge.object, state !== "past"); }
      }
      for (const element of this.cy.nodes()) this.mark(element, { gone: !ends.has(element.id()), past: ends.get(element.id()) === false });
    }

    // Classes cost a restyle each, so only those that changed are set.
    mark(element, wanted) {
      for (const [name, on] of Object.entries(wanted)) if (element.hasClass(name) !== on) element.toggleClass(name, on);
    }

    // Light up one thing and what touches it, or all again.
    choose(what) {
      this.chosen = what;
      if (this.painted) {
        this.painted.choose(what && what.id);
        const at = what && this.painted.place(what.id), { x1, x2, y1, y2 } = this.cy.extent();
        if (at && (at.x < x1 || at.x > x2 || at.y < y1 || at.y > y2)) this.centre(at);
        return;
      }
      this.cy.batch(() => {
        this.cy.elements(".chosen, .off").removeClass("chosen off");
        if (!what) return;
        const element = this.cy.getElementById(what.id);
        if (element.empty()) return;
        const near = element.isNode() ? element.closedNeighborhood() : element.union(element.connectedNodes());
        this.cy.elements().difference(near).addClass("off");
        element.addClass("chosen");
      });
      if (what) this.bringIn(this.cy.getElementById(what.id));
    }

    bringIn(element) {
      if (element.empty()) return;
      const box = element.renderedBoundingBox(), width = this.cy.width(), height = this.cy.height();
      if (box.x1 < 0 || box.y1 < 0 || box.x2 > width || box.y2 > height) this.cy.center(element);
    }

    centre({ x, y }) { const zoom = this.cy.zoom(); this.cy.pan({ x: this.cy.width() / 2 - x * zoom, y: this.cy.height() / 2 - y * zoom }); }

    // The nodes in view: id, place and what each is.
    spots() {
      if (this.painted) return this.painted.nodes.filter((node) => node.state).map((node) => ({ x: node.x, y: node.y, size: this.touching.get(node.id).length, what: { kind: "node", id: node.id } }));
      return this.cy.nodes().filter((node) => node.visible()).map((node) => ({ ...node.position(), size: node.degree(), what: this.whatIs(node) }));
    }

    // The nearest of them in a direction from the chosen one, for the arrow keys; the largest when none is chosen.
    towards(dx, dy) {
      const spots = this.spots(), from = this.chosen && spots.find((spot) => spot.what.id === this.chosen.id);
      if (!from) return spots.length ? spots.reduce((most, spot) => (spot.size > most.size ? spot : most)).what : null;
      let best = null, least = Infinity;
      for (const { x, y, what } of spots) {
        const px = x - from.x, py = y - from.y, along = px * dx + py * dy, across = Math.abs(px * dy) + Math.abs(py * dx);
        const cost = along > 1 ? along + 2.5 * across : Infinity;
        if (cost < least) { least = cost; best = what; }
      }
      return best;
    }

    facts(keys) { return keys.filter((key) => this.seen.has(key)).map((key) => ({ key, ...this.seen.get(key) })); }

    // The facts in view that a chosen thing stands for; all of the scope's for nothing.
    factsOf(what) {
      if (!what) return this.facts(this.within(this.scope).edges.map((edge) => edge.key));
      if (what.kind === "node") return this.facts(this.touching.get(what.id).map((edge) => edge.key));
      if (what.kind === "bundle") return this.facts(this.bundles.get(what.id).keys);
      if (what.kind === "group") {
        const ids = new Set(this.grouped().byId.get(what.id).members);
        return this.facts(this.edges.filter((edge) => ids.has(edge.subject) || ids.has(edge.object)).map((edge) => edge.key));
      }
      if (what.kind === "link") return this.facts(this.grouped().between.find((link) => link.id === what.id).keys);
      return this.facts([what.id]);
    }

    name(what) {
      if (what.kind === "node") return this.names.get(what.id);
      if (what.kind === "group") return `${this.names.get(this.grouped().byId.get(what.id).centre)} and around`;
      if (what.kind === "bundle") return `${this.names.get(this.bundles.get(what.id).owner)}: ${this.bundles.get(what.id).predicate}`;
      if (what.kind === "link") return "Between two groups";
      return this.byKey.has(what.id) ? clean(this.byKey.get(what.id).versions[0].text) : "";
    }

    restyle() {
      this.cy.style(sheet());
      if (this.painted) { this.painted.look.of = colours(); this.painted.soon(); }
    }
    fit() { this.cy.animate(this.painted ? this.painted.fitted() : { fit: { padding: 36 } }, { duration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 160 }); }

    // Nearer to what is chosen, else to the middle.
    zoom(by) {
      const { id } = this.chosen || {}, element = this.cy.getElementById(id || ""), zoom = this.cy.zoom(), pan = this.cy.pan();
      const at = this.painted ? id && this.painted.place(id) : element.isNode() && element.position();
      const middle = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
      this.cy.zoom({ level: zoom * by, renderedPosition: at ? { x: at.x * zoom + pan.x, y: at.y * zoom + pan.y } : middle });
    }
    close() { if (this.painted) this.painted.close(); this.cy.destroy(); }
  }

  root.Drawing = Drawing;
  root.CLASSES = ["identity", "location", "work", "education", "family", "social", "home", "preference", "health", "plan", "event", "other"];
})(globalThis);
