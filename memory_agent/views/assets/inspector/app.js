// The frame: which page the address names, the theme, and what to say when something goes wrong.
"use strict";
(function (root) {
  const { h, fill, many, clean, say } = root.Dom;
  const { Source, Parts } = root;
  const PAGES = [
    ["graph", "Graph", root.GraphPage.show, "graph"], ["memories", "Memories", root.MemoriesPage.show, "record"], ["conversations", "Conversations", root.ConversationsPage.show, "sessions"],
    ["context", "Context", root.ContextPage.show, "context"], ["runs", "Runs", root.RunsPage.show, "runs"], ["audit", "Audit", root.AuditPage.show, "audit"],
  ];
  const SHOWS = new Map([...PAGES.map(([name, , show]) => [name, show]), ["record", root.MemoriesPage.record]]);
  const LEFT = new Error("another page was asked for meanwhile");
  let leave = null, turn = 0;

  const route = () => {
    const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
    return SHOWS.has(name) ? [name, rest] : ["graph", []];
  };

  async function show() {
    const [name, rest] = route(), mine = ++turn;
    const place = document.getElementById("main");
    if (leave) { leave(); leave = null; }
    // A page draws when its data have come; by then the reader may have gone on, and it must not cover the next one.
    const put = (...children) => { if (mine !== turn) throw LEFT; fill(place, ...children); };
    place.setAttribute("aria-busy", "true");
    document.body.dataset.page = name;
    for (const a of document.querySelectorAll("#tabs a")) {
      if (a.dataset.page === (name === "record" ? "memories" : name)) a.setAttribute("aria-current", "page"); else a.removeAttribute("aria-current");
    }
    document.title = `${PAGES.find(([one]) => one === name) ? PAGES.find(([one]) => one === name)[1] : "Record"} · ${Source.title || "memory inspector"}`;
    const waiting = setTimeout(() => { if (mine === turn) put(h("div.page", {}, Parts.wait())); }, 150);
    try {
      const left = await SHOWS.get(name)(put, rest);
      if (mine === turn) leave = left || null; else if (left) left();
      // Whoever went there by a link within the page reads on from its beginning, not from a place that is gone.
      if (mine === turn && mine > 1) {
        if (!document.querySelector("dialog") && document.activeElement === document.body) place.focus({ preventScroll: true });
        if (!rest.length) place.scrollTop = 0;
        say(document.title);
      }
    } catch (error) {
      if (mine === turn) put(h("div.page", {}, h("h1", {}, "This cannot be shown"), h("p.bad", { role: "alert" }, error.message), h("p", {}, h("a", { href: "#/graph" }, "To the graph"))));
    } finally {
      clearTimeout(waiting);
      if (mine === turn) place.removeAttribute("aria-busy");
    }
  }

  function go(to) {
    const hash = `#/${to.map(encodeURIComponent).join("/")}`;
    if (location.hash === hash) show(); else location.hash = hash;
    header();
  }

  const THEMES = [["auto", "◐"], ["light", "☀"], ["dark", "☾"]];
  function theme(next) {
    const now = next || (() => { try { return localStorage.getItem("memory-agent theme"); } catch { return null; } })() || "auto";
    if (now === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = now;
    if (next) try { localStorage.setItem("memory-agent theme", next); } catch { /* a page opened from a file may not keep anything */ }
    document.dispatchEvent(new Event("theme"));
    return now;
  }

  async function header() {
    const { user, counts } = await Source.get("overview");
    fill(document.getElementById("who"), Source.title ? null : h("b", {}, h("bdi", {}, user)), h("span.soft", {}, ` ${many(counts.facts, "fact")}${Source.title ? "" : ` · ${many(counts.turns, "turn")}`}${counts.pending ? ` · ${counts.pending} not read yet` : ""}${counts.adapters ? ` · ${many(counts.adapters, "adapter")} on` : ""}`));
  }

  async function start() {
    let now = theme();
    const next = () => THEMES[(THEMES.findIndex(([name]) => name === now) + 1) % THEMES.length];
    const button = h("button.theme", { type: "button", on: { click: () => { [now] = next(); theme(now); named(); } } });
    const named = () => {
      const [name, mark] = THEMES.find(([one]) => one === now) || THEMES[0];
      fill(button, h("span", { "aria-hidden": "true" }, mark), h("span.word", {}, name));
      button.setAttribute("aria-label", `Theme: ${name}. Change to ${next()[0]}`);
    };
    named();
    fill(document.getElementById("bar"), h("span.brand", {}, Source.title ? clean(Source.title) : "memory-agent"), h("nav", { id: "tabs", "aria-label": "Pages" },
      PAGES.filter(([, , , needs]) => Source.has(needs)).map(([name, word]) => h("a", { href: `#/${name}`, "data-page": name }, word))), h("span", { id: "who" }), button);
    try { await Source.start(); await header(); } catch (error) {
      fill(document.getElementById("main"), h("div.page", {}, h("h1", {}, "This memory cannot be read"), h("p.bad", { role: "alert" }, error.message)));
      return;
    }
    root.addEventListener("hashchange", show);
    await show();
    performance.mark("shown");
  }

  root.App = { go };
  start();
})(globalThis);
