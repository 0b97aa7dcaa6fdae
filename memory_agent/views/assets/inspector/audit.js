// Audit: who changed what when; taking it out, taking in, and deleting everything.
"use strict";
(function (root) {
  const { h, fill, minute, many, link, told, dialog } = root.Dom;
  const { Source, Parts } = root;
  const STEP = 200;

  async function show(place) {
    const entries = await Source.get("audit");
    const body = h("tbody", {}), count = h("p.soft", { role: "status" });
    let words = "", most = STEP;
    const more = h("button", { type: "button", on: { click: () => { most += STEP; draw(); } } }, "Show more");
    function draw() {
      const found = entries.filter((entry) => !words || `${entry.action} ${entry.actor} ${entry.ids.join(" ")} ${entry.detail}`.toLowerCase().includes(words));
      fill(count, `${many(found.length, "entry", "entries")}; the chain ${entries.every((entry) => entry.holds) ? "is whole" : "is BROKEN"}.`);
      fill(body, found.slice(0, most).map((entry) => h("tr", {}, h("td", {}, minute(entry.at)), h("td", {}, entry.actor), h("td", {}, entry.action), h("td", {}, ids(entry.ids)), h("td", {}, entry.detail), h("td", {}, h("code", { title: entry.digest }, entry.digest.slice(0, 10))))));
      more.hidden = found.length <= most;
    }
    fill(place, h("div.page", {}, h("h1", {}, "Audit"), h("p.soft", {}, "Ids and hashes, never content. Each entry's hash covers the one before."),
      Source.live ? actions() : null,
      h("div.filters", { role: "search" }, h("label.field", {}, h("span", {}, "Find"), h("input", { type: "search", on: { input: (event) => { words = event.target.value.toLowerCase(); draw(); } } }))), count,
      h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Audit entries" }, h("table.wide", {}, h("thead", {}, h("tr", {}, ["When", "Who", "What", "Records", "Detail", "Hash"].map((word) => h("th", { scope: "col" }, word)))), body)), more));
    draw();
  }

  const ids = (all) => [all.slice(0, 4).map((id, n) => [n ? ", " : "", link([id.startsWith("run_") ? "runs" : "record", id], id)]), all.length > 4 ? `, and ${all.length - 4} more` : ""];

  function actions() {
    const file = h("input", { type: "file", accept: ".jsonl,.json", "aria-label": "File of turns to take in", on: { change: () => take(file) } });
    return h("p.buttons", {},
      h("button", { type: "button", on: { click: () => download("page", "text/html", "inspector.html") } }, "Export these pages as one file"),
      h("button", { type: "button", on: { click: () => download("export", "application/jsonl", "memory.jsonl") } }, "Export the records"),
      h("label.button", {}, "Import turns", file),
      h("button.danger", { type: "button", on: { click: everything } }, "Delete everything…"));
  }

  async function download(what, type, name) {
    try {
      const found = await Source.get(what);
      const text = what === "page" ? found.html : found.lines;
      const at = URL.createObjectURL(new Blob([text], { type }));
      h("a", { href: at, download: `${Source.user()}-${name}` }).click();
      setTimeout(() => URL.revokeObjectURL(at), 10000);
    } catch (error) { told(error.message, "bad"); }
  }

  // Turns as JSON lines, or a JSON list: {role, content, speaker, at, id, session}.
  async function take(input) {
    try {
      const text = await input.files[0].text();
      const turns = text.trimStart().startsWith("[") ? JSON.parse(text) : text.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line));
      let added = 0;
      for (let at = 0; at < turns.length; at += 500) added += (await Source.send("POST", "/turns", { turns: turns.slice(at, at + 500), session: input.files[0].name.replace(/\.\w+$/, "") })).added.length;
      told(`${many(added, "turn")} taken in, ${turns.length - added} known already. Consolidate to read them.`, "good");
      root.App.go(["audit"]);
    } catch (error) { told(`Not taken in: ${error.message}`, "bad"); }
    input.value = "";
  }

  function everything() {
    const name = h("input", { required: true, autocomplete: "off" }), what = h("div", { role: "status" }, Parts.wait("Looking what would go…"));
    const gone = (dry) => Source.send("DELETE", `?${new URLSearchParams({ reason: "everything was to be deleted", dry_run: dry })}`);
    dialog("Delete everything?", h("div", {}, h("p", {}, "All that is remembered of ", h("b", {}, h("bdi", {}, Source.user())), ", the weights included. It cannot be undone."), what,
      h("label.field", {}, h("span", {}, "Type the user's name to go on"), name)), "Delete everything", async () => {
      if (name.value !== Source.user()) throw new Error("That is not the user's name.");
      told(`Deleted: ${root.MemoriesPage.summed(await gone(false))}.`, "good");
      root.App.go(["graph"]);
    }, { danger: true, before: () => {
      gone(true).then((report) => fill(what, h("p", {}, "This would go: ", h("b", {}, root.MemoriesPage.summed(report)), "."))).catch((error) => fill(what, h("p.bad", {}, error.message)));
    } });
  }

  root.AuditPage = { show };
})(globalThis);
