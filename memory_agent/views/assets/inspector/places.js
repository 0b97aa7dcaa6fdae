// Where nodes go: the same graph always gives the same picture, whatever moment is looked at. Pure.
//
// Nodes with several neighbours are spread by springs (Fruchterman and Reingold, 1991) from a fixed start; what
// hangs on one node only is fanned out around it, in the directions that its other edges leave free.
"use strict";
(function (root) {
  const GAP = 9;
  const LINE = 64; // least room for the words on an edge
  const TURN = 2 * Math.PI;
  const PULL = 0.016;
  // Starts of a part: by how much it is turned, and how near neighbours begin, as a share of what they surely need.
  const STARTS = [[0, 1], [0, 0.7], [1, 0.7], [2, 0.7], [3, 0.7], [4, 0.7], [5, 0.7], [1, 0.85], [3, 0.85], [5, 0.85]];
  const WORK = 500; // boxes that are placed at most in all the tries of a part, so that a large one is tried once
  const PACKED = 90; // parts more than these stand on shelves: looking for gaps would take too long

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

  // Springs between linked nodes, and nothing over anything else; `turned` is the angle at which the start begins.
  function spread(ids, near, reach, ratio, turned) {
    const at = new Map();
    const rank = [...ids].sort((a, b) => near.get(b).size - near.get(a).size || (a < b ? -1 : 1));
    const mean = ids.reduce((sum, id) => sum + (reach.get(id).x + reach.get(id).y) / 2, 0) / ids.length;
    rank.forEach((id, n) => {
      const angle = turned + n * 2.399963, radius = 1.4 * mean * Math.sqrt(n);
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
        // A light pull to the middle keeps parts that only repel each other together, in the shape of the screen.
        spot.x += p.x * scale - (spot.x * PULL) / Math.sqrt(ratio); spot.y += p.y * scale - spot.y * PULL * Math.sqrt(ratio);
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

  function boundsOf(placed) {
    let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
    for (const { x, y, w, h } of placed) {
      left = Math.min(left, x - w / 2); right = Math.max(right, x + w / 2);
      top = Math.min(top, y - h / 2); bottom = Math.max(bottom, y + h / 2);
    }
    return { left, top, width: right - left, height: bottom - top };
  }

  // How high a screen of that ratio would have to be to show the whole: the less, the larger is what is on it.
  const needs = ({ width, height }, ratio) => Math.max(width / ratio, height);

  // The squares of a grid that a part covers: its boxes, its lines, and the air around them.
  function squares({ placed, lines, left, top }, size) {
    const found = new Set();
    const cover = (x, y, w, h) => {
      for (let i = Math.floor((x - w / 2 - left) / size); i <= Math.floor((x + w / 2 - left) / size); i++) {
        for (let j = Math.floor((y - h / 2 - top) / size); j <= Math.floor((y + h / 2 - top) / size); j++) found.add(`${i} ${j}`);
      }
    };
    for (const { x, y, w, h } of placed) cover(x, y, w + 24, h + 20);
    for (const [a, b] of lines) {
      const steps = Math.ceil(Math.hypot(b.x - a.x, b.y - a.y) / size) || 1;
      for (let n = 0; n <= steps; n++) cover(a.x + ((b.x - a.x) * n) / steps, a.y + ((b.y - a.y) * n) / steps, 20, 20);
    }
    return [...found].map((key) => key.split(" ").map(Number));
  }

  // Parts in the gaps that others leave, the largest first, so that the whole is as near to the screen's shape and as
  // small as may be (Freivalds, Dogrusoz and Kikusts, 2002, pack by squares of a grid likewise).
  function pack(parts, ratio) {
    const boxes = parts.map((part) => ({ ...part, ...boundsOf(part.placed) })).sort((a, b) => b.width * b.height - a.width * a.height);
    const area = boxes.reduce((sum, box) => sum + (box.width + 24) * (box.height + 20), 0);
    const size = Math.max(20, Math.sqrt(area / 1600)), taken = new Set(), found = new Map();
    let whole = null;
    for (const box of boxes) {
      const cells = squares(box, size), w = box.width / size, h = box.height / size;
      let best = null;
      const [i0, i1, j0, j1] = whole ? [whole.left - w - 2, whole.right + 2, whole.top - h - 2, whole.bottom + 2].map(Math.round) : [0, 0, 0, 0];
      for (let i = i0; i <= i1; i++) for (let j = j0; j <= j1; j++) {
        const around = whole ? { left: Math.min(whole.left, i), right: Math.max(whole.right, i + w), top: Math.min(whole.top, j), bottom: Math.max(whole.bottom, j + h) } : { left: i, right: i + w, top: j, bottom: j + h };
        const wide = around.right - around.left, high = around.bottom - around.top;
        const off = whole ? Math.hypot(i + w / 2 - (whole.left + whole.right) / 2, j + h / 2 - (whole.top + whole.bottom) / 2) : 0;
        const cost = needs({ width: wide, height: high }, ratio) + 0.05 * (wide / ratio + high) + 0.02 * off;
        if (best && cost >= best.cost) continue;
        if (cells.every(([x, y]) => !taken.has(`${i + x} ${j + y}`))) best = { cost, i, j, around };
      }
      whole = best.around;
      for (const [x, y] of cells) taken.add(`${best.i + x} ${best.j + y}`);
      for (const node of box.placed) found.set(node.id, { x: node.x - box.left + best.i * size, y: node.y - box.top + best.j * size });
    }
    return found;
  }

  // Parts side by side on shelves, about as wide as `ratio` times as high.
  function shelve(parts, ratio) {
    const boxes = parts.map(({ placed }) => {
      const { left, top, width, height } = boundsOf(placed);
      return { placed, left, top, width: width + 40, height: height + 34 };
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

  // What hangs on each node of a part, by where it lies from that node; which only the directions of the lines decide.
  function hangings(ids, at, near, box, leaves) {
    return new Map(ids.map((id) => {
      const blocked = [...near.get(id)].filter((other) => at.has(other)).map(
        (other) => Math.atan2(at.get(other).y - at.get(id).y, at.get(other).x - at.get(id).x));
      return [id, fan(box.get(id), leaves.get(id) || [], blocked.length > 8 ? [] : blocked)];
    }));
  }

  // The nodes of a part at their places, the middles `wider` apart than they were spread.
  const hungOn = (ids, at, hung, box, wider) => ids.flatMap((id) => {
    const x = at.get(id).x * wider, y = at.get(id).y * wider, { w, h } = box.get(id);
    return [{ id, x, y, w, h }, ...hung.get(id).map((leaf) => ({ ...leaf, x: leaf.x + x, y: leaf.y + y }))];
  });

  const anyOver = (placed) => placed.some((a, at) => placed.slice(at + 1).some((b) => !apart(a, b, 2)));

  // Whether the line from a to b runs through a box, by the box's own axes (Liang and Barsky, 1984).
  function through(a, b, box) {
    let from = 0, to = 1;
    for (const [start, step, middle, half] of [[a.x, b.x - a.x, box.x, box.w / 2], [a.y, b.y - a.y, box.y, box.h / 2]]) {
      if (Math.abs(step) < 1e-9) { if (Math.abs(start - middle) > half) return false; continue; }
      const [near, far] = [(middle - half - start) / step, (middle + half - start) / step].sort((x, y) => x - y);
      from = Math.max(from, near); to = Math.min(to, far);
    }
    return from < to;
  }

  // One part, the best of several starts: nothing over anything, few lines through boxes, as large on the screen as
  // may be. A start that was drawn too tight is widened until its boxes are apart.
  function drawn(ids, near, reach, box, leaves, ratio, work) {
    const size = ids.reduce((sum, id) => sum + 1 + (leaves.get(id) || []).length, 0);
    const starts = ids.length < 2 ? [[0, 1]] : STARTS.slice(0, Math.max(1, Math.floor(work / size)));
    let best = null;
    for (const [turned, tight] of starts) {
      let at = new Map([[ids[0], { x: 0, y: 0 }]]);
      if (ids.length > 1) at = spread(ids, near, new Map(ids.map((id) => [id, { x: reach.get(id).x * tight, y: reach.get(id).y * tight }])), ratio, turned);
      const hung = hangings(ids, at, near, box, leaves);
      let placed = hungOn(ids, at, hung, box, 1);
      for (let wider = 1.07; ids.length > 1 && size < 600 && wider < 2.6 && anyOver(placed); wider *= 1.07) placed = hungOn(ids, at, hung, box, wider);
      const spot = new Map(placed.map((node) => [node.id, node]));
      const lines = placed.flatMap((node) => [...near.get(node.id)].filter((other) => node.id < other && spot.has(other)).map((other) => [node, spot.get(other)]));
      const crossed = starts.length < 2 ? 0 : lines.reduce((sum, [a, b]) => sum + placed.filter((node) => node !== a && node !== b && through(a, b, node)).length, 0);
      const cost = needs(boundsOf(placed), ratio) * (1 + 0.04 * crossed);
      if (!best || cost < best.cost - 1) best = { cost, placed, lines };
    }
    return best;
  }

  // Positions of all nodes, id -> {x, y}. `nodes` are {id, w, h, line}, leaves in the order they shall stand in,
  // `line` the room that the words on a leaf's edge need; `links` pairs of ids; `work` how many boxes may be tried.
  function place(nodes, links, ratio = 1.5, work = WORK) {
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
    const parts = components(core, near).map((ids) => drawn(ids, near, reach, box, leaves, ratio, work));
    return parts.length > PACKED ? shelve(parts, ratio) : pack(parts, ratio);
  }

  const api = { place };
  if (typeof module === "object") module.exports = api; else root.Places = api;
})(globalThis);
