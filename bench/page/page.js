"use strict";
// Sorts, filters, hovers. All that is to be read stands in the page without this.

const $ = (found, within = document) => within.querySelector(found);
const $$ = (found, within = document) => [...within.querySelectorAll(found)];
const form = $("#filters");
const table = $("#table table");
const heads = $$("thead th", table);
const rows = $$("tbody tr", table);
const [QUALITY, DATASET, BUDGET] = [1, 2, 3]; // places of columns that every row has
const sorted = { at: -1, sign: 1 };
let texts = null; // of rows, in lower case, made at the first search

function make(tag, attributes, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...inside);
  return node;
}

// ---- filters, and their link

const given = () => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));

function passes(row, at, want, words) {
  return (!want.dataset || row.cells[DATASET].textContent === want.dataset)
    && (!want.budget || row.cells[BUDGET].textContent.split(", ")[0] === want.budget)
    && (!want.family || row.classList.contains(`f-${want.family}`))
    && words.every((word) => texts[at].includes(word));
}

function filter() {
  const want = given();
  const words = (want.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) texts ??= rows.map((row) => row.textContent.toLowerCase());
  let shown = 0;
  rows.forEach((row, at) => {
    row.hidden = !passes(row, at, want, words);
    shown += !row.hidden && ["skipped", "rest"].every((name) => want[name] || !row.classList.contains(name));
  });
  $("#count").textContent = `${shown} of ${rows.length} cells`;
  $("#none").hidden = shown > 0 || rows.length === 0;
  $("#table").hidden = shown === 0;
  $("#chips").replaceChildren(...["q", "dataset", "family", "budget"].filter((name) => want[name]).map((name) => {
    const label = form.elements[name].dataset.label ?? "Search";
    const chip = make("button", { type: "button", "aria-label": `remove the filter ${label}: ${want[name]}` }, `${label}: ${want[name]} ×`);
    chip.addEventListener("click", () => put({ [name]: "" }));
    return chip;
  }));
}

/** Remember the view in the address. */
function remember() {
  const link = new URLSearchParams(given());
  if (sorted.at >= 0) link.set("sort", `${sorted.sign < 0 ? "-" : ""}${heads[sorted.at].dataset.name.split(" ")[0]}`);
  history.replaceState(null, "", `#${link}` === "#" ? location.href.split("#")[0] : `#${link}`);
}

function put(changes) {
  for (const [name, value] of Object.entries(changes)) {
    const control = form.elements[name];
    if (!control) continue;
    if (control.type === "checkbox") control.checked = Boolean(value);
    else control.value = value;
    if (control.selectedIndex === -1) control.value = ""; // a link may name what is not there
  }
  filter();
  remember();
}

/** An address with = is a view; any other is a place in the page. */
function read() {
  if (!location.hash.includes("=")) return filter();
  const link = new URLSearchParams(location.hash.slice(1));
  const [, minus, name] = (link.get("sort") ?? "").match(/^(-?)(.*)$/);
  Object.assign(sorted, { at: heads.findIndex((head) => name && head.dataset.name.split(" ")[0] === name), sign: minus ? -1 : 1 });
  sort();
  form.reset();
  return put(Object.fromEntries(link));
}

// ---- sorting: empty last; quality best first among rows that may be compared

function key(row) {
  const cell = row.cells.length === heads.length ? row.cells[sorted.at] : sorted.at <= BUDGET ? row.cells[sorted.at] : null;
  if (!cell || cell.textContent === "") return null;
  return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v.split(" ")[0]);
}

function sort() {
  const quality = sorted.at === QUALITY;
  const keyed = rows.map((row, at) => ({ row, at, key: sorted.at < 0 ? at : key(row), group: quality ? Number(row.dataset.g) : 0, sign: quality && !row.classList.contains("lower") ? -1 : 1 }));
  const compare = (a, b) => (a.key === null) - (b.key === null)
    || sorted.sign * a.sign * (typeof a.key === "number" && typeof b.key === "number" ? a.key - b.key : String(a.key).localeCompare(String(b.key), "en", { numeric: true }));
  keyed.sort((a, b) => a.group - b.group || (a.key === null && b.key === null ? 0 : compare(a, b)) || a.at - b.at);
  table.tBodies[0].append(...keyed.map((one) => one.row));
  heads.forEach((head, at) => {
    const own = at === sorted.at;
    head.setAttribute("aria-sort", !own ? "none" : quality ? "other" : sorted.sign > 0 ? "ascending" : "descending");
    $(".arrow", head).textContent = !own ? "" : sorted.sign > 0 ? " ▲" : " ▼";
  });
}

for (const [at, head] of heads.entries()) {
  const button = make("button", { type: "button" }, head.firstChild, make("span", { class: "arrow", "aria-hidden": "true" }));
  head.prepend(button);
  button.addEventListener("click", () => {
    if (sorted.at !== at) Object.assign(sorted, { at, sign: 1 });
    else if (sorted.sign > 0) sorted.sign = -1;
    else Object.assign(sorted, { at: -1, sign: 1 });
    sort();
    remember();
  });
}

// ---- downloads of what is shown, unrounded

function view() {
  const shown = heads.map((head) => getComputedStyle(head).display !== "none");
  const drawn = [...table.tBodies[0].rows].filter((row) => getComputedStyle(row).display !== "none");
  return drawn.map((row) => Object.fromEntries(heads.flatMap((head, at) => {
    if (!shown[at]) return [];
    const names = head.dataset.name.split(" ");
    const short = row.cells.length < heads.length && at > BUDGET;
    const cell = !short ? row.cells[at] : at >= heads.length - 2 ? row.cells[row.cells.length - heads.length + at] : null;
    if (short && cell === null) return names.map((name) => [name, name === "reason" ? row.cells[BUDGET + 1].textContent.trim() : ""]);
    const figures = (cell.dataset.v ?? "").split(" ");
    if (cell.dataset.v !== undefined || head.classList.contains("n")) return names.map((name, i) => [name, figures[i] ?? ""]);
    return [[names[0], ($("code", cell) ?? cell).textContent.trim()]];
  })));
}

/** A field of a CSV file; what a spreadsheet would take for a formula begins with an apostrophe. */
function field(value) {
  const safe = /^\s*[=+\-@]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function save(kind) {
  const lines = view();
  const names = Object.keys(lines[0] ?? {});
  const text = kind === "json"
    ? JSON.stringify(lines.map((line) => Object.fromEntries(Object.entries(line).map(([name, value]) => [name, value === "" ? null : heads.some((head) => head.classList.contains("n") && head.dataset.name.split(" ").includes(name)) ? Number(value) : value]))), null, 1)
    : [names, ...lines.map((line) => names.map((name) => line[name]))].map((line) => line.map(field).join(",")).join("\n");
  const address = URL.createObjectURL(new Blob([`${text}\n`], { type: kind === "json" ? "application/json" : "text/csv" }));
  make("a", { href: address, download: `attention-bench.${kind}` }).click();
  URL.revokeObjectURL(address);
}

// ---- hovering, and the same by keyboard: arrows go from mark to mark

function light(mark) {
  const tip = $("#tip");
  for (const node of $$(".lit, .has-lit")) node.classList.remove("lit", "has-lit");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = $("title", mark).textContent;
  const drawing = mark.closest(".row") ?? mark.closest("svg");
  const alike = mark.dataset.m === undefined ? [mark] : $$(".m", drawing).filter((node) => node.dataset.m === mark.dataset.m);
  for (const node of alike) node.classList.add("lit");
  for (const node of new Set(alike.map((one) => one.closest("svg")))) node.classList.add("has-lit");
}

for (const drawing of $$("figure > svg")) drawing.setAttribute("tabindex", "0");
document.addEventListener("pointerover", (event) => light(event.target.closest?.("svg .m") ?? null));
document.addEventListener("focusout", () => light(null));
document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") light(null);
  if (!step || !event.target.matches("figure > svg")) return;
  event.preventDefault();
  const marks = $$(".m", event.target);
  const at = marks.findIndex((mark) => mark.classList.contains("lit"));
  light(marks[at < 0 ? (step > 0 ? 0 : marks.length - 1) : (at + step + marks.length) % marks.length]);
});

// ---- controls

const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
$("#theme").addEventListener("click", (event) => {
  document.documentElement.dataset.theme = dark() ? "light" : "dark";
  event.target.textContent = dark() ? "Light" : "Dark";
});
$("#theme").textContent = dark() ? "Light" : "Dark";
$("#clear").addEventListener("click", () => put({ q: "", dataset: "", family: "", budget: "" }));
$("#copy").addEventListener("click", async (event) => {
  try {
    await navigator.clipboard.writeText(location.href);
    event.target.textContent = "Copied";
  } catch { // not every browser lets a page on the disk use the clipboard: the address bar has it
    event.target.textContent = "See the address bar";
  }
});
for (const button of $$("[data-save]")) button.addEventListener("click", () => save(button.dataset.save));
for (const link of $$("[data-filter]")) link.addEventListener("click", (event) => {
  event.preventDefault(); // the address becomes the view
  put({ q: "", dataset: link.dataset.filter, family: "", budget: "" });
  $("#cells").scrollIntoView();
});
form.addEventListener("submit", (event) => event.preventDefault());
for (const control of form.elements) control.addEventListener("input", () => put({}));
window.addEventListener("hashchange", read);
window.addEventListener("beforeprint", () => light(null));
for (const node of [form, $("#theme")]) node.hidden = false;
read();
