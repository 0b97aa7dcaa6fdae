// What a file holds that somebody wants to take in. Pure: text in, a guess out, which the reader may overrule.
"use strict";
(function (root) {
  const OURS = "slowwave/memory"; // the format that the first line of an export names
  // Value -> what it is called; the server's names, but for "turns", which are no export.
  const KINDS = [["turns", "turns of a conversation"], ["slowwave", "an export of this library"], ["mem0", "an export of mem0"], ["zep", "an export of Zep"],
    ["letta", "an agent file of Letta"], ["langmem", "items of LangMem"]];

  const parsed = (text) => { try { return JSON.parse(text); } catch { return undefined; } };
  const linesOf = (text) => text.split("\n").filter((line) => line.trim());
  const holds = (value, ...names) => Boolean(value) && typeof value === "object" && names.every((name) => name in value);

  // { kind, format } of the text; `kind` is null when it looks like nothing that is known.
  function guess(text) {
    const start = text.trimStart().slice(0, 400);
    if (start.startsWith("<") && /<graphml/.test(text.slice(0, 2000))) return { kind: "slowwave", format: "graphml" };
    if (/^(@prefix|PREFIX)\b/.test(start)) return { kind: "slowwave", format: "turtle" };
    const [first] = linesOf(text), head = first === undefined ? undefined : parsed(first);
    if (holds(head, "format") && head.format === OURS) return { kind: "slowwave", format: "jsonl" };
    const whole = parsed(text), one = Array.isArray(whole) ? whole[0] : whole === undefined ? head : whole;
    let kind = null;
    if (holds(one, "role", "content")) kind = "turns";
    else if (holds(one, "memory") || (holds(one, "results") && Array.isArray(one.results))) kind = "mem0";
    else if (holds(one, "edges") && (holds(one, "nodes") || holds(one, "episodes"))) kind = "zep";
    else if (holds(one, "namespace", "value")) kind = "langmem";
    else if (["agents", "blocks", "messages", "passages"].some((name) => holds(one, name))) kind = "letta";
    return { kind, format: "jsonl" };
  }

  // The turns of a text: a JSON list, one turn, or a turn a line. Throws, naming the line, for anything else.
  function turns(text) {
    const whole = parsed(text);
    if (Array.isArray(whole)) return whole;
    if (holds(whole, "role", "content")) return [whole];
    return linesOf(text).map((line, at) => {
      const turn = parsed(line);
      if (!holds(turn, "role", "content")) throw new Error(`line ${at + 1} is no turn {"role", "content", …}`);
      return turn;
    });
  }

  const api = { KINDS, guess, turns };
  if (typeof module === "object") module.exports = api; else root.Incoming = api;
})(globalThis);
