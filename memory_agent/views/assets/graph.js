"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const svg = document.getElementById("graph");
  if (!svg) return;
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const edges = all(".edge"), nodes = all(".node"), rows = all("tr[data-fact]");
  const when = document.getElementById("when"), whenText = document.getElementById("when-text");
  const past = document.getElementById("past"), find = document.getElementById("find");
  const rowOf = new Map(rows.map((row) => [row.dataset.fact, row]));
  let chosen = null; // {fact} or {node}

  const shows = (id) => {
    const edge = data.edges[id];
    const month = data.months[Number(when.value)];
    const box = document.querySelector(`[data-cls="${edge.cls}"]`);
    if (box && !box.checked) return "hidden";
    const words = find.value.trim().toLowerCase();
    if (words && !rowOf.get(id).textContent.toLowerCase().includes(words)) return "hidden";
    const faded = past.checked ? "faded" : "hidden";
    if (month === undefined) return rowOf.get(id).classList.contains("current") ? "full" : faded;
    if (edge.start > month) return "hidden";
    return edge.end !== null && edge.end <= month ? faded : "full";
  };

  const draw = () => {
    whenText.textContent = data.months[Number(when.value)] || "now";
    const seen = new Set(), state = new Map();
    for (const id of Object.keys(data.edges)) state.set(id, shows(id));
    const near = (id) => !chosen || chosen.fact === id || data.edges[id].ends.includes(chosen.node);
    for (const edge of edges) {
      const id = edge.dataset.fact, how = state.get(id);
      edge.classList.toggle("hidden", how === "hidden");
      edge.classList.toggle("past", how === "faded");
      edge.classList.toggle("off", !near(id));
      edge.classList.toggle("selected", Boolean(chosen) && chosen.fact === id);
      if (how !== "hidden") data.edges[id].ends.forEach((end) => seen.add(end));
    }
    for (const node of nodes) {
      const id = node.dataset.node;
      const touched = !chosen || chosen.node === id || Object.keys(data.edges).some(
        (fact) => near(fact) && state.get(fact) !== "hidden" && data.edges[fact].ends.includes(id));
      node.classList.toggle("hidden", !seen.has(id));
      node.classList.toggle("off", !touched);
      node.classList.toggle("selected", Boolean(chosen) && chosen.node === id);
    }
    for (const row of rows) {
      const id = row.dataset.fact;
      row.classList.toggle("hidden", state.get(id) === "hidden" || Boolean(chosen && chosen.node && !near(id)));
      row.classList.toggle("selected", Boolean(chosen) && chosen.fact === id);
    }
  };

  const choose = (next) => {
    const same = chosen && next && chosen.fact === next.fact && chosen.node === next.node;
    chosen = same ? null : next;
    draw();
    if (chosen && chosen.fact) rowOf.get(chosen.fact).scrollIntoView({ block: "nearest" });
  };
  const onKey = (act) => (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); }
  };
  const wire = (element, target) => {
    element.addEventListener("click", (event) => { event.stopPropagation(); if (!dragged) choose(target); });
    element.addEventListener("keydown", onKey(() => choose(target)));
  };

  // Drag to move the drawing, turn the wheel to zoom; the view box is the only state.
  let dragged = false, from = null;
  const box = svg.viewBox.baseVal;
  const scale = () => Math.max(box.width / svg.clientWidth, box.height / svg.clientHeight);
  svg.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; dragged = false; });
  svg.addEventListener("pointermove", (event) => {
    if (!from || !event.buttons) return;
    const dx = event.clientX - from[0], dy = event.clientY - from[1];
    if (!dragged && Math.hypot(dx, dy) < 4) return;
    dragged = true;
    box.x -= dx * scale(); box.y -= dy * scale();
    from = [event.clientX, event.clientY];
  });
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const factor = event.deltaY > 0 ? 1.12 : 1 / 1.12;
    const rect = svg.getBoundingClientRect();
    const px = (event.clientX - rect.left) / rect.width, py = (event.clientY - rect.top) / rect.height;
    box.x += box.width * (1 - factor) * px; box.y += box.height * (1 - factor) * py;
    box.width *= factor; box.height *= factor;
  }, { passive: false });
  svg.addEventListener("click", () => { if (!dragged && chosen) choose(null); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && chosen) choose(null); });

  edges.forEach((edge) => wire(edge, { fact: edge.dataset.fact }));
  nodes.forEach((node) => wire(node, { node: node.dataset.node }));
  rows.forEach((row) => wire(row, { fact: row.dataset.fact }));
  [when, past, find].forEach((input) => input.addEventListener("input", draw));
  all("[data-cls]").forEach((input) => input.addEventListener("input", draw));
  draw();
})();
