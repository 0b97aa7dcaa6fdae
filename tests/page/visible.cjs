// Reads {graph, moments: [[when, known], ...]} and writes the ids that the page would show as holding at each.
"use strict";
require("./load.cjs");
const { Moments } = globalThis;
const { graph, moments } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const edges = Moments.edges(graph.facts);
const found = moments.map(([when, known]) => {
  const seen = Moments.visible(edges, { when, known: known === null ? Moments.NOW : known, now: graph.now, past: true });
  return [...seen.values()].filter((one) => one.state === "holds").map((one) => one.fact.id).sort();
});
process.stdout.write(JSON.stringify(found));
