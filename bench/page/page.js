"use strict";
// State of the view, its link and its controls. Text goes in as text nodes only, never as HTML.

const facts = JSON.parse(document.getElementById("facts").textContent);
const ROWS = facts.group.length;
const NAMES = facts.places;
const DEFAULTS = {
  q: "", data: "", family: "", budget: "", machine: "", device: "cpu", scores: "", sort: "", dir: "1",
  plot: "", group: "", x: "samples", y: "val_loss", cost: "params", fig: "", row: "", theme: "",
};
const state = { ...DEFAULTS };
let drawable = false; // once the plotting library, which stands last in the page, has been read

const word = (name, row) => (facts.texts[name] ? facts.texts[name].words[facts.texts[name].rows[row]] : "");
const figure = (name, row) => (facts.numbers[name] ? facts.numbers[name][row] : null);
// a link names its row: places change with the store
const rowName = (row) => ["model", "dataset", "budget", "dtype", "machine"].map((name) => word(name, row)).join(" ");
const rowNames = new Map(Array.from({ length: ROWS }, (_, row) => [rowName(row), row]));
const rowNamed = (name) => rowNames.get(name);
const byId = (id) => document.getElementById(id);
const unique = (name) => facts.texts[name].words.filter((text) => text !== "");
const familyOf = Object.fromEntries(Array.from({ length: ROWS }, (_, row) => [word("model", row), word("family", row)]));

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// ---- figures for people: the same rules as bench/tables/formatting.py

function number(value, digits = 3) {
  if (value === null || value === undefined) return "";
  const rounded = Number(value.toPrecision(digits));
  return Math.abs(rounded) >= 10 ** (digits - 1) ? Math.round(value).toLocaleString("en-GB") : String(rounded);
}

function amount(value) {
  if (value === null || value === undefined) return "";
  for (const [size, prefix] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (Number(value.toPrecision(3)) >= size) return number(value / size) + prefix;
  }
  return number(value);
}

const whole = (value) => (value === null ? "" : value.toLocaleString("en-GB"));

// ---- a model's line: its family's colour, its own dashes, the same in table and plots

function chip(model) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  line.setAttribute("class", "chip");
  line.setAttribute("viewBox", "0 0 26 8");
  line.setAttribute("aria-hidden", "true");
  const stroke = document.createElementNS("http://www.w3.org/2000/svg", "path");
  stroke.setAttribute("d", "M0 4H26");
  stroke.setAttribute("stroke", facts.colours[familyOf[model]] ?? facts.colours.other);
  stroke.setAttribute("stroke-width", "3");
  stroke.setAttribute("stroke-dasharray", (facts.looks[model] ?? []).map((length) => 2 * length).join(" "));
  line.append(stroke);
  return line;
}

const sentence = (pieces) => pieces.map(([text, kind]) => (kind === "finding" ? make("strong", {}, text) : text));

/** Text with `names` in it, as the ledger writes them. */
const coded = (text) => text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));

// ---- the link: the whole state stands in the address

function link() {
  const changed = Object.entries(state).filter(([name, value]) => value !== DEFAULTS[name]);
  return new URLSearchParams(changed).toString();
}

function readLink() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(DEFAULTS)) state[name] = given.get(name) ?? DEFAULTS[name];
  if (!given.has("plot") && groupsOf(state.data).length) state.plot = state.data;
}

/** Whatever the link said, the state holds only values there are. */
function settle() {
  for (const control of document.querySelectorAll("select[data-key]")) {
    const name = control.dataset.key;
    if (![...control.options].some((option) => option.value === state[name])) {
      state[name] = DEFAULTS[name];
    }
  }
  if (!COLUMNS.some((column) => column.key === state.sort)) state.sort = "";
  if (state.dir !== "-1") state.dir = "1";
  if (rowNamed(state.row) === undefined) state.row = "";
  if (!["", "light", "dark"].includes(state.theme)) state.theme = "";
}

function set(changes) {
  Object.assign(state, changes);
  if ("data" in changes) {
    state.fig = changes.data;
    if (changes.data && groupsOf(changes.data).length) state.plot = changes.data;
  }
  if ("plot" in changes || "data" in changes) state.group = "";
  refresh();
  const hash = link();
  history.replaceState(null, "", hash ? `#${hash}` : location.href.split("#")[0]);
}

const reset = () => set({ ...DEFAULTS });

function refresh() {
  document.documentElement.dataset.theme = state.theme;
  byId("theme").textContent = dark() ? "Light" : "Dark";
  settle();
  fillGroups();
  settle(); // again: which groups there are depends on the data set
  for (const control of document.querySelectorAll("[data-key]")) {
    if (control.value !== state[control.dataset.key]) control.value = state[control.dataset.key];
  }
  showTable();
  showFigures();
  if (drawable) showPlots();
}

// ---- controls

function fill(id, options) {
  byId(id).replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
}

const all = (text, values) => [["", text], ...values.map((value) => [value, value])];

function fillControls() {
  fill("data", all("all", unique("dataset")));
  fill("family", all("all", Object.keys(facts.colours).filter((family) => unique("family").includes(family))));
  fill("budget", all("all", unique("budget")));
  fill("machine", all("all", unique("machine")));
  byId("machine-label").hidden = unique("machine").length < 2;
  const timed = (place) => Object.keys(facts.numbers).some((name) => name.startsWith(`${place}_b`));
  fill("device", [...Object.keys(NAMES).map((place) => [place, NAMES[place] + (timed(place) ? "" : ": not measured")]), ["all", "all that were timed"]]);
  fill("scores", [["", "the one that ranks"], ["all", "all there are"]]);
  byId("scores-label").hidden = !COLUMNS.some((column) => column.choice);
  const plotted = [...new Set(facts.groups.map((group) => group.dataset))];
  const rivals = (name) => facts.group.filter((place) => place >= 0 && facts.groups[place].ranked && facts.groups[place].dataset === name).length;
  DEFAULTS.plot = plotted.slice().sort((a, b) => rivals(b) - rivals(a))[0] ?? "";
  fill("plot", plotted.map((name) => [name, name]));
  fill("x", [["samples", "training samples"], ["seconds", "training seconds"]]);
  fill("y", [["val_loss", "validation loss"], ["train_loss", "training loss"], ["val_metric", "validation metric"]]);
  fill("cost", Object.entries(COSTS).map(([name, cost]) => [name, cost.title]));
  fill("fig", [["", "everything"], ...pictureGroups().map((name) => [name || "-", name || "the whole suite"])]);
}

function fillGroups() {
  const found = groupsOf(state.plot || DEFAULTS.plot);
  fill("group", found.map((place, at) => [at ? facts.groups[place].label : "", facts.groups[place].label]));
  byId("group-label").hidden = found.length < 2;
}

const groupsOf = (dataset) => facts.groups.map((_, place) => place).filter((place) => facts.groups[place].dataset === dataset);
const dark = () => (state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);

function listen() {
  document.addEventListener("input", (event) => {
    const name = event.target.dataset?.key;
    if (name) set({ [name]: event.target.value });
  });
  byId("clear").addEventListener("click", () => set({ q: "", data: "", family: "", budget: "", machine: "" }));
  byId("theme").addEventListener("click", () => set({ theme: dark() ? "light" : "dark" }));
  byId("reset").addEventListener("click", reset);
  byId("copy").addEventListener("click", copyLink);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address belongs to the view
    byId(event.target.dataset.skip).focus();
  });
  window.addEventListener("hashchange", () => {
    readLink();
    refresh();
    if (state.row) reveal(rowNamed(state.row), false);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  window.addEventListener("resize", () => drawable && showPlots());
  listenToTable();
}

async function copyLink() {
  const told = byId("told");
  try {
    await navigator.clipboard.writeText(location.href);
    told.textContent = "Copied.";
  } catch { // not every browser lets a page on the disk use the clipboard: then the reader copies
    const field = make("input", { readonly: "", "aria-label": "link to this view", value: location.href });
    told.replaceChildren(field);
    field.select();
  }
}

function start() {
  showAnswers();
  fillControls();
  showClaims();
  showMachines();
  readLink();
  listen();
  refresh();
  if (state.row) reveal(rowNamed(state.row), false);
  window.addEventListener("load", () => {
    drawable = true;
    showPlots();
  });
}
