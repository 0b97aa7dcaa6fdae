// Making elements. Remembered text is untrusted: it reaches the page as text nodes and attribute values only.
"use strict";
(function (root) {
  // Direction overrides and invisible controls can make a line read as what it is not.
  const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
  const clean = (text) => String(text === null || text === undefined ? "" : text).replace(UNSEEN, "\ufffd");

  // h("p.note", {title: "..."}, "text", child, ...). `on` holds listeners; false and null children are left out.
  function h(what, props, ...children) {
    const [tag, ...classes] = what.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    for (const [name, value] of Object.entries(props || {})) {
      if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
      else if (name === "style") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, clean(value));
    }
    append(element, children);
    return element;
  }

  function append(element, children) {
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false || child === "") continue;
      element.append(child instanceof Node ? child : document.createTextNode(clean(child)));
    }
  }

  const fill = (element, ...children) => { element.replaceChildren(); append(element, children); return element; };

  const SVG = "http://www.w3.org/2000/svg";
  function svg(tag, props, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(props || {})) element.setAttribute(name, clean(value));
    append(element, children);
    return element;
  }

  // Instants in words, as Python writes them too: "14 Mar 2024", "14 Mar 2024, 09:05 UTC".
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const day = (ms) => {
    if (ms === null || ms === undefined) return "not known";
    const at = new Date(ms);
    return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}`;
  };
  const minute = (ms) => (ms === null || ms === undefined ? "not known" : `${day(ms)}, ${new Date(ms).toISOString().slice(11, 16)} UTC`);
  const lasted = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`);
  const percent = (share) => `${Math.round(100 * share)} %`;
  const many = (n, one, more = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : more}`;
  const cut = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

  const say = (text) => { document.getElementById("said").textContent = clean(text); };

  function told(text, kind = "info") {
    const place = document.getElementById("told");
    const note = h(`div.toast.${kind}`, { role: kind === "bad" ? "alert" : "status" }, text,
      h("button.plain", { "aria-label": "Close this message", on: { click: () => note.remove() } }, "×"));
    place.append(note);
    if (kind !== "bad") setTimeout(() => note.remove(), 6000);
  }

  // A link to a page of this document.
  const link = (to, ...text) => h("a", { href: `#/${to.map(encodeURIComponent).join("/")}` }, ...text);

  // Ask something in a dialog; `body` is an element, `act` runs on the button and may throw to keep it open.
  function dialog(title, body, word, act, { danger = false, before = null } = {}) {
    const wrong = h("p.bad", { role: "alert" });
    const go = h(danger ? "button.danger" : "button.primary", { type: "submit" }, word);
    const form = h("form", {
      method: "dialog",
      on: {
        submit: async (event) => {
          event.preventDefault();
          go.disabled = true;
          try { await act(); box.close(); } catch (error) { fill(wrong, error.message); } finally { go.disabled = false; }
        },
      },
    }, h("h2", {}, title), body, wrong, h("p.buttons", {},
      h("button", { type: "button", on: { click: () => box.close() } }, "Cancel"), go));
    const from = document.activeElement;
    const box = h("dialog", { "aria-label": title, on: { close: () => { box.remove(); if (from && from.isConnected) from.focus(); } } }, form);
    document.body.append(box);
    box.showModal();
    if (before) before(go);
    return box;
  }

  root.Dom = { h, svg, fill, clean, day, minute, lasted, percent, many, cut, say, told, link, dialog };
})(globalThis);
