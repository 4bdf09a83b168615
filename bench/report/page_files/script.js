"use strict";
// Without this script the page is whole: it adds sorting, filters, folding, copying and the choice of colours.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function button(text, press) {
  const made = element("button", text);
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

// --- sorting: the better values first; words by alphabet; empty cells last; a third press restores the order
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
    const name = head.textContent.replace(/[↑↓]/g, "").trim();
    const sorter = button("", () => {
      const falls = head.classList.contains("number") && head.dataset.better !== "low";
      const [first, second] = falls ? ["descending", "ascending"] : ["ascending", "descending"];
      const now = head.getAttribute("aria-sort");
      const next = now === null ? first : now === first ? second : "";
      all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      sortBy(table, column, next);
      fold(table.closest(".board"));
    });
    sorter.className = "sorter";
    sorter.setAttribute("aria-label", `Sort by ${name}`);
    sorter.append(one("#sort-icon").cloneNode(true));
    sorter.firstChild.removeAttribute("id");
    (one("span:last-of-type", head) ?? head).append("\u00a0", sorter);
  });
}

// --- filters, and published rows folded where there are many
const FOLDED = 6; // published rows that stand open
const form = one("#filter");
const value = (id) => form && one(`#${id}`).value.trim();
const expanded = new Set();

function fold(board) {
  if (!board.closest("#boards")) return;
  const searched = value("words") || value("rank") || value("frames") || value("size");
  const published = all("tbody tr.published:not(.filtered)", board);
  const hidden = published.slice(FOLDED).filter((row) => !row.classList.contains("own"));
  const folds = hidden.length > 1 && !searched;
  const closed = folds && !expanded.has(board);
  published.forEach((row) => { row.hidden = closed && hidden.includes(row); });
  const more = one(".more", board) ?? one(".wide", board).insertAdjacentElement("afterend", button("", () => {
    if (!expanded.delete(board)) expanded.add(board);
    fold(board);
  }));
  more.className = "more";
  more.hidden = !folds;
  more.setAttribute("aria-expanded", String(!closed));
  more.textContent = closed ? `Show ${hidden.length} more published rows` : "Show fewer published rows";
}

function passes(row, kinds, words) {
  const text = row.textContent.toLowerCase() + " " + row.dataset.kind;
  if (!kinds.has(row.dataset.kind) || !words.every((word) => text.includes(word))) return false;
  const limits = [["rank", 1], ["frames", 1], ["size", 1e6]];
  return limits.every(([name, unit]) => !value(name) || Number(row.dataset[name]) <= value(name) * unit);
}

function filter() {
  const words = value("words").toLowerCase().split(/\s+/).filter(Boolean);
  const kinds = new Set(all("input[type=checkbox]:checked", form).map((box) => box.value));
  const rows = all("#boards .board tbody tr");
  for (const row of rows) {
    row.hidden = !passes(row, kinds, words);
    row.classList.toggle("filtered", row.hidden);
  }
  for (const board of all("#boards .board")) {
    board.hidden = !one("tbody tr:not(.filtered)", board);
    fold(board);
  }
  const left = rows.filter((row) => !row.classList.contains("filtered")).length;
  one("#count").textContent = left === rows.length ? `${left} rows` : `${left} of ${rows.length} rows`;
}
if (form) {
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
}

// --- copying
async function copy(text, status) {
  try {
    await navigator.clipboard.writeText(text);
    status.textContent = "Copied";
  } catch {
    status.textContent = "The browser does not allow it";
  }
}

function copying(root) {
  for (const command of all("pre.command", root)) {
    const status = element("span", "", "status");
    status.setAttribute("role", "status");
    command.after(button("Copy the command", () => copy(command.textContent, status)), " ", status);
  }
}
copying(document);

// --- provenance: text nodes and clones only, so nothing in it can be markup
const provenance = JSON.parse(one("#provenance").textContent);
const panel = one("#panel");
let current = [];

function show(ids) {
  current = ids.map((id) => provenance[id]);
  one("#facts").replaceChildren(...ids.flatMap((id) => {
    const source = document.getElementById(`from-${id}`);
    const card = source.cloneNode(true);
    card.removeAttribute("id");
    all("button, .status", card).forEach((made) => made.remove());
    return [element("h3", one("summary", source.parentElement).textContent), card];
  }));
  copying(one("#facts"));
  one("#copied").textContent = "";
  panel.showModal();
  panel.scrollTop = 0;
}
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-provenance]");
  if (row && event.target.closest("a.source, td.value")) {
    event.preventDefault();
    show(row.dataset.provenance.split(" "));
  } else if (event.target === panel) panel.close();
});
one("#close").addEventListener("click", () => panel.close());
one("#copy").addEventListener("click", () => {
  const found = current.length === 1 ? current[0] : current;
  copy(JSON.stringify(found, null, 2), one("#copied"));
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
