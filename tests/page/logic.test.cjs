"use strict";
const test = require("node:test");
const assert = require("node:assert/strict");
const { fact, graphOf, large } = require("./load.cjs");
const { Moments, Clusters, Places, Drawing } = globalThis;

const view = (more = {}) => ({ when: null, known: Moments.NOW, classes: null, past: true, words: "", ...more });
const drawing = (data) => { const made = new Drawing(null, data, { choose() {}, enter() {} }); made.view = view(); made.show({ kind: "all" }); return made; };
const shown = (made) => made.cy.edges().filter((edge) => !edge.hasClass("gone")).map((edge) => edge.data("label")).sort();
const positions = (made) => JSON.stringify(made.cy.nodes().map((node) => [node.id(), node.position()]));

test("a fact holds from its start until its end, the end not included", () => {
  const one = fact("a", "lives in", "b", { start: 10, end: 20 });
  assert.equal(Moments.state(one, 9, 100), "future");
  assert.equal(Moments.state(one, 10, 100), "holds");
  assert.equal(Moments.state(one, 19, 100), "holds");
  assert.equal(Moments.state(one, 20, 100), "past");
  assert.equal(Moments.state({ ...one, start: null, end: null }, -1e15, 100), "holds");
  assert.equal(Moments.state({ ...one, never: true }, 15, 100), "never");
});

test("now, what is superseded or past its announced end is over; what is in doubt still stands", () => {
  for (const [status, over, how] of [["current", null, "holds"], ["stale", null, "holds"], ["disputed", null, "holds"], ["superseded", null, "past"], ["ended", null, "past"], ["current", 50, "past"], ["current", 150, "holds"]]) {
    assert.equal(Moments.state(fact("a", "b", "c", { status, over }), null, 100), how, `${status} ${over}`);
  }
});

test("the version that was believed then is the one that is seen", () => {
  const first = fact("a", "lives in", "b", { recorded: 0, retired: 50 });
  const second = { ...first, version: 2, recorded: 50, retired: null, status: "superseded", end: 40 };
  const all = Moments.edges([first, second]);
  assert.equal(all.length, 1);
  const at = (known, when) => [...Moments.visible(all, view({ known, when, now: 100 })).values()].map((one) => [one.fact.version, one.state]);
  assert.deepEqual(at(49, 45), [[1, "holds"]]);
  assert.deepEqual(at(50, 45), [[2, "past"]]);
  assert.deepEqual(at(-1, 45), []);
});

test("parallel facts between the same two stay apart, and each fades by its own dates", () => {
  const data = graphOf([fact("a", "works for", "b", { start: 0, end: 10, status: "superseded" }), fact("a", "married to", "b", { start: 5 }), fact("a", "sues", "b", { start: 20 })]);
  const made = drawing(data);
  assert.equal(made.cy.edges().length, 3);
  assert.equal(made.cy.edges()[0].parallelEdges().length, 3);
  made.draw(view({ when: 15 }));
  assert.deepEqual(shown(made), ["married to", "works for"]);
  assert.deepEqual(made.cy.edges(".past").map((edge) => edge.data("label")), ["works for"]);
  made.draw(view({ when: 15, past: false }));
  assert.deepEqual(shown(made), ["married to"]);
});

test("nothing moves while time does, and the same graph is drawn the same", () => {
  const facts = [];
  for (let at = 0; at < 60; at++) facts.push(fact(`person ${at % 7}`, "likes", `value:${at}`, { start: at, end: at % 3 ? null : at + 5 }));
  for (let at = 0; at < 6; at++) facts.push(fact(`person ${at}`, "knows", `person ${at + 1}`, { start: at * 9 }));
  const made = drawing(graphOf(facts)), before = positions(made);
  for (let when = 0; when < 70; when += 5) { made.draw(view({ when })); assert.equal(positions(made), before); }
  assert.equal(positions(drawing(graphOf(facts))), before);
});

test("labels of things do not lie over one another", () => {
  const facts = [];
  for (let at = 0; at < 40; at++) facts.push(fact("hub", `predicate ${at % 5}`, `value:some longer label ${at}`, {}));
  for (let at = 0; at < 5; at++) facts.push(fact("hub", "knows", `friend ${at}`), fact(`friend ${at}`, "likes", `value:x${at}`), fact(`friend ${at}`, "has", `value:y${at}`));
  const made = drawing(graphOf(facts));
  const boxes = made.cy.nodes().map((node) => ({ ...node.position(), w: node.data("w"), h: node.data("h"), id: node.id() }));
  const over = [];
  for (const [at, a] of boxes.entries()) for (const b of boxes.slice(at + 1)) {
    if (Math.abs(a.x - b.x) < (a.w + b.w) / 2 - 1 && Math.abs(a.y - b.y) < (a.h + b.h) / 2 - 1) over.push([a.id, b.id]);
  }
  assert.deepEqual(over, []);
});

test("filters by class and by words, the words of the sources too", () => {
  const made = drawing(graphOf([fact("a", "plays", "value:oboe", { cls: "preference", sources: [["e", 0, 1, "double reed", "x", ""]] }), fact("a", "works as", "value:baker", { cls: "work" })]));
  made.draw(view({ classes: new Set(["work"]) }));
  assert.deepEqual(shown(made), ["works as"]);
  made.draw(view({ words: "REED a" }));
  assert.deepEqual(shown(made), ["plays"]);
});

test("only what is near", () => {
  const made = drawing(graphOf([fact("a", "knows", "b"), fact("b", "knows", "c"), fact("c", "knows", "d")]));
  made.show({ kind: "around", id: "b", hops: 1 });
  assert.deepEqual(made.cy.nodes().map((node) => node.id()).sort(), ["a", "b", "c"]);
  made.show({ kind: "around", id: "b", hops: 2 });
  assert.equal(made.cy.nodes().length, 4);
});

test("the arrow keys go to the nearest in that direction", () => {
  const made = drawing(graphOf([fact("a", "knows", "b"), fact("b", "knows", "c"), fact("c", "knows", "a")]));
  made.cy.getElementById("a").position({ x: 0, y: 0 });
  made.cy.getElementById("b").position({ x: 100, y: 10 });
  made.cy.getElementById("c").position({ x: 300, y: 0 });
  made.choose({ kind: "node", id: "a" });
  assert.equal(made.towards(1, 0).id, "b");
  assert.equal(made.towards(-1, 0), null);
});

test("circles of friends are groups, each node in one, and every fact is counted once", () => {
  const facts = [];
  for (const circle of "xyz") for (let a = 0; a < 6; a++) for (let b = a + 1; b < 6; b++) facts.push(fact(`${circle}${a}`, "knows", `${circle}${b}`));
  facts.push(fact("x0", "knows", "y0"));
  const data = graphOf(facts), edges = Moments.edges(facts);
  const groups = Clusters.groups(data.nodes, edges);
  assert.equal(groups.length, 3);
  assert.deepEqual(groups.map((group) => [...new Set(group.members.map((id) => id[0]))].length), [1, 1, 1]);
  const { between, inside } = Clusters.links(groups, edges);
  assert.equal(between.length, 1);
  assert.equal([...inside.values()].reduce((sum, keys) => sum + keys.length, 0) + between.reduce((sum, link) => sum + link.keys.length, 0), facts.length);
});

test("many values of one predicate become a bundle, whose members are found again", () => {
  const facts = [];
  for (let at = 0; at < 30; at++) facts.push(fact("a", "likes", `value:${at}`, { start: at }));
  facts.push(fact("a", "plays", "value:oboe"));
  const made = drawing(graphOf(facts));
  assert.equal(made.cy.nodes(".bundle").length, 1);
  made.draw(view({ when: 9 }));
  assert.match(made.cy.nodes(".bundle")[0].data("label"), /10 values/);
  assert.equal(made.factsOf({ kind: "bundle", id: made.cy.nodes(".bundle")[0].id() }).length, 10);
});

test("5,000 facts: a picture of groups, legible, counted anew at each moment; each group opens", () => {
  const made = drawing(large(5000));
  assert.ok(made.isOverview);
  assert.ok(made.cy.nodes().length <= Clusters.MOST + 1, `${made.cy.nodes().length} groups`);
  made.draw(view({ when: 100 }));
  const early = made.cy.nodes().map((node) => node.data("count")).reduce((a, b) => a + b, 0);
  made.draw(view({ when: 900 }));
  assert.ok(made.cy.nodes().map((node) => node.data("count")).reduce((a, b) => a + b, 0) > early);
  const members = made.grouped().list.flatMap((group) => group.members);
  assert.equal(new Set(members).size, members.length);
  assert.equal(members.length, made.nodes.length);
  made.show({ kind: "group", id: made.grouped().list[0].id });
  assert.ok(made.cy.edges().length > 0);
  assert.ok(made.cy.nodes().length < 400, `${made.cy.nodes().length} nodes in the largest group`);
});

test("5,000 facts, each drawn: what is seen at a moment, what is alike in one batch, what lies under a finger", () => {
  const data = large(5000);
  data.facts[0] = { ...data.facts[0], status: "stale" };
  const made = drawing(data);
  made.show({ kind: "all" }, true);
  assert.equal(made.cy.elements().length, 0, "cytoscape has nothing to do");
  const { painted } = made;
  const count = (some) => some.reduce((n, batch) => n + batch.things.length, 0);
  assert.equal(count(painted.lines), made.edges.length);
  assert.equal(count(painted.boxes), made.nodes.length);
  assert.ok(painted.lines.length + painted.boxes.length < 100, "few paths, however many facts");
  assert.deepEqual(painted.lines.filter((batch) => batch.state === "doubt").map((batch) => batch.things.length), [1]);
  const places = JSON.stringify(painted.nodes.map((node) => [node.id, node.x, node.y]));
  const seen = made.draw(view({ when: 100 }));
  assert.equal(count(painted.lines), seen.size);
  assert.equal(count(painted.lines.filter((batch) => batch.state === "past")), [...seen.values()].filter((one) => one.state === "past").length);
  const ends = new Set(made.edges.filter((edge) => seen.has(edge.key)).flatMap((edge) => [edge.subject, edge.object]));
  assert.equal(count(painted.boxes), ends.size);
  assert.equal(JSON.stringify(painted.nodes.map((node) => [node.id, node.x, node.y])), places, "nothing moves");
  const node = painted.nodes.find((one) => one.state);
  assert.deepEqual(painted.at(node), { kind: "node", id: node.id });
  assert.equal(painted.at({ x: 1e9, y: 0 }), null);
  made.choose({ kind: "node", id: node.id });
  assert.ok(painted.lines.some((batch) => batch.off) && painted.boxes.some((batch) => !batch.off));
  assert.ok(made.towards(1, 0) || made.towards(-1, 0));
  made.show({ kind: "around", id: node.id, hops: 1 });
  assert.equal(made.painted, null);
  assert.ok(made.cy.edges().length > 0);
});

test("facts between the same two, each drawn, lie side by side and are each found", () => {
  const facts = [fact("a", "works for", "b"), fact("b", "sues", "a"), fact("a", "knows", "b")];
  const made = drawing(graphOf(facts));
  const nodes = [["a", 0], ["b", 200]].map(([id, x]) => ({ id, x, y: 0, w: 20, h: 20, kind: "entity", cls: "other", label: id }));
  const painted = new globalThis.Whole(made.cy, nodes, made.edges.map((edge) => ({ ...edge, cls: "other", words: "" })), { of: String });
  painted.see(() => "holds");
  const found = new Set([-7, 0, 7].map((y) => painted.at({ x: 100, y }).id));
  assert.equal(found.size, 3);
});

test("places: nothing, one thing, a pair, a loop", () => {
  assert.equal(Places.place([], []).size, 0);
  assert.equal(Places.place([{ id: "a", w: 10, h: 10 }], [["a", "a"]]).size, 1);
  const pair = Places.place([{ id: "a", w: 50, h: 20 }, { id: "b", w: 50, h: 20 }], [["a", "b"]]);
  assert.ok(Math.hypot(pair.get("a").x - pair.get("b").x, pair.get("a").y - pair.get("b").y) > 30);
});

test("what a file holds is guessed, and turns are read in each form they come in", () => {
  const { guess, turns } = globalThis.Incoming;
  const turn = '{"role": "user", "content": "hello"}';
  for (const [text, kind] of [
    [`${turn}\n${turn}\n`, "turns"], [`[${turn}]`, "turns"], [turn, "turns"], ['{"format": "slowwave/memory", "version": 1}\n{"kind": "fact"}', "slowwave"],
    ['{"results": [{"memory": "x"}]}', "mem0"], ['[{"id": "1", "memory": "x"}]', "mem0"], ['{"nodes": [], "edges": []}', "zep"], ['{"agents": []}', "letta"],
    ['[{"namespace": ["a"], "key": "k", "value": {}}]', "langmem"], ["milk and bread", null], ["", null], ["[]", null], ["null", null],
  ]) assert.equal(guess(text).kind, kind, text);
  assert.deepEqual(guess('<?xml version="1.0"?><graphml xmlns="x">'), { kind: "slowwave", format: "graphml" });
  assert.deepEqual(guess("@prefix : <x> ."), { kind: "slowwave", format: "turtle" });
  for (const text of [`${turn}\n${turn}`, `[${turn}, ${turn}]`]) assert.equal(turns(text).length, 2);
  assert.equal(turns(turn).length, 1);
  assert.throws(() => turns(`${turn}\nmilk`), /line 2/);
});

test("parts of a graph fill the screen: smaller ones in the gaps, none over another, in its shape", () => {
  const facts = [];
  for (let at = 0; at < 30; at++) facts.push(fact(`thing ${at}`, "has", `value:${at}`));
  for (let at = 0; at < 12; at++) facts.push(fact("hub", `p${at % 3}`, `value:h${at}`));
  for (const ratio of [0.7, 1.2, 2]) {
    const { nodes } = graphOf(facts), boxes = nodes.map(({ id }) => ({ id, w: 90, h: 27 }));
    const at = globalThis.Places.place(boxes, facts.map((one) => [one.subject, one.object]), ratio);
    const xs = boxes.map(({ id }) => at.get(id).x), ys = boxes.map(({ id }) => at.get(id).y);
    const shape = (Math.max(...xs) - Math.min(...xs) + 90) / (Math.max(...ys) - Math.min(...ys) + 27);
    assert.ok(shape > ratio * 0.7 && shape < ratio * 1.45, `${shape} for ${ratio}`);
    for (const [n, a] of boxes.entries()) for (const b of boxes.slice(n + 1)) {
      const p = at.get(a.id), q = at.get(b.id);
      assert.ok(Math.abs(p.x - q.x) >= 90 || Math.abs(p.y - q.y) >= 27, `${a.id} over ${b.id}`);
    }
  }
});
