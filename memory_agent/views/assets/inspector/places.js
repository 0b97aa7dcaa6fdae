// Where nodes go: the same graph always gives the same picture, whatever moment is looked at. Pure.
//
// Nodes with several neighbours are spread by springs (Fruchterman and Reingold, 1991) from a fixed start; what
// hangs on one node only is fanned out around it, in the directions that its other edges leave free.
"use strict";
(function (root) {
  const GAP = 9;
  const LINE = 64; // least room for the words on an edge
  const TURN = 2 * Math.PI;

  function neighboursOf(nodes, links) {
    const near = new Map(nodes.map((node) => [node.id, new Set()]));
    for (const [a, b] of links) {
      if (a === b || !near.has(a) || !near.has(b)) continue;
      near.get(a).add(b);
      near.get(b).add(a);
    }
    return near;
  }

  // What hangs on one node only -> that node. Of a pair on its own, the first of `nodes` stays.
  function owners(nodes, near) {
    const found = new Map();
    for (const { id } of nodes) {
      const others = near.get(id);
      if (others.size !== 1) continue;
      const [other] = others;
      if (near.get(other).size > 1) found.set(id, other);
      else if (!found.has(id) && !found.has(other)) found.set(other, id);
    }
    return found;
  }

  const apart = (a, b, gap) =>
    Math.abs(a.x - b.x) >= (a.w + b.w) / 2 + gap || Math.abs(a.y - b.y) >= (a.h + b.h) / 2 + gap;

  // How far a box reaches from its centre in a direction.
  const rim = (box, cos, sin) => Math.min(box.w / 2 / Math.max(Math.abs(cos), 1e-6), box.h / 2 / Math.max(Math.abs(sin), 1e-6));

  // Whether the line that leaves the middle in this direction would run through the box.
  function crosses(at, angle) {
    const cos = Math.cos(angle), sin = Math.sin(angle), along = at.x * cos + at.y * sin;
    if (along <= 0) return false;
    const across = Math.abs(at.y * cos - at.x * sin);
    return across < (Math.abs(sin) * at.w + Math.abs(cos) * at.h) / 2 + 5;
  }

  // Leaves around the owner's box, in order, none over another or over a line that leads elsewhere; null when they
  // do not fit. Each is as far from the rim as the ring, and as the words on its own edge, need.
  function ring(owner, leaves, radius, gap, blocked) {
    const placed = [];
    let angle = -Math.PI / 2, used = 0;
    const step = TURN / 480;
    for (const leaf of leaves) {
      let spot = null;
      while (used < TURN) {
        const cos = Math.cos(angle), sin = Math.sin(angle);
        const far = rim(owner, cos, sin) + rim(leaf, cos, sin) + Math.max(radius, leaf.line || LINE);
        const at = { x: cos * far, y: sin * far, w: leaf.w, h: leaf.h };
        const free = placed.every((other) => apart(at, other, gap) && !crosses(other, angle) && !crosses(at, other.angle));
        if (free && !blocked.some((other) => crosses(at, other))) { spot = { ...at, angle }; break; }
        angle += step; used += step;
      }
      if (!spot) return null;
      placed.push({ ...spot, id: leaf.id });
    }
    return placed;
  }

  function fan(owner, leaves, blocked) {
    if (!leaves.length) return [];
    let radius = 44, placed = null;
    while (!(placed = ring(owner, leaves, radius, GAP, blocked))) radius *= 1.12;
    let low = GAP, high = 140; // the same ring with as much air as it allows
    for (let n = 0; n < 6; n++) {
      const middle = (low + high) / 2, wider = ring(owner, leaves, radius, middle, blocked);
      if (wider) { placed = wider; low = middle; } else high = middle;
    }
    return placed;
  }

  // Half the width and height that a node needs with what hangs on it.
  const reachOf = (owner, placed) => placed.reduce(
    (most, leaf) => ({ x: Math.max(most.x, Math.abs(leaf.x) + leaf.w / 2 + GAP), y: Math.max(most.y, Math.abs(leaf.y) + leaf.h / 2 + GAP) }),
    { x: owner.w / 2 + GAP, y: owner.h / 2 + GAP });

  // How far the ellipse within those halves reaches in a direction (a unit vector).
  const towards = (reach, ux, uy) => 1 / Math.sqrt((ux / reach.x) ** 2 + (uy / reach.y) ** 2);

  // Springs between linked nodes, and nothing over anything else.
  function spread(ids, near, reach) {
    const at = new Map();
    const rank = [...ids].sort((a, b) => near.get(b).size - near.get(a).size || (a < b ? -1 : 1));
    const mean = ids.reduce((sum, id) => sum + (reach.get(id).x + reach.get(id).y) / 2, 0) / ids.length;
    rank.forEach((id, n) => {
      const angle = n * 2.399963, radius = 1.4 * mean * Math.sqrt(n);
      at.set(id, { x: Math.cos(angle) * radius, y: Math.sin(angle) * radius });
    });
    const rounds = ids.length > 400 ? 60 : ids.length > 150 ? 140 : 340;
    for (let round = 0; round < rounds; round++) {
      const heat = 1 - round / rounds, push = new Map(rank.map((id) => [id, { x: 0, y: 0 }]));
      for (let i = 0; i < rank.length; i++) for (let j = i + 1; j < rank.length; j++) {
        const a = at.get(rank[i]), b = at.get(rank[j]);
        let dx = a.x - b.x, dy = a.y - b.y;
        const d = Math.hypot(dx, dy) || 0.01;
        dx = dx / d || 0.7; dy = dy / d || 0.7;
        const linked = near.get(rank[i]).has(rank[j]);
        const rest = towards(reach.get(rank[i]), dx, dy) + towards(reach.get(rank[j]), dx, dy) + (linked ? LINE : 26);
        let force = 0;
        if (d < rest) force = (rest - d) / 2;
        else if (linked) force = (rest - d) * 0.2;
        else if (d < 2 * rest) force = (2 - d / rest) * mean * 0.08 * heat;
        const p = push.get(rank[i]), q = push.get(rank[j]);
        p.x += dx * force; p.y += dy * force; q.x -= dx * force; q.y -= dy * force;
      }
      for (const id of rank) {
        const p = push.get(id), spot = at.get(id), size = Math.hypot(p.x, p.y) || 1;
        const most = (40 + mean) * (0.2 + heat), scale = Math.min(1, most / size);
        // A light pull to the middle keeps parts that only repel each other together.
        spot.x += p.x * scale - spot.x * 0.012; spot.y += p.y * scale - spot.y * 0.02;
      }
    }
    return at;
  }

  function components(ids, near) {
    const seen = new Set(), parts = [];
    for (const id of ids) {
      if (seen.has(id)) continue;
      const part = [], open = [id];
      seen.add(id);
      while (open.length) {
        const next = open.pop();
        part.push(next);
        for (const other of near.get(next)) if (ids.has(other) && !seen.has(other)) { seen.add(other); open.push(other); }
      }
      parts.push(part);
    }
    return parts;
  }

  // Parts side by side on shelves, about as wide as `ratio` times as high.
  function shelve(parts, ratio) {
    const boxes = parts.map((placed) => {
      const left = Math.min(...placed.map((n) => n.x - n.w / 2)), top = Math.min(...placed.map((n) => n.y - n.h / 2));
      const right = Math.max(...placed.map((n) => n.x + n.w / 2)), bottom = Math.max(...placed.map((n) => n.y + n.h / 2));
      return { placed, left, top, width: right - left + 40, height: bottom - top + 34 };
    });
    boxes.sort((a, b) => b.height - a.height || b.width - a.width);
    const area = boxes.reduce((sum, box) => sum + box.width * box.height, 0);
    const shelf = Math.max(...boxes.map((box) => box.width), Math.sqrt(area * ratio));
    const found = new Map();
    let x = 0, y = 0, high = 0;
    for (const box of boxes) {
      if (x && x + box.width > shelf) { x = 0; y += high; high = 0; }
      for (const node of box.placed) found.set(node.id, { x: node.x - box.left + x, y: node.y - box.top + y });
      x += box.width; high = Math.max(high, box.height);
    }
    return found;
  }

  // Positions of all nodes, id -> {x, y}. `nodes` are {id, w, h, line}, leaves in the order they shall stand in,
  // `line` the room that the words on a leaf's edge need; `links` pairs of ids.
  function place(nodes, links, ratio = 1.5) {
    if (!nodes.length) return new Map();
    const near = neighboursOf(nodes, links), box = new Map(nodes.map((node) => [node.id, node]));
    const hung = owners(nodes, near), leaves = new Map();
    for (const node of nodes) if (hung.has(node.id)) {
      if (!leaves.has(hung.get(node.id))) leaves.set(hung.get(node.id), []);
      leaves.get(hung.get(node.id)).push(node);
    }
    const core = new Set(nodes.map((node) => node.id).filter((id) => !hung.has(id)));
    const reach = new Map();
    for (const id of core) reach.set(id, reachOf(box.get(id), fan(box.get(id), leaves.get(id) || [], [])));
    const parts = components(core, near).map((ids) => {
      const at = ids.length > 1 ? spread(ids, near, reach) : new Map([[ids[0], { x: 0, y: 0 }]]);
      return ids.flatMap((id) => {
        const centre = at.get(id), own = box.get(id);
        const blocked = [...near.get(id)].filter((other) => at.has(other)).map(
          (other) => Math.atan2(at.get(other).y - centre.y, at.get(other).x - centre.x));
        const fanned = fan(own, leaves.get(id) || [], blocked.length > 8 ? [] : blocked);
        return [{ id, x: centre.x, y: centre.y, w: own.w, h: own.h },
          ...fanned.map((leaf) => ({ ...leaf, x: leaf.x + centre.x, y: leaf.y + centre.y }))];
      });
    });
    return shelve(parts, ratio);
  }

  const api = { place };
  if (typeof module === "object") module.exports = api; else root.Places = api;
})(globalThis);
