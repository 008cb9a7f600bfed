// The table of all cells: filtered, searched, sorted; rows are made when they come into sight and kept.

const CHUNK = 100;
let order = []; // rows that pass the filters, sorted
let made = new Map(); // row -> its tr, as long as the columns stay the same
let columns = [];
let answered = null; // the filters and the sorting that the body shows
let searchable = null; // row -> its text in lower case, made at the first search

const CELLS = { // how a cell is drawn, by the name that its column gives
  "": (column, row) => [column.text ? word(column.key, row) : number(figure(column.key, row))],
  long: (column, row) => [word(column.key, row)],
  number: (column, row) => [number(figure(column.key, row))],
  whole: (column, row) => [whole(figure(column.key, row))],
  amount: (column, row) => [amount(figure(column.key, row))],
  model: (_, row) => modelCell(row),
  budget: (_, row) => [word("budget", row), word("dtype", row) === "float32" ? "" : `, ${word("dtype", row)}`],
  metric: (_, row) => [word("metric", row), betterOf(row)],
  quality: (_, row) => qualityCell(row),
  latency: (column, row) => latencyCell(column.key, row),
};
const COLUMNS = facts.columns; // defined in bench/tables/columns.py

const lowerIsBetter = (row) => facts.groups[facts.group[row]]?.better === "lower";
const betterOf = (row) => (facts.group[row] < 0 ? "" : lowerIsBetter(row) ? " ↓" : " ↑");

function modelCell(row) {
  const model = word("model", row);
  const title = "mark this row and plot its data set";
  return [chip(model), make("button", { type: "button", class: `link name family-${familyOf[model]}`, title }, model)];
}

function qualityCell(row) {
  const [low, high] = [figure("low", row), figure("high", row)];
  const node = make("span", {}, word("quality", row));
  if (low !== null) node.title = `95 % interval ${number(low, 4)} to ${number(high, 4)}, ${figure("seeds", row)} seeds`;
  return [node];
}

function latencyCell(name, row) {
  const value = figure(name, row);
  if (value === null) return [];
  const [low, high] = [figure(`${name}_low`, row), figure(`${name}_high`, row)];
  const range = low === null ? [] : [make("span", { class: "range" }, ` [${number(low)}, ${number(high)}]`)];
  const doubt = word(`doubts_${name}`, row);
  const dagger = doubt ? [make("details", { class: "doubt", title: doubt }, make("summary", { "aria-label": "what was wrong with this timing" }, "†"), doubt)] : [];
  return [number(value), ...dagger, ...range];
}

// ---- which rows, in which order

function textOf(row) {
  const words = ["model", "dataset", "budget", "dtype", "machine", "family", "metric", "quality", "status", "reason"].map((name) => word(name, row));
  return words.concat([whole(figure("params", row)), amount(figure("flops", row))]).join(" ").toLowerCase();
}

function passing() {
  const wanted = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length && !searchable) searchable = Array.from({ length: ROWS }, (_, row) => textOf(row));
  const fits = [["data", "dataset"], ["family", "family"], ["budget", "budget"], ["machine", "machine"]].filter(([key]) => state[key] !== "");
  const rows = [];
  for (let row = 0; row < ROWS; row += 1) {
    if (fits.every(([key, name]) => word(name, row) === state[key]) && wanted.every((part) => searchable[row].includes(part))) rows.push(row);
  }
  return rows;
}

/** Empty last; quality best first among rows that may be compared: of one data set, trained under equal conditions. */
function sorted(rows) {
  const column = COLUMNS.find((one) => one.key === state.sort);
  if (!column) return rows;
  const sign = Number(state.dir);
  if (column.cell === "quality") {
    const dataset = (row) => facts.texts.dataset.rows[row];
    const group = (row) => (facts.group[row] < 0 ? facts.groups.length : facts.group[row]);
    return rows.sort((a, b) => dataset(a) - dataset(b) || group(a) - group(b)
      || compare(figure("value", a), figure("value", b), lowerIsBetter(a) ? sign : -sign) || a - b);
  }
  const key = column.text ? (row) => facts.texts[column.key].rows[row] : (row) => figure(column.key, row);
  const empty = column.text ? facts.texts[column.key].words.indexOf("") : null;
  return rows.sort((a, b) => compare(key(a) === empty ? null : key(a), key(b) === empty ? null : key(b), sign) || a - b);
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (a - b);
}

// ---- drawing

function wantedColumns() {
  const timed = (place) => COLUMNS.some((column) => column.place === place && facts.numbers[column.key]);
  return COLUMNS.filter((column) => {
    if (column.place) return state.device === column.place || (state.device === "all" && timed(column.place));
    if (column.choice && state.scores !== "all") return false;
    return column.key !== "machine" || unique("machine").length > 1;
  });
}

function showTable() {
  const wanted = wantedColumns();
  if (wanted.map((column) => column.key).join() !== columns.map((column) => column.key).join()) {
    columns = wanted;
    made = new Map();
    byId("table").tHead.replaceChildren(make("tr", {}, ...columns.map(headCell)));
  }
  for (const cell of byId("table").tHead.rows[0].cells) {
    const own = cell.dataset.column === state.sort;
    const shown = !own ? "none" : cell.dataset.cell === "quality" ? "other" : state.dir === "1" ? "ascending" : "descending";
    cell.setAttribute("aria-sort", shown);
    cell.querySelector(".arrow").textContent = !own ? "" : state.dir === "1" ? " ▲" : " ▼";
  }
  const request = ["q", "data", "family", "budget", "machine", "device", "scores", "sort", "dir"].map((name) => state[name]).join("\n");
  if (request === answered) {
    for (const row of byId("table").tBodies[0].rows) row.classList.toggle("marked", Number(row.dataset.row) === rowNamed(state.row));
    return;
  }
  answered = request;
  order = sorted(passing());
  byId("table").tBodies[0].replaceChildren();
  extend(CHUNK);
  byId("count").textContent = order.length === ROWS ? `${whole(ROWS)} rows` : `${whole(order.length)} of ${whole(ROWS)} rows`;
}

function headCell(column) {
  const how = column.cell === "quality" ? "best first within each data set and budget; click again for worst first" : `sort by ${column.label}`;
  const title = `${column.about} Click: ${how}`;
  const unit = column.unit ? [make("span", { class: "unit" }, column.unit)] : [];
  const button = make("button", { type: "button", title }, column.label, make("span", { class: "arrow", "aria-hidden": "true" }), ...unit);
  button.addEventListener("click", () => {
    if (state.sort !== column.key) set({ sort: column.key, dir: "1" });
    else set(state.dir === "1" ? { dir: "-1" } : { sort: "", dir: "1" });
  });
  return make("th", { scope: "col", class: column.text ? "" : "number", "data-column": column.key, "data-cell": column.cell }, button);
}

function rowOf(row) {
  if (!made.has(row)) {
    const cells = columns.map((column, at) => {
      const content = CELLS[column.cell](column, row);
      const kind = column.cell === "long" ? "long" : column.text ? "" : "number";
      return at ? make("td", { class: kind }, ...content) : make("th", { scope: "row" }, ...content);
    });
    made.set(row, make("tr", { "data-row": row }, ...cells));
  }
  const node = made.get(row);
  node.classList.toggle("marked", row === rowNamed(state.row));
  return node;
}

/** Show rows up to this many; more come when the end is scrolled into sight. */
function extend(count) {
  const body = byId("table").tBodies[0];
  body.append(...order.slice(body.rows.length, count).map(rowOf));
  byId("all").hidden = body.rows.length >= order.length;
  byId("all").title = `${whole(body.rows.length)} are drawn; scrolling draws more`;
}

/** Mark a row and bring it into sight; filters that hide it are cleared. */
function reveal(row, changed = true) {
  if (!order.includes(row)) Object.assign(state, { q: "", data: "", family: "", budget: "", machine: "" });
  if (changed) set({ row: rowName(row) });
  else {
    state.row = rowName(row);
    refresh();
  }
  extend(order.indexOf(row) + 1);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  made.get(row).scrollIntoView({ block: "center", behavior: calm || !changed ? "auto" : "smooth" });
}

function listenToTable() {
  const body = byId("table").tBodies[0];
  const box = byId("cells");
  const rowAt = (event) => event.target.closest?.("tr[data-row]");
  box.addEventListener("scroll", () => {
    if (box.scrollTop + box.clientHeight > box.scrollHeight - 400) extend(body.rows.length + CHUNK);
  });
  byId("all").addEventListener("click", () => extend(order.length));
  for (const kind of ["mouseover", "focusin"]) body.addEventListener(kind, (event) => rowAt(event) && highlight(Number(rowAt(event).dataset.row)));
  for (const kind of ["mouseleave", "focusout"]) body.addEventListener(kind, () => highlight(null));
  body.addEventListener("click", (event) => {
    const row = event.target.closest(".link") && rowAt(event);
    if (!row) return;
    const group = facts.group[Number(row.dataset.row)];
    set({ row: rowName(Number(row.dataset.row)), ...(group >= 0 ? { plot: facts.groups[group].dataset } : {}) });
    if (group >= 0 && groupsOf(state.plot).indexOf(group) > 0) set({ group: facts.groups[group].label });
  });
}
