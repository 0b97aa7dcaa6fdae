// Where the pages' data come from: the server that sent this page, or the page itself when it was exported.
"use strict";
(function (root) {
  const { h, dialog } = root.Dom;
  const held = JSON.parse(document.getElementById("data").textContent);
  const live = held.live === true;
  const base = location.pathname.replace(/\/inspector\/?$/, "");
  const KEY = "memory-agent key";
  const kept = new Map();
  let user = new URLSearchParams(location.search).get("user");
  let key = null;

  // A key given after "#key=" is taken out of the address at once, so that it stays in no history and no copied link.
  function takeKey() {
    const given = /^#key=([\w-]+)$/.exec(location.hash);
    if (given) {
      sessionStorage.setItem(KEY, given[1]);
      history.replaceState(null, "", location.pathname + location.search);
    }
    key = sessionStorage.getItem(KEY);
  }

  // `body` goes as JSON; `text` as it is.
  async function call(method, path, body, text) {
    const headers = { Accept: "application/json" };
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (text !== undefined) headers["Content-Type"] = "application/x-ndjson";
    const answer = await fetch(`${base}/v1/spaces${path}`, {
      method, headers, body: body === undefined ? text : JSON.stringify(body), credentials: "omit", cache: "no-store",
    });
    if (answer.status === 401) { await askForKey(); return call(method, path, body, text); }
    const found = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) throw new Error(found && found.detail ? found.detail : `${answer.status} ${answer.statusText}`);
    return found;
  }

  let asking = null;
  function askForKey() {
    if (!asking) {
      asking = new Promise((resolve) => {
        const input = h("input", { type: "password", autocomplete: "off", required: true, "aria-label": "API key" });
        const box = dialog("This server asks for a key", h("div", {},
          h("p", {}, "Paste an API key. It is kept for this tab only. ", h("code", {}, "memory-agent key create"), " makes one."),
          input), "Go on", () => { key = input.value.trim(); sessionStorage.setItem(KEY, key); });
        box.addEventListener("close", () => { asking = null; resolve(); });
        input.focus();
      });
    }
    return asking;
  }

  const space = () => `/${encodeURIComponent(user)}`;

  // What is shown, by name: "graph", "record" of an id, "session" of a name, ...
  async function get(name, of) {
    const path = of === undefined ? name : `${name} ${of}`;
    if (!live) {
      if (!(path in held.pages)) throw new Error("This is not in the exported file.");
      return held.pages[path];
    }
    if (!kept.has(path)) {
      const query = of === undefined ? "" : `?${new URLSearchParams({ of })}`;
      kept.set(path, call("GET", `${space()}/inspect/${name}${query}`).catch((error) => { kept.delete(path); throw error; }));
    }
    return kept.get(path);
  }

  // Something is written through the server's own routes; what was read before is read again.
  async function send(method, path, body, text) {
    const found = await call(method, `${space()}${path}`, body, text);
    kept.clear();
    return found;
  }

  async function chooseUser() {
    if (!live || user) return;
    const users = (await call("GET", "?limit=1000")).items;
    if (users.length === 1) { [user] = users; return; }
    await new Promise((resolve) => {
      const input = h("input", { list: "users", required: true, "aria-label": "User", value: "" });
      const box = dialog("Whose memory?", h("div", {}, h("p", {}, "Every memory is somebody's."), input,
        h("datalist", { id: "users" }, users.map((name) => h("option", { value: name })))), "Look", () => { user = input.value; });
      box.addEventListener("close", resolve);
    });
    history.replaceState(null, "", `${location.pathname}?${new URLSearchParams({ user })}${location.hash}`);
  }

  async function start() {
    if (live) takeKey();
    await chooseUser();
  }
  const has = (name) => live || Object.keys(held.pages).some((path) => path === name || path.startsWith(`${name} `));

  root.Source = { live, start, get, send, has, lead: held.lead || "", title: held.title || "", forget: () => kept.clear(),
    user: () => user };
})(globalThis);
