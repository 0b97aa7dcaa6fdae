// Every fact of a large graph at once. A styled element for each of ten thousand things costs a third of a second a
// move; lines and boxes that look alike, painted as one path, cost a few milliseconds. Cytoscape keeps the gestures
// (pan, zoom, pinch, tap) and holds no elements meanwhile; this paints beneath it, at its pan and zoom.
"use strict";
(function (root) {
  const PAD = 36;
  const SMALL = 5; // pixels: lower boxes are only a spot of colour
  const LABEL = 6, WORDS = 9; // pixels: smaller letters are not painted, on boxes and on lines
  const PARALLEL = 7;
  const FADED = 0.5;
  const STATES = ["holds", "past", "doubt"];

  class Whole {
    // `nodes` are {id, x, y, w, h, label, cls, kind: "hub"|"entity"|"value"}, `edges` {key, subject, object, cls, words}; `look` gives colours and
    // the font, `state(key)` of an edge "holds", "past", "doubt" or null when it is not to be seen.
    constructor(cy, nodes, edges, look) {
      this.cy = cy;
      this.look = look;
      this.nodes = nodes;
      this.byId = new Map(nodes.map((node) => [node.id, node]));
      this.edges = straight(edges, this.byId);
      this.byKey = new Map(this.edges.map((edge) => [edge.key, edge]));
      this.near = null;
      this.chosen = null;
      this.ask = () => this.soon();
      const box = cy.container();
      if (!box) return;
      this.canvas = document.createElement("canvas");
      this.canvas.className = "whole";
      this.canvas.setAttribute("aria-hidden", "true");
      box.prepend(this.canvas);
      cy.on("viewport resize", this.ask);
    }

    // Which things are to be seen, each in its batch: what is painted alike is painted together.
    see(state) {
      for (const node of this.nodes) node.state = null;
      for (const edge of this.edges) {
        edge.state = state(edge.key);
        if (!edge.state) continue;
        for (const end of [edge.from, edge.to]) if (end.state !== "holds") end.state = edge.state === "past" ? "past" : "holds";
      }
      this.sort();
    }

    sort() {
      const off = (id) => Boolean(this.near) && !this.near.has(id);
      this.lines = batches(this.edges, (edge) => edge.key, off);
      this.boxes = batches(this.nodes, (node) => node.id, off);
      this.soon();
    }

    // Light up one thing and what touches it, or all again.
    choose(id) {
      this.chosen = id;
      this.near = null;
      if (id !== null) {
        this.near = new Set([id]);
        for (const edge of this.edges) if (edge.key === id || edge.subject === id || edge.object === id) for (const one of [edge.key, edge.subject, edge.object]) this.near.add(one);
      }
      this.sort();
    }

    // What lies at a place of the model: a box, else the nearest line within a few pixels.
    at({ x, y }) {
      const node = this.nodes.find((one) => one.state && Math.abs(one.x - x) <= one.w / 2 && Math.abs(one.y - y) <= one.h / 2);
      if (node) return { kind: "node", id: node.id };
      let best = null, least = 7 / this.cy.zoom();
      for (const edge of this.edges) if (edge.state) {
        const far = distance(edge, x, y);
        if (far < least) { least = far; best = edge; }
      }
      return best && { kind: "fact", id: best.key };
    }

    place(id) {
      const edge = this.byKey.get(id);
      return this.byId.get(id) || (edge && { x: (edge.x1 + edge.x2) / 2, y: (edge.y1 + edge.y2) / 2 });
    }

    // The pan and zoom at which all of it is to be seen.
    fitted() {
      const width = this.cy.width(), height = this.cy.height();
      let left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
      for (const { x, y, w, h } of this.nodes) {
        left = Math.min(left, x - w / 2); right = Math.max(right, x + w / 2);
        top = Math.min(top, y - h / 2); bottom = Math.max(bottom, y + h / 2);
      }
      const zoom = Math.max(this.cy.minZoom(), Math.min(1.25, (width - 2 * PAD) / (right - left), (height - 2 * PAD) / (bottom - top)));
      return { zoom, pan: { x: width / 2 - (zoom * (left + right)) / 2, y: height / 2 - (zoom * (top + bottom)) / 2 } };
    }

    soon() {
      if (!this.canvas || this.frame) return;
      this.frame = requestAnimationFrame(() => { this.frame = null; this.paint(); });
    }

    paint() {
      const { cy, canvas } = this, ratio = root.devicePixelRatio || 1, zoom = cy.zoom(), pan = cy.pan();
      const width = Math.round(cy.width() * ratio), height = Math.round(cy.height() * ratio);
      if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
      const pen = canvas.getContext("2d");
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, width, height);
      pen.setTransform(zoom * ratio, 0, 0, zoom * ratio, pan.x * ratio, pan.y * ratio);
      const seen = { left: -pan.x / zoom, top: -pan.y / zoom, right: (cy.width() - pan.x) / zoom, bottom: (cy.height() - pan.y) / zoom };
      let drawn = this.paintLines(pen, zoom, seen);
      drawn += this.paintBoxes(pen, zoom, seen);
      pen.globalAlpha = 1;
      canvas.dataset.drawn = String(drawn);
    }

    paintLines(pen, zoom, seen) {
      let drawn = 0;
      for (const { cls, state, off, things } of this.lines) {
        pen.beginPath();
        for (const edge of things) if (crosses(edge, seen)) { pen.moveTo(edge.x1, edge.y1); pen.lineTo(edge.x2, edge.y2); drawn++; }
        pen.strokeStyle = this.look.of(cls);
        pen.globalAlpha = (state === "past" ? FADED : 1) * (off ? 0.3 : 1);
        pen.lineWidth = Math.max(state === "doubt" ? 2.2 : 1.6, 0.7 / zoom);
        // Dashes of less than a pixel are grey anyhow, and dear.
        pen.setLineDash(zoom < 0.25 || state === "holds" ? [] : state === "past" ? [6, 4] : [2, 3]);
        pen.stroke();
      }
      pen.setLineDash([]);
      const chosen = this.byKey.get(this.chosen);
      if (chosen && chosen.state) {
        pen.beginPath(); pen.moveTo(chosen.x1, chosen.y1); pen.lineTo(chosen.x2, chosen.y2);
        pen.strokeStyle = this.look.of(chosen.cls); pen.globalAlpha = 1; pen.lineWidth = Math.max(4, 3 / zoom); pen.stroke();
      }
      if (11 * zoom >= WORDS) this.write(pen, this.lines, seen, `11px ${this.look.font}`, (edge) => [edge.words, (edge.x1 + edge.x2) / 2, (edge.y1 + edge.y2) / 2], true);
      return drawn;
    }

    paintBoxes(pen, zoom, seen) {
      const of = this.look.of;
      let drawn = 0;
      for (const { cls, kind, state, off, things } of this.boxes) {
        const edge = kind === "value" ? of(cls) : of("ink");
        pen.beginPath();
        for (const node of things) if (within(node, seen)) { pen.rect(node.x - node.w / 2, node.y - node.h / 2, node.w, node.h); drawn++; }
        pen.globalAlpha = (state === "past" ? FADED : 1) * (off ? 0.3 : 1);
        pen.fillStyle = kind === "hub" ? of("ink") : 27 * zoom < SMALL ? edge : of("panel");
        pen.fill();
        if (27 * zoom >= SMALL) { pen.strokeStyle = edge; pen.lineWidth = kind === "value" ? 1.4 : 1.8; pen.stroke(); }
      }
      const chosen = this.byId.get(this.chosen);
      if (chosen && chosen.state) {
        pen.globalAlpha = 1; pen.strokeStyle = of("accent"); pen.lineWidth = Math.max(4, 3 / zoom);
        pen.strokeRect(chosen.x - chosen.w / 2, chosen.y - chosen.h / 2, chosen.w, chosen.h);
      }
      for (const [kind, font, size] of [["value", "400 13px", 13], ["entity", "600 13px", 13], ["hub", "700 15px", 15]]) {
        if (size * zoom >= LABEL) this.write(pen, this.boxes.filter((one) => one.kind === kind), seen, `${font} ${this.look.font}`, (node) => [node.label, node.x, node.y], false);
      }
      return drawn;
    }

    write(pen, some, seen, font, words, backed) {
      const of = this.look.of;
      pen.font = font;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      for (const { cls, kind, state, off, things } of some) {
        pen.globalAlpha = (state === "past" ? FADED : 1) * (off ? 0.3 : 1);
        for (const thing of things) {
          const [text, x, y] = words(thing);
          if (x < seen.left || x > seen.right || y < seen.top || y > seen.bottom) continue;
          if (backed) { const w = pen.measureText(text).width + 4; pen.fillStyle = of("bg"); pen.fillRect(x - w / 2, y - 7, w, 14); }
          pen.fillStyle = backed ? of(cls) : kind === "hub" ? of("bg") : of("ink");
          pen.fillText(text, x, y);
        }
      }
    }

    close() {
      if (this.frame) cancelAnimationFrame(this.frame);
      this.cy.off("viewport resize", this.ask);
      if (this.canvas) this.canvas.remove();
    }
  }

  // Lines from middle to middle; parallel ones side by side.
  function straight(edges, byId) {
    const pairs = new Map();
    for (const edge of edges) {
      const pair = edge.subject < edge.object ? `${edge.subject} ${edge.object}` : `${edge.object} ${edge.subject}`;
      if (!pairs.has(pair)) pairs.set(pair, []);
      pairs.get(pair).push(edge);
    }
    return [...pairs.values()].flatMap((some) => some.map((edge, at) => {
      const from = byId.get(edge.subject), to = byId.get(edge.object), aside = (at - (some.length - 1) / 2) * PARALLEL;
      const [first, last] = edge.subject < edge.object ? [from, to] : [to, from]; // one side for both directions
      const long = Math.hypot(last.x - first.x, last.y - first.y) || 1;
      const dx = (-(last.y - first.y) / long) * aside, dy = ((last.x - first.x) / long) * aside;
      return { ...edge, from, to, x1: from.x + dx, y1: from.y + dy, x2: to.x + dx, y2: to.y + dy };
    }));
  }

  function batches(things, id, off) {
    const found = new Map();
    for (const thing of things) {
      if (!thing.state) continue;
      const dim = off(id(thing)), key = `${thing.cls} ${thing.kind} ${thing.state} ${dim}`;
      if (!found.has(key)) found.set(key, { cls: thing.cls, kind: thing.kind, state: thing.state, off: dim, things: [] });
      found.get(key).things.push(thing);
    }
    return [...found.values()].sort((a, b) => b.off - a.off || STATES.indexOf(b.state) - STATES.indexOf(a.state));
  }

  const within = (node, seen) => node.x + node.w / 2 >= seen.left && node.x - node.w / 2 <= seen.right && node.y + node.h / 2 >= seen.top && node.y - node.h / 2 <= seen.bottom;
  const crosses = (edge, seen) => Math.max(edge.x1, edge.x2) >= seen.left && Math.min(edge.x1, edge.x2) <= seen.right
    && Math.max(edge.y1, edge.y2) >= seen.top && Math.min(edge.y1, edge.y2) <= seen.bottom;

  function distance({ x1, y1, x2, y2 }, x, y) {
    const dx = x2 - x1, dy = y2 - y1, long = dx * dx + dy * dy;
    const along = long ? Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / long)) : 0;
    return Math.hypot(x - x1 - along * dx, y - y1 - along * dy);
  }

  root.Whole = Whole;
})(globalThis);
