// When facts hold and what is believed of them. Pure: no page, no clock; times are milliseconds since 1970, null is open.
"use strict";
(function (root) {
  const STANDING = new Set(["current", "stale", "disputed"]);
  const NOW = Infinity;
  const DAY = 86400000;

  // Whether this version of a fact was believed at `known`.
  const believed = (fact, known) => fact.recorded <= known && (fact.retired === null || known < fact.retired);

  // "holds", "past", "future" or "never", of a believed version. Without `when`: what stands, as seen at `today`.
  function state(fact, when, today) {
    if (when === null) {
      const over = fact.over !== null && fact.over <= today;
      return STANDING.has(fact.status) && !over ? "holds" : "past";
    }
    if (fact.never) return "never";
    if (fact.start !== null && when < fact.start) return "future";
    return fact.end !== null && fact.end <= when ? "past" : "holds";
  }

  // One edge for each fact between the same two ends, with all its versions; parallel facts stay apart.
  function edges(facts) {
    const found = new Map();
    for (const fact of facts) {
      const key = JSON.stringify([fact.id, fact.subject, fact.object]);
      if (!found.has(key)) found.set(key, { key, id: fact.id, subject: fact.subject, object: fact.object, versions: [] });
      found.get(key).versions.push(fact);
    }
    return [...found.values()];
  }

  // What is to be seen: edge key -> { fact: the version believed at `known`, state }. `now` is the data's own now.
  function visible(all, { when = null, known = NOW, now, classes = null, past = true, words = "", names = null }) {
    const seen = new Map();
    const today = known === NOW ? now : known;
    const wanted = words.trim().toLowerCase().split(/\s+/).filter(Boolean);
    for (const edge of all) {
      const fact = edge.versions.find((version) => believed(version, known));
      if (!fact || (classes && !classes.has(fact.cls))) continue;
      const how = state(fact, when, today);
      if (how === "future" || (how === "never") || (how === "past" && !past)) continue;
      if (wanted.length) {
        const text = searched(edge, fact, names);
        if (!wanted.every((word) => text.includes(word))) continue;
      }
      seen.set(edge.key, { fact, state: how });
    }
    return seen;
  }

  const searched = (edge, fact, names) => [
    fact.text, fact.predicate, names ? names.get(edge.subject) : "", names ? names.get(edge.object) : "",
    ...fact.sources.map((source) => source[3]),
  ].join(" ").toLowerCase();

  // The moments at which something changes, by day: the last of each day, oldest first.
  function stops(moments) {
    const days = new Map();
    for (const moment of moments) {
      if (moment === null) continue;
      const day = Math.floor(moment / DAY);
      if (!days.has(day) || days.get(day) < moment) days.set(day, moment);
    }
    return [...days.values()].sort((a, b) => a - b);
  }
  const validStops = (facts) => stops(facts.filter((f) => !f.never).flatMap((f) => [f.start, f.end]));
  const knownStops = (facts) => stops(facts.flatMap((f) => [f.recorded, f.retired]));

  const api = { NOW, believed, state, edges, visible, validStops, knownStops };
  if (typeof module === "object") module.exports = api; else root.Moments = api;
})(globalThis);
