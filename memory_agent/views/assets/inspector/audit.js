// Audit: who changed what when; taking it out, taking in, and deleting everything.
"use strict";
(function (root) {
  const { h, fill, minute, many, link, told, dialog } = root.Dom;
  const { Source, Parts, Incoming } = root;
  const STEP = 200;

  const HEADS = ["When", "Who", "What", "Records", "Detail", "Hash"];

  async function show(put) {
    const entries = await Source.get("audit");
    const body = h("tbody", {}), count = h("p.soft", { role: "status" });
    let words = "", most = STEP;
    const more = h("button", { type: "button", on: { click: () => { most += STEP; draw(); } } }, "Show more");
    function draw() {
      const found = entries.filter((entry) => !words || `${entry.action} ${entry.actor} ${entry.ids.join(" ")} ${entry.detail}`.toLowerCase().includes(words));
      const whole = entries.every((entry) => entry.holds);
      fill(count, `${many(found.length, "entry", "entries")}; `, whole ? "the chain is whole." : h("b.bad", {}, "the chain is BROKEN: an entry was changed or taken out."));
      fill(body, found.slice(0, most).map((entry) => Parts.row(entry.holds ? "" : "broken", HEADS, [minute(entry.at), entry.actor, entry.action, ids(entry.ids), entry.detail, h("code", { title: entry.digest }, entry.digest.slice(0, 10))])));
      more.hidden = found.length <= most;
    }
    put(h("div.page", {}, h("h1", {}, "Audit"), h("p.soft", {}, "Who changed what, and when. Ids and hashes, never content; each entry's hash covers the one before."),
      Source.live ? actions() : null,
      entries.length ? [h("div.filters", { role: "search" }, h("label.field", {}, h("span", {}, "Find"), h("input", { type: "search", on: { input: (event) => { words = event.target.value.toLowerCase(); draw(); } } }))), count,
        Parts.table("audit", "Audit entries", HEADS, body), more] : Parts.empty("Nothing was changed yet", "Every change of this memory will stand here.")));
    draw();
  }

  const short = (id) => (id.length > 28 ? `${id.slice(0, 12)}…` : id);
  const ids = (all) => [all.slice(0, 4).map((id, n) => [n ? ", " : "", link([id.startsWith("run_") ? "runs" : "record", id], short(id))]), all.length > 4 ? `, and ${all.length - 4} more` : ""];

  function actions() {
    return h("p.buttons", {},
      h("button", { type: "button", on: { click: () => download("page", "text/html", "inspector.html") } }, "Export these pages as one file"),
      h("button", { type: "button", on: { click: () => download("export", "application/jsonl", "memory.jsonl") } }, "Export the records"),
      h("button", { type: "button", on: { click: take } }, "Import…"),
      h("button.danger", { type: "button", on: { click: everything } }, "Delete everything…"));
  }

  async function download(what, type, name) {
    try {
      const found = await Source.get(what);
      const text = what === "page" ? found.html : found.lines;
      const at = URL.createObjectURL(new Blob([text], { type }));
      h("a", { href: at, download: `${Source.user()}-${name}` }).click();
      setTimeout(() => URL.revokeObjectURL(at), 10000);
      told(`Written: ${Source.user()}-${name}.`, "good");
    } catch (error) { told(error.message, "bad"); }
  }

  // Turns, an export of this library, or another memory's: what the file looks like is offered, and may be overruled.
  function take() {
    let text = null, format = "jsonl";
    const what = h("select", { required: true }, h("option", { value: "" }, "choose…"), Incoming.KINDS.map(([kind, word]) => h("option", { value: kind }, word)));
    const seen = h("p.soft", { role: "status" }, "An export of this library goes into an empty memory; anything else is added to this one.");
    const file = h("input", { type: "file", required: true, accept: ".jsonl,.json,.ndjson,.graphml,.xml,.ttl,.af", on: { change: async () => {
      if (!file.files.length) return;
      text = await file.files[0].text();
      const found = Incoming.guess(text);
      what.value = found.kind || ""; format = found.format;
      fill(seen, found.kind ? "It looks like that; choose another if it is not." : "What it holds was not recognised: choose.");
    } } });
    dialog("Import", h("div", {}, h("label.field", {}, h("span", {}, "File"), file), h("label.field", {}, h("span", {}, "What it is"), what), seen), "Import", async () => {
      told(await (what.value === "turns" ? turns(text, file.files[0].name.replace(/\.\w+$/, "")) : records(text, what.value, format)), "good");
      root.App.go(["audit"]);
    });
  }

  async function turns(text, session) {
    const all = Incoming.turns(text);
    let added = 0;
    for (let at = 0; at < all.length; at += 500) added += (await Source.send("POST", "/turns", { turns: all.slice(at, at + 500), session })).added.length;
    return `${many(added, "turn")} taken in, ${all.length - added} known already. Consolidate to read them.`;
  }

  async function records(text, from, format) {
    const found = await Source.send("POST", `/import?${new URLSearchParams({ from, format })}`, undefined, text);
    if (from === "slowwave") return `${many(found.records, "record")} taken in.`;
    return `${many(found.turns, "turn")} taken in, ${found.known_already} known already${found.blocks ? `, ${many(found.blocks, "block")} set` : ""}. Consolidate to read them.`;
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
