// Large graphs in parts: groups of what belongs together, the links between them, and bundles of like leaves. Pure.
"use strict";
(function (root) {
  const MOST = 60; // groups that one picture holds legibly
  const ROUNDS = 12;

  function neighbours(edges) {
    const near = new Map();
    const add = (a, b) => {
      if (!near.has(a)) near.set(a, new Map());
      near.get(a).set(b, (near.get(a).get(b) || 0) + 1);
    };
    for (const { subject, object } of edges) {
      add(subject, object);
      if (subject !== object) add(object, subject);
    }
    return near;
  }

  // How much two linked nodes belong together: their facts, more so the more neighbours they share.
  function pull(near, a, b, weight) {
    const [few, more] = near.get(a).size < near.get(b).size ? [near.get(a), near.get(b)] : [near.get(b), near.get(a)];
    let common = 0;
    for (const id of few.keys()) if (id !== a && id !== b && more.has(id)) common++;
    return weight * (1 + common);
  }

  // Label propagation (Raghavan, Albert and Kumara, 2007) with votes weighted by `pull`, made the same each time:
  // nodes in the order of their degree, ties to the label that is already held, then to the smallest. Groups
  // beyond `most` join the group they have most links with, else one of the rest.
  function groups(nodes, edges, most = MOST) {
    const near = neighbours(edges);
    const degree = (id) => (near.get(id) ? near.get(id).size : 0);
    const order = nodes.map((node) => node.id).sort((a, b) => degree(b) - degree(a) || (a < b ? -1 : 1));
    const label = new Map(order.map((id) => [id, id]));
    const pulls = new Map(order.map((id) => [id, [...(near.get(id) || [])].filter(([other]) => other !== id).map(([other, weight]) => [other, pull(near, id, other, weight)])]));
    for (let round = 0; round < ROUNDS; round++) {
      let moved = 0;
      for (const id of order) {
        const votes = new Map();
        for (const [other, weight] of pulls.get(id)) votes.set(label.get(other), (votes.get(label.get(other)) || 0) + weight);
        let best = label.get(id), score = votes.get(best) || 0;
        for (const [candidate, weight] of votes) {
          const stronger = weight > score || (weight === score && best !== label.get(id) && candidate < best);
          if (stronger) { best = candidate; score = weight; }
        }
        if (best !== label.get(id)) { label.set(id, best); moved++; }
      }
      if (!moved) break;
    }
    const members = new Map();
    for (const id of order) {
      if (!members.has(label.get(id))) members.set(label.get(id), []);
      members.get(label.get(id)).push(id);
    }
    return merged(members, near, most).map((ids) => ({ id: `group:${ids[0]}`, centre: ids[0], members: ids }));
  }

  function merged(members, near, most) {
    const bySize = [...members.values()].sort((a, b) => b.length - a.length || (a[0] < b[0] ? -1 : 1));
    const kept = bySize.slice(0, most), rest = bySize.slice(most);
    const home = new Map();
    kept.forEach((ids, place) => ids.forEach((id) => home.set(id, place)));
    const loose = [];
    for (const ids of rest) {
      const votes = new Map();
      for (const id of ids) for (const [other, weight] of near.get(id) || []) {
        if (home.has(other)) votes.set(home.get(other), (votes.get(home.get(other)) || 0) + weight);
      }
      const best = [...votes].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0];
      if (best) kept[best[0]].push(...ids); else loose.push(...ids);
    }
    return loose.length ? [...kept, loose] : kept;
  }

  // Links between groups with the keys of the facts they stand for; facts within a group are its own.
  function links(all, edges) {
    const home = new Map();
    all.forEach((group) => group.members.forEach((id) => home.set(id, group.id)));
    const found = new Map(), inside = new Map(all.map((group) => [group.id, []]));
    for (const edge of edges) {
      const a = home.get(edge.subject), b = home.get(edge.object);
      if (a === undefined || b === undefined) continue;
      if (a === b) { inside.get(a).push(edge.key); continue; }
      const key = a < b ? `${a} ${b}` : `${b} ${a}`;
      if (!found.has(key)) found.set(key, { id: `link:${key}`, source: a < b ? a : b, target: a < b ? b : a, keys: [] });
      found.get(key).keys.push(edge.key);
    }
    return { between: [...found.values()], inside, home };
  }

  // More than `most` values that hang on one node by one predicate become one bundle: value node -> bundle.
  function bundles(nodes, edges, most = 8) {
    const plain = new Map(nodes.map((node) => [node.id, node]));
    const touching = new Map();
    for (const edge of edges) for (const id of new Set([edge.subject, edge.object])) {
      touching.set(id, (touching.get(id) || 0) + 1);
    }
    const found = new Map();
    for (const edge of edges) {
      const value = plain.get(edge.object);
      if (!value || value.entity || touching.get(edge.object) !== 1) continue;
      const predicate = edge.versions[edge.versions.length - 1].predicate;
      const id = `bundle:${edge.subject} ${predicate}`;
      if (!found.has(id)) found.set(id, { id, owner: edge.subject, predicate, members: [], keys: [] });
      found.get(id).members.push(edge.object);
      found.get(id).keys.push(edge.key);
    }
    return [...found.values()].filter((bundle) => bundle.members.length > most);
  }

  // Everything within `hops` facts of a node.
  function around(edges, start, hops) {
    const near = neighbours(edges);
    let edge = [start];
    const found = new Set([start]);
    for (let hop = 0; hop < hops; hop++) {
      const next = [];
      for (const id of edge) for (const other of (near.get(id) || new Map()).keys()) {
        if (!found.has(other)) { found.add(other); next.push(other); }
      }
      edge = next;
    }
    return found;
  }

  const api = { MOST, groups, links, bundles, around };
  if (typeof module === "object") module.exports = api; else root.Clusters = api;
})(globalThis);
