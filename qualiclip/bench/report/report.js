// The page works without a network: all data and all files that can be saved stand in it as JSON.
const byId = id => document.getElementById(id), all = (selector, root = document) => [...root.querySelectorAll(selector)];
const parsed = {}, json = id => parsed[id] ??= JSON.parse(byId(id).textContent); // files are large: once, when asked for

// Sorting: numbers by value, text by name; what has no value stands last, whichever way.
function sortTable(table, head, down) {
  const column = head.cellIndex, rows = [...table.tBodies[0].rows], numbers = rows.some(row => row.cells[column].dataset.key);
  const key = row => { const cell = row.cells[column]; return numbers ? (cell.dataset.key ? Number(cell.dataset.key) : null) : cell.textContent; };
  const order = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return (numbers ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
  };
  all("th", table).forEach(th => th.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  table.tBodies[0].append(...rows.sort(order));
}
for (const table of all("table.sortable")) {
  all("th button", table).forEach(button => button.addEventListener("click", () => {
    const head = button.closest("th"), before = head.getAttribute("aria-sort");
    // the first click puts the largest number on top, or the first name
    const numbers = [...table.tBodies[0].rows].some(row => row.cells[head.cellIndex].dataset.key);
    sortTable(table, head, numbers ? before !== "descending" : before === "ascending");
    if (table.id === "board") keep();
  }));
}

// Leaderboard: another metric or statistic in its cells; filter and families for all tables. The address keeps the state.
const board = byId("board"), values = json("values"), filter = byId("filter"), metric = byId("metric"), over = byId("over");
const families = all("input[name=family]"), defaults = { metric: metric.value, over: over.value };
for (const row of board.tBodies[0].rows) row.cells[1].dataset.mean = row.cells[1].dataset.key; // empty: it has no mean
function showValues() {
  const ranked = metric.value === defaults.metric && over.value === defaults.over; // ranks are of these alone
  for (const row of board.tBodies[0].rows) {
    const rank = row.querySelector(".rank");
    rank.textContent = ranked ? rank.dataset.text : "–";
    rank.dataset.key = ranked ? rank.dataset.place : "";
    const cells = all("td[data-set]", row), found = cells.map(cell => values[row.cells[0].textContent]?.[cell.dataset.set]?.[`${metric.value} ${over.value}`]);
    cells.forEach((cell, i) => {
      cell.textContent = found[i]?.text ?? "–";
      cell.dataset.key = found[i]?.key ?? "";
      if (found[i]?.limits) { const limits = document.createElement("span"); limits.className = "limits"; limits.textContent = found[i].limits; cell.append(limits); }
    });
    const mean = row.cells[1];
    if (mean.dataset.mean) {
      const whole = found.every(Boolean), sum = found.reduce((total, cell) => total + (cell?.key ?? 0), 0) / found.length;
      mean.textContent = whole ? sum.toFixed(3) : "–";
      mean.dataset.key = whole ? sum : "";
    }
  }
}
function hideRows() {
  const words = filter.value.toLowerCase(), hidden = new Set(families.filter(box => !box.checked).map(box => box.value));
  for (const row of all("tr[data-family]")) row.hidden = hidden.has(row.dataset.family) || !row.cells[0].textContent.toLowerCase().includes(words);
}
function keep() {
  const state = new URLSearchParams();
  if (filter.value) state.set("filter", filter.value);
  if (metric.value !== defaults.metric) state.set("metric", metric.value);
  if (over.value !== defaults.over) state.set("over", over.value);
  const hidden = families.filter(box => !box.checked).map(box => box.value), head = board.querySelector("th[aria-sort]");
  if (hidden.length) state.set("hide", hidden.join(","));
  if (head && (head.cellIndex !== 1 || head.getAttribute("aria-sort") !== "descending")) state.set("sort", `${head.cellIndex},${head.getAttribute("aria-sort")}`);
  const anchor = location.hash.slice(1).split("?")[0], text = state.toString();
  history.replaceState(null, "", `#${anchor}${text ? "?" + text : ""}`);
}
function restore() {
  const [anchor, text] = location.hash.slice(1).split("?"), state = new URLSearchParams(text);
  if (text !== undefined) {
    filter.value = state.get("filter") ?? "";
    metric.value = state.get("metric") ?? defaults.metric;
    over.value = state.get("over") ?? defaults.over;
    const hidden = (state.get("hide") ?? "").split(",");
    families.forEach(box => { box.checked = !hidden.includes(box.value); });
    showValues(); hideRows();
    const [column, way] = (state.get("sort") ?? "1,descending").split(",");
    sortTable(board, board.tHead.rows[0].cells[column] ?? board.tHead.rows[0].cells[1], way === "descending");
    if (anchor) byId(anchor)?.scrollIntoView();
  }
  keep();
}
for (const select of [metric, over]) select.addEventListener("change", () => { showValues(); const head = board.querySelector("th[aria-sort]"); if (head) sortTable(board, head, head.getAttribute("aria-sort") === "descending"); keep(); });
for (const input of [filter, ...families]) input.addEventListener("input", () => { hideRows(); keep(); });
addEventListener("hashchange", restore);
restore();

// Files: what a button saves is the file as it lies in the folder of results.
function saved(name) {
  if (!name.endsWith(".pdf")) return new Blob([json("files")[name]], { type: "text/plain" });
  return new Blob([Uint8Array.from(atob(json("pdfs")[name]), c => c.charCodeAt(0))], { type: "application/pdf" });
}
for (const button of all("button[data-file]")) button.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(saved(button.dataset.file));
  link.download = button.dataset.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});

// Zoom: an image inside a button opens at its own size, and larger than it was; Escape closes.
const dialog = byId("zoom");
for (const button of all("button.zoom")) button.addEventListener("click", () => {
  const image = button.querySelector("img"), large = dialog.querySelector("img");
  if (!image) return;
  large.src = image.src; large.alt = image.alt; large.hidden = false;
  large.style.width = `${Math.max(image.naturalWidth, 1.5 * image.clientWidth)}px`;
  dialog.querySelector("p").textContent = button.dataset.title;
  dialog.showModal();
});
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });

// Scatter plot: labels against scores, the fitted curve, the image of the nearest dot.
const data = json("points"), NS = "http://www.w3.org/2000/svg";
const svg = document.querySelector("#plot svg"), tip = byId("tip");
const pick = { dataset: byId("dataset"), method: byId("method") };
let W = 760, H = 420; // px: as wide as the page, so that words keep their size
for (const set of data) set.methods.sort((a, b) => Number(b.srcc) - Number(a.srcc)); // the best first
const M = { left: 62, right: 14, top: 14, bottom: 46 };
let dots = [], current = -1;
const add = (tag, attributes, text) => { const e = document.createElementNS(NS, tag); for (const k in attributes) e.setAttribute(k, attributes[k]); if (text !== undefined) e.textContent = text; svg.append(e); return e; };
const fill = (select, items) => { const old = select.value; select.replaceChildren(...items.map(i => new Option(i.title, i.name))); if (items.some(i => i.name === old)) select.value = old; };
const ticks = (low, high) => { const raw = (high - low) / 5, p = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find(s => s * p >= raw) * p, out = []; for (let v = Math.ceil(low / step) * step; v <= high + 1e-9 * step; v += step) out.push(Number(v.toPrecision(6))); return out; };
function draw() {
  const set = data.find(d => d.name === pick.dataset.value);
  if (!set) return;
  fill(pick.method, set.methods);
  const m = set.methods.find(x => x.name === pick.method.value);
  svg.replaceChildren(); hide();
  W = svg.parentElement.clientWidth || W; H = Math.max(280, Math.round(0.5 * W));
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  if (!m) return;
  const rows = m.scores.map((x, i) => ({ x, y: set.labels[i], i })).filter(r => r.x !== null).sort((a, b) => a.x - b.x);
  const span = values => { let low = Math.min(...values), high = Math.max(...values); const pad = 0.04 * (high - low) || 1; return [low - pad, high + pad]; };
  const [x0, x1] = span(rows.map(r => r.x)), [y0, y1] = span(rows.map(r => r.y));
  const px = x => M.left + (x - x0) / (x1 - x0) * (W - M.left - M.right), py = y => H - M.bottom - (y - y0) / (y1 - y0) * (H - M.top - M.bottom);
  for (const t of ticks(x0, x1)) { add("line", { x1: px(t), x2: px(t), y1: M.top, y2: H - M.bottom, stroke: "currentColor", opacity: .1 }); add("text", { x: px(t), y: H - M.bottom + 17, "text-anchor": "middle", "font-size": 12, fill: "currentColor" }, t); }
  for (const t of ticks(y0, y1)) { add("line", { x1: M.left, x2: W - M.right, y1: py(t), y2: py(t), stroke: "currentColor", opacity: .1 }); add("text", { x: M.left - 7, y: py(t) + 4, "text-anchor": "end", "font-size": 12, fill: "currentColor" }, t); }
  add("text", { x: (M.left + W - M.right) / 2, y: H - 8, "text-anchor": "middle", "font-size": 13, fill: "currentColor" }, m.title + (m.sign < 0 ? " (lower is better)" : ""));
  add("text", { x: 15, y: H / 2, transform: `rotate(-90 15 ${H / 2})`, "text-anchor": "middle", "font-size": 13, fill: "currentColor" }, set.label + (set.sign < 0 ? ", lower is better" : ""));
  dots = rows.map(r => ({ ...r, set, m, element: add("circle", { cx: px(r.x), cy: py(r.y), r: 4, style: "fill: var(--accent)", opacity: .65 }) }));
  if (m.fit) {
    const [top, bottom, middle, width] = m.fit, curve = x => set.sign * (bottom + (top - bottom) / (1 + Math.exp(-(m.sign * x - middle) / width)));
    const path = Array.from({ length: 161 }, (_, i) => x0 + (x1 - x0) * i / 160).map(x => `${px(x).toFixed(1)},${Math.max(M.top, Math.min(H - M.bottom, py(curve(x)))).toFixed(1)}`);
    add("polyline", { points: path.join(" "), fill: "none", style: "stroke: var(--warm)", "stroke-width": 2.5 });
  }
  byId("correlations").textContent = `SRCC ${m.srcc} (95%: ${m.limits[0]} to ${m.limits[1]}), PLCC after the fit ${m.plcc}. ${rows.length} of ${set.total} images shown, spread evenly over the labels.`;
}
function hide() { tip.hidden = true; if (dots[current]) dots[current].element.setAttribute("r", 4); current = -1; }
function show(i) {
  hide(); current = i;
  const d = dots[i], box = svg.getBoundingClientRect(), scale = box.width / W;
  d.element.setAttribute("r", 8);
  tip.replaceChildren();
  if (d.set.thumbs[d.i]) { const image = new Image(); image.src = d.set.thumbs[d.i]; image.alt = ""; tip.append(image); }
  const words = `${d.set.images[d.i]}: score ${Number(d.x.toPrecision(4))}, ${d.set.label} ${Number(d.y.toPrecision(4))}`;
  tip.append(words);
  byId("said").textContent = words;
  tip.hidden = false;
  const x = d.element.cx.baseVal.value * scale, y = d.element.cy.baseVal.value * scale;
  tip.style.left = `${Math.min(Math.max(0, x + (x > box.width / 2 ? -tip.offsetWidth - 12 : 12)), box.width - tip.offsetWidth)}px`;
  tip.style.top = `${Math.max(0, Math.min(y - 20, box.height - tip.offsetHeight))}px`;
}
function point(event) {
  const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * W, y = (event.clientY - box.top) / box.height * H;
  let best = -1, least = 400;
  dots.forEach((d, i) => { const q = (d.element.cx.baseVal.value - x) ** 2 + (d.element.cy.baseVal.value - y) ** 2; if (q < least) { least = q; best = i; } });
  if (best < 0) hide(); else if (best !== current) show(best);
}
svg.addEventListener("pointermove", event => { if (event.pointerType === "mouse") point(event); });
svg.addEventListener("pointerdown", point); // a tap shows a dot until the next tap
svg.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") hide(); });
svg.addEventListener("keydown", event => {
  const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (event.key === "Escape") hide();
  if (!move || !dots.length) return;
  event.preventDefault();
  show((current + move + dots.length) % dots.length);
});
fill(pick.dataset, data);
for (const select of Object.values(pick)) select.addEventListener("change", draw);
draw();
addEventListener("resize", draw);
