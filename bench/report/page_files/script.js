"use strict";
// Without this script the page is whole: it adds sorting, filtering, provenance and the choice of colours.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);

// --- sorting: numbers by value, words by alphabet, empty cells last; a third press restores the order
function keyOf(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  return cell.classList.contains("number") ? null : cell.textContent.trim().toLowerCase();
}

function sortBy(table, column, direction) {
  const body = table.tBodies[0];
  const sign = direction === "descending" ? -1 : 1;
  const rows = [...body.rows].sort((a, b) => {
    const home = a.dataset.home - b.dataset.home;
    if (!direction) return home;
    const [x, y] = [keyOf(a.cells[column]), keyOf(b.cells[column])];
    const [none, other] = [x === null || x === "", y === null || y === ""];
    if (none || other) return none - other || home;
    return (x < y ? -1 : x > y ? 1 : 0) * sign || home;
  });
  body.append(...rows);
}

for (const table of all("table.sortable")) {
  [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.home = place; });
  all("thead th", table).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now === null ? first : now === first ? second : "";
      all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      sortBy(table, column, next);
    });
  });
}

// --- filtering
const form = one("#filter");
function filter() {
  const words = one("#words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kinds = new Set(all("input[type=checkbox]:checked", form).map((box) => box.value));
  const rows = all(".board tbody tr");
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !(kinds.has(row.dataset.kind) && words.every((word) => text.includes(word)));
    shown += !row.hidden;
  }
  for (const board of all(".board")) board.hidden = !board.querySelector("tbody tr:not([hidden])");
  one("#count").textContent = `${shown} of ${rows.length} rows`;
}
if (form) {
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
}

// --- provenance: text nodes only, so nothing in it can be markup
const provenance = JSON.parse(one("#provenance").textContent);
const panel = one("#panel");

function shown(value) {
  if (value === null || typeof value !== "object") return document.createTextNode(String(value));
  const entries = Object.entries(value);
  if (Array.isArray(value) && entries.every(([, part]) => typeof part !== "object")) {
    return document.createTextNode(value.join(", ") || "none");
  }
  const list = document.createElement("dl");
  for (const [name, part] of entries) {
    const term = document.createElement("dt");
    const told = document.createElement("dd");
    term.textContent = name;
    if (part && typeof part === "object" && Object.keys(part).length > 3) {
      const details = document.createElement("details");
      const summary = document.createElement("summary");
      summary.textContent = `${Object.keys(part).length} entries`;
      details.append(summary, shown(part));
      details.open = ["model", "coverage"].includes(name) || entries.length <= 3;
      told.append(details);
    } else {
      told.append(shown(part));
    }
    list.append(term, told);
  }
  return list;
}

let current = null;
function open(id) {
  current = provenance[id];
  one("#facts").replaceChildren(shown(current));
  one("#copied").textContent = "";
  panel.showModal();
  panel.scrollTop = 0;
}
document.addEventListener("click", (event) => {
  const source = event.target.closest("[data-provenance]");
  if (source && !event.target.closest("a")) open(source.dataset.provenance);
  else if (event.target === panel) panel.close();
});
one("#close").addEventListener("click", () => panel.close());
one("#copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(JSON.stringify(current, null, 2));
    one("#copied").textContent = "copied";
  } catch {
    one("#copied").textContent = "the browser does not allow it";
  }
});

// --- wide tables of galleries can be scrolled by keyboard too
all(".gallery .wide").forEach((box, place) => {
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", `Table ${place + 1}`);
});

// --- colours
const scheme = one("#scheme");
const schemes = ["auto", "light", "dark"];
function paint(name) {
  if (name === "auto") delete document.documentElement.dataset.scheme;
  else document.documentElement.dataset.scheme = name;
  scheme.textContent = `Colours: ${name}`;
}
let chosen = "auto";
scheme.hidden = false;
scheme.addEventListener("click", () => {
  chosen = schemes[(schemes.indexOf(chosen) + 1) % schemes.length];
  paint(chosen);
});
