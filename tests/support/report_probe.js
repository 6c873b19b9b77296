// Runs inside the page; what it sees is sent to the test, in real time: virtual time may end before images and digests are there.
window.addEventListener("load", async () => {
  const seen = {};
  const value = cell => cell.dataset.key === "" ? cell.textContent : Number(cell.dataset.key);
  const change = (id, value, kind = "change") => { const e = document.getElementById(id); e.value = value; e.dispatchEvent(new Event(kind)); };
  const column = (table, i) => [...table.tBodies[0].rows].map(row => value(row.cells[i]));
  const board = document.getElementById("board"), heads = board.querySelectorAll("th button");
  heads[2].click(); seen.down = column(board, 2); seen.aria = heads[2].closest("th").getAttribute("aria-sort");
  heads[2].click(); seen.up = column(board, 2);
  heads[0].click(); seen.names = column(board, 0);
  // integers sort as numbers, and what is empty stands last in either direction
  const datasets = document.querySelector("#table-datasets table"), named = [...datasets.querySelectorAll("th button")];
  const count = named.find(button => button.textContent.trim().toLowerCase() === "images"), place = count.closest("th").cellIndex;
  count.click(); seen.counts = column(datasets, place);
  const numbers = count.getBoundingClientRect(), cell = datasets.tBodies[0].rows[0].cells[place].getBoundingClientRect();
  seen.beside = Math.abs(numbers.right - cell.right);
  // another metric, a filter and a family; the address holds them, and gives them back
  const shown = () => [...board.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[0].textContent);
  change("metric", "krcc"); change("over", "median");
  seen.median = [...board.tBodies[0].rows].map(row => [row.cells[0].textContent, row.cells[2].textContent]);
  change("filter", "qualiclip", "input");
  document.querySelector("input[value=control]").click();
  seen.filtered = shown(); seen.address = location.hash;
  seen.filtered_table = [...document.querySelectorAll("#table-zero_shot_authentic tbody tr:not([hidden])")].map(row => row.cells[0].textContent);
  location.hash = "#table-datasets?metric=plcc_logistic&hide=control"; restore();
  seen.restored = [document.getElementById("metric").value, document.getElementById("over").value, document.getElementById("filter").value, shown()];
  location.hash = "#?"; restore(); seen.whole = shown();
  // files: all that a button saves, as it is saved
  const blobs = [], save = HTMLAnchorElement.prototype.click, create = URL.createObjectURL;
  URL.createObjectURL = blob => { blobs.push(blob); return create(blob); };
  HTMLAnchorElement.prototype.click = function () {};
  const buttons = [...document.querySelectorAll("button[data-file]")];
  buttons.forEach(button => button.click());
  HTMLAnchorElement.prototype.click = save;
  const hex = async blob => [...new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()))].map(b => b.toString(16).padStart(2, "0")).join("");
  seen.files = {};
  for (const [i, button] of buttons.entries()) seen.files[button.dataset.file] = await hex(blobs[i]);
  // every link inside the page leads somewhere
  seen.lost = [...document.querySelectorAll("a[href^='#']")].map(a => a.getAttribute("href").slice(1)).filter(id => !document.getElementById(id));
  const images = [...document.querySelectorAll("img:not(dialog img)")];
  for (const image of images) image.loading = "eager";
  // decode() of an image off the screen may never answer under virtual time: what counts is checked below
  const decoded = Promise.all(images.map(i => i.decode().catch(() => null)));
  await Promise.race([decoded, new Promise(done => setTimeout(done, 8000))]);
  seen.images = images.length; seen.broken = images.filter(i => !i.complete || i.naturalWidth === 0).length;
  const zoom = document.querySelector(".pair button.zoom");
  zoom.focus(); zoom.click();
  seen.zoomed = document.getElementById("zoom").open && document.querySelector("dialog img").naturalWidth > 0;
  document.getElementById("zoom").close();
  seen.zooms = [];
  for (const button of document.querySelectorAll("figure button.zoom")) {
    button.click();
    seen.zooms.push(document.querySelector("dialog img").getBoundingClientRect().width / button.querySelector("img").clientWidth);
    document.getElementById("zoom").close();
  }
  const svg = document.querySelector("#plot svg");
  seen.dots = svg.querySelectorAll("circle").length; seen.curve = svg.querySelectorAll("polyline").length;
  svg.focus();
  svg.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  const tip = document.getElementById("tip");
  seen.tip = !tip.hidden && tip.querySelector("img") !== null;
  const dot = svg.querySelector("circle").getBoundingClientRect();
  const at = { clientX: dot.x + dot.width / 2, clientY: dot.y + dot.height / 2, bubbles: true };
  seen.said = document.getElementById("said").textContent;
  svg.dispatchEvent(new PointerEvent("pointermove", { ...at, pointerType: "mouse" }));
  seen.hovered = tip.textContent;
  svg.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "mouse" }));
  seen.left = tip.hidden;
  svg.dispatchEvent(new PointerEvent("pointerdown", { ...at, pointerType: "touch" }));
  svg.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "touch" }));
  seen.tapped = tip.hidden ? "" : tip.textContent;
  tip.style.pointerEvents = "auto"; tip.scrollIntoView({ block: "center" });
  const now = tip.getBoundingClientRect();
  seen.on_top = tip.contains(document.elementFromPoint(now.x + now.width / 2, now.bottom - 4));
  seen.axis_words = Math.min(...[...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect().height));
  if (window.axe) {
    const found = await axe.run(document, { resultTypes: ["violations"] });
    seen.axe = found.violations.filter(v => ["serious", "critical"].includes(v.impact)).map(v => `${v.id}: ${v.nodes[0].html.slice(0, 200)}`);
  }
  seen.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  await fetch(new URLSearchParams(location.search).get("to"), { method: "POST", mode: "no-cors", body: JSON.stringify(seen) });
});
