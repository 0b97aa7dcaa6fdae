// The page's scripts as the page has them, in Node: globals in the page's order, cytoscape without a screen.
"use strict";
const path = require("node:path");
const assets = path.join(__dirname, "..", "..", "memory_agent", "views", "assets");
globalThis.cytoscape = require(path.join(assets, "vendor", "cytoscape.min.js"));
globalThis.Moments = require(path.join(assets, "inspector", "moments.js"));
globalThis.Clusters = require(path.join(assets, "inspector", "clusters.js"));
globalThis.Places = require(path.join(assets, "inspector", "places.js"));
globalThis.Incoming = require(path.join(assets, "inspector", "incoming.js"));
require(path.join(assets, "inspector", "dom.js"));
require(path.join(assets, "inspector", "whole.js"));
require(path.join(assets, "inspector", "graph.js"));

let n = 0;
// One version of a fact as the server sends it.
function fact(subject, predicate, object, more = {}) {
  return { id: `f${n++}`, version: 1, subject, predicate, object, text: `${subject} ${predicate} ${object}`, cls: "other", status: "current", because: "", negated: false,
    modality: "actual", confidence: 1, from: null, to: null, never: false, start: 0, end: null, over: null, recorded: 0, retired: null, sources: [], ...more };
}

function graphOf(facts, now = 1000) {
  const nodes = new Map();
  for (const one of facts) for (const id of [one.subject, one.object]) if (!nodes.has(id)) nodes.set(id, { id, name: id, type: "thing", entity: !id.startsWith("value:") });
  return { now, nodes: [...nodes.values()], facts, sessions: {}, untaught: {}, reasons: {}, taught: [] };
}

// `count` facts about people in circles of friends, each with values of its own; the same for the same count.
function large(count) {
  let seed = 7;
  const random = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648; };
  const classes = globalThis.CLASSES, facts = [];
  const people = Math.round(count / 9);
  for (let at = 0; facts.length < count; at++) {
    const person = `person ${at % people}`, circle = Math.floor((at % people) / 14), from = Math.floor(random() * 900);
    const end = random() < 0.25 ? from + 1 + Math.floor(random() * 90) : null;
    const times = { start: from, end, status: end === null ? "current" : "superseded", recorded: from, cls: classes[Math.floor(random() * 12)] };
    const friend = `person ${Math.min(people - 1, circle * 14 + Math.floor(random() * 14))}`;
    if (random() < 0.2 && friend !== person) facts.push(fact(person, "knows", friend, { ...times, cls: "social" }));
    else facts.push(fact(person, `predicate ${Math.floor(random() * 20)}`, `value:${at}`, times));
  }
  return graphOf(facts);
}

module.exports = { fact, graphOf, large };
