// Learning curves and quality against cost of one data set, drawn by Plotly; names are written at lines and points, not in legends.

const COSTS = {
  ...Object.fromEntries(facts.columns.filter((one) => one.axis && !one.place).map((one) => [one.key, { title: one.axis, number: () => one.key }])),
  latency: { title: "latency, batch 1 (ms)", number: () => `${state.device === "all" ? "cpu" : state.device}_b1`, device: true },
};
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };
const MANY_LINES = 40; // beyond so many lines bands and names would hide the lines
const FONT = 11;
let curveRows = []; // row of each trace of the curves; bands have the row of their line
let paretoRows = [];
let drawnAs = "";
let lit = null;

const chosenGroup = () => groupsOf(state.plot)[state.group === "" ? 0 : groupsOf(state.plot).findIndex((place) => facts.groups[place].label === state.group)];
const safe = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;"); // Plotly reads some tags in its texts
const colourOf = (row) => facts.colours[word("family", row)] ?? facts.colours.other;
const dashOf = (row) => (facts.looks[word("model", row)] ?? []).map((length) => `${2 * length}px`).join(",") || "solid";

function showPlots() {
  const width = byId("plot-curves").clientWidth;
  const request = [state.plot, state.group, state.x, state.y, state.cost, state.device, state.theme, dark(), Math.round(width / 60)].join("\n");
  if (request === drawnAs) return;
  drawnAs = request;
  lit = null;
  const place = chosenGroup();
  const group = facts.groups[place];
  for (const id of ["plot-curves", "plot-pareto"]) byId(id).hidden = !group;
  if (!group) {
    byId("curves-note").textContent = "No run has a curve yet.";
    return;
  }
  const rows = facts.group.flatMap((own, row) => (own === place ? [row] : []));
  drawCurves(rows, group, width);
  drawPareto(rows, group, width);
}

function styled(title, width) {
  const [page, head] = [getComputedStyle(document.body), getComputedStyle(document.querySelector("#table thead th"))];
  const axis = { gridcolor: head.borderBottomColor, linecolor: head.borderBottomColor, zeroline: false, automargin: true, exponentformat: "none", separatethousands: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: FONT + 1, color: page.color },
    margin: { l: 60, r: width < 600 ? 12 : 20, t: 12, b: 50 },
    showlegend: false,
    hovermode: "closest",
    dragmode: width < 600 ? false : "zoom",
    hoverlabel: { bgcolor: page.backgroundColor, font: { color: page.color } },
    xaxis: { ...axis, title: { text: title.x } },
    yaxis: { ...axis, title: { text: title.y } },
  };
}

/** A logarithmic axis has a tick at each power of ten, at 2 and 5 where these are few, and evenly spaced ones within less than one. */
function logarithmic(axis, [low, high], told = number) {
  Object.assign(axis, { type: "log", range: [low, high], dtick: 1 });
  if (high - low > 1.5) return;
  const step = 10 ** Math.floor(Math.log10(10 ** high - 10 ** low));
  if (high - low < 0.7) axis.dtick = `L${(10 ** high - 10 ** low) / step < 3 ? step / 2 : step}`;
  else {
    axis.tickvals = [-1, 0, 1, 2].flatMap((power) => [1, 2, 5].map((first) => first * 10 ** (Math.floor(low) + power)));
    axis.ticktext = axis.tickvals.map((value) => told(value));
  }
}

function draw(id, traces, layout, rows) {
  const plot = byId(id);
  Plotly.react(plot, traces, layout, CONFIG);
  plot.removeAllListeners?.("plotly_click");
  plot.on("plotly_click", (event) => reveal(event.points[0].data.meta));
  return rows;
}

/** The area inside the axes in pixels, and what the axes span. */
const boxOf = (id, { margin }, across, span, log) => ({
  width: byId(id).clientWidth - margin.l - margin.r, height: byId(id).clientHeight - margin.t - margin.b, across, span, log,
});

// ---- curves

function drawCurves(rows, group, width) {
  const metric = state.y === "val_metric";
  const scale = metric && group.percent ? 100 : 1;
  const log = !metric || group.better === "lower";
  const drawn = rows.filter((row) => facts.curves[row]?.[state.y] && facts.curves[row][state.x][0] !== null); // no seconds of another machine
  const few = drawn.length <= MANY_LINES;
  const lines = drawn.map((row) => ({ row, x: facts.curves[row][state.x], y: facts.curves[row][state.y].map((kind) => kind.map((v) => (v === null ? null : scale * v))) }));
  const what = metric ? `validation ${group.metric}${group.percent ? " (%)" : ""}` : `${state.y === "val_loss" ? "validation" : "training"} loss`;
  const layout = styled({ x: state.x === "samples" ? "training samples" : "training seconds per seed", y: what }, width);
  const values = lines.flatMap((line) => line.y[0]).filter((v) => v !== null && (!log || v > 0)).sort((a, b) => a - b);
  const top = values[Math.floor(0.99 * (values.length - 1))] ?? 1; // one model that fails must not flatten the others
  const bounds = log ? [Math.log10((values[0] ?? 0.1) / 1.25), Math.log10(top * 1.25)] : padded(values[0] ?? 0, values.at(-1) ?? 1, 1e-3);
  layout.yaxis.range = bounds;
  if (log) logarithmic(layout.yaxis, bounds);
  const ends = few ? lines.flatMap((line) => endOf(line, log)) : [];
  if (state.x === "seconds") {
    const times = lines.flatMap((line) => line.x).filter((at) => at > 0).map(Math.log10);
    const across = padded(Math.min(...times), Math.max(...times), 0.3);
    logarithmic(layout.xaxis, across);
    layout.annotations = names(ends, [], boxOf("plot-curves", layout, across, bounds, log));
  } else {
    const seen = lines.flatMap((line) => line.x);
    Object.assign(layout.xaxis, { exponentformat: "SI", range: [0, Math.max(1, ...seen)] }); // the names stand where the lines end
    layout.margin.r = few ? (width < 600 ? 132 : 170) : layout.margin.r;
    layout.annotations = endNames(ends, boxOf("plot-curves", layout, [], bounds, log));
  }
  const traces = lines.flatMap((line) => [...(few ? bandOf(line) : []), lineOf(line, what, group)]);
  curveRows = draw("plot-curves", traces, layout, traces.map((trace) => trace.meta));
  const seeds = Math.max(0, ...drawn.map((row) => facts.curves[row].seeds));
  const best = ends.slice().sort((a, b) => (metric && group.better === "higher" ? b.y - a.y : a.y - b.y))[0];
  const found = best ? `${word("model", best.row)} ends with the best ${what}: ${number(best.y, 4)}. ` : drawn.length ? "" : "None of these models has this curve. ";
  byId("curves-note").textContent =
    `${found}${group.dataset}, ${group.label}: ${seeds > 1 ? `mean of up to ${seeds} seeds` : "one seed"}${few && lines.some((line) => line.y[1]) ? ", band from the lowest to the highest" : ""}.`
    + ` Point at a row of the table to bring out its line; click a point to find its row.`;
}

/** The bounds with a margin, and at least `least` wide. */
function padded(low, high, least = 0) {
  const margin = Math.max(0.04 * (high - low), (least - (high - low)) / 2);
  return [low - margin, high + margin];
}

function lineOf({ row, x, y }, what, group) {
  const text = x.map((at, i) => {
    const range = y[1] ? `<br>lowest ${number(y[1][i], 4)}, highest ${number(y[2][i], 4)}, ${facts.curves[row].seeds} seeds` : "";
    return `<b>${safe(word("model", row))}</b><br>${safe(what)} ${number(y[0][i], 4)}${range}<br>after ${number(at)} ${state.x}<br>test ${safe(group.metric)} ${safe(word("quality", row))}`;
  });
  return { type: "scatter", mode: "lines+markers", x, y: y[0], text, hoverinfo: "text", meta: row, line: { color: colourOf(row), dash: dashOf(row), width: 2 }, cliponaxis: false, marker: { color: colourOf(row), opacity: 1, line: { width: 0 }, size: x.map((_, i) => (i === x.length - 1 ? 7 : 0)) } };
}

function bandOf({ row, x, y }) {
  if (!y[1]) return [];
  const edge = { type: "scatter", mode: "lines", x, hoverinfo: "skip", meta: row, line: { width: 0 } };
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colourOf(row).slice(at, at + 2), 16));
  return [{ ...edge, y: y[1] }, { ...edge, y: y[2], fill: "tonexty", fillcolor: `rgba(${red},${green},${blue},0.10)` }];
}

/** Where a line ends: nowhere, if it has no point that can be drawn. */
function endOf({ row, x, y }, log) {
  const at = y[0].findLastIndex((v) => v !== null && (!log || v > 0));
  return at < 0 ? [] : [{ row, x: x[at], y: y[0][at], below: 0, above: 0 }];
}

/** Names to the right of the plot, level with the lines' ends as far as they do not overlap, joined to them by a thin line. */
function endNames(ends, { height, span: [low, high], log }) {
  const level = (y) => Math.min(1, Math.max(0, ((log ? Math.log10(y) : y) - low) / (high - low)));
  const placed = ends.map(({ row, y }) => ({ row, wanted: level(y) })).sort((a, b) => a.wanted - b.wanted);
  spread(placed, Math.min((FONT + 3) / height, 1 / Math.max(1, placed.length - 1)));
  return placed.map(({ row, wanted, height: own }) => ({
    xref: "paper", yref: "paper", x: 1, y: wanted, ax: 14, ay: (wanted - own) * height, xanchor: "left", yanchor: "middle", arrowwidth: 1,
    showarrow: true, arrowhead: 0, arrowcolor: colourOf(row), text: safe(word("model", row)), font: { size: FONT, color: textColour(row) },
  }));
}

function textColour(row) {
  const probe = byId("told");
  probe.className = `family-${word("family", row)}`;
  const colour = getComputedStyle(probe).color;
  probe.className = "";
  return colour;
}

/** The `height` of each, sorted by `wanted`, at least `least` apart between 0 and 1: one sweep up, one down. */
function spread(ends, least) {
  let floor = 0;
  for (const end of ends) floor = (end.height = Math.max(end.wanted, floor)) + least;
  let roof = 1;
  for (const end of ends.toReversed()) roof = (end.height = Math.min(end.height, roof)) - least;
}

// ---- quality against cost

function drawPareto(rows, group, width) {
  const cost = COSTS[state.cost];
  const name = cost.number();
  const scale = group.percent ? 100 : 1;
  const log = group.better === "lower";
  const points = rows.flatMap((row) => {
    const [x, y, low, high] = [figure(name, row), figure("value", row), figure("low", row), figure("high", row)];
    if (!x || y === null || (log && y <= 0)) return [];
    const below = low === null ? 0 : Math.min(scale * (y - low), log ? 0.9 * scale * y : Infinity);
    return [{ row, x, y: scale * y, below, above: high === null ? 0 : scale * (high - y) }];
  });
  const where = cost.device ? `, ${NAMES[state.device === "all" ? "cpu" : state.device]}` : "";
  const quality = `test ${group.metric}${group.percent ? " (%)" : ""}, ${group.better} is better`;
  const layout = styled({ x: cost.title + where, y: quality }, width);
  const edge = frontOf(points, group.better === "higher");
  const [xs, ys] = [points.map((p) => Math.log10(p.x)), points.flatMap((p) => [p.y - p.below, p.y + p.above])];
  const across = padded(Math.min(...xs), Math.max(...xs), 1);
  const span = padded(...[Math.min(...ys), Math.max(...ys)].map((v) => (log ? Math.log10(v) : v)), log ? 0.3 : 0.04 * Math.abs(ys[0] ?? 1));
  if (points.length) {
    logarithmic(layout.xaxis, across, amount);
    if (log) logarithmic(layout.yaxis, span);
    else layout.yaxis.range = span;
  }
  if (state.cost === "params" || state.cost === "flops") layout.xaxis.exponentformat = "SI";
  layout.annotations = names(points, edge, boxOf("plot-pareto", layout, across, span, log));
  const step = { type: "scatter", mode: "lines", x: edge.map((p) => p.x), y: edge.map((p) => p.y), hoverinfo: "skip", line: { color: "#8a8a8a", width: 1.5, shape: "hv" }, meta: null };
  const traces = [step, ...points.map((p) => pointOf(p, group, cost.title + where))];
  paretoRows = draw("plot-pareto", traces, layout, traces.map((trace) => trace.meta));
  const best = edge.map((p) => word("model", p.row)).join(", ");
  const left = rows.filter((row) => figure("value", row) !== null).length - points.length;
  byId("pareto-note").textContent = points.length
    ? `No model beats ${best} in both test ${group.metric} and ${cost.title}${where}: the grey front. Bars: 95 % intervals over seeds.${left ? ` Not measured: ${left}.` : ""}`
    : `Not measured for these runs: ${cost.title}${where}.`;
}

const SYMBOLS = { attention: "circle", convolution: "square", mlp: "triangle-up", other: "diamond" };

function pointOf({ row, x, y, below, above }, group, title) {
  const seeds = figure("seeds", row);
  const text = `<b>${safe(word("model", row))}</b><br>test ${safe(group.metric)} ${safe(word("quality", row))}<br>${seeds === 1 ? "1 seed" : `${seeds} seeds, ± half the 95 % interval`}<br>${title}: ${number(x, 4)}`;
  return {
    type: "scatter", mode: "markers", x: [x], y: [y], text: [text], hoverinfo: "text", meta: row,
    cliponaxis: false, marker: { color: colourOf(row), opacity: 1, line: { width: 0 }, size: 9, symbol: SYMBOLS[word("family", row)] ?? "diamond" },
    error_y: { type: "data", array: [above], arrayminus: [below], symmetric: false, thickness: 1, width: 3, color: colourOf(row) },
  };
}

/** The points no other beats in both cost and quality, by rising cost. */
function frontOf(points, higher) {
  const better = (a, b) => (higher ? a > b : a < b);
  const edge = [];
  for (const p of points.slice().sort((a, b) => a.x - b.x || (higher ? b.y - a.y : a.y - b.y))) {
    if (!edge.length || better(p.y, edge.at(-1).y)) edge.push(p);
  }
  return edge;
}

/** Names beside points where there is room, those of the front first; the others are told by hovering. */
function names(points, edge, { width, height, across, span, log }) {
  const level = (y) => (height * (span[1] - (log ? Math.log10(y) : y))) / (span[1] - span[0]);
  const at = (p) => [(width * (Math.log10(p.x) - across[0])) / (across[1] - across[0]), level(p.y)];
  const round = ([x, y], half = 5) => [x - half, y - half, x + half, y + half];
  const bar = (p) => [at(p)[0] - 3, level(p.y + p.above), at(p)[0] + 3, level(p.y - p.below)];
  const steps = edge.slice(1).flatMap((p, i) => {
    const [[x, y], [right, next]] = [at(edge[i]), at(p)];
    return [[x, y - 1, right, y + 1], [right - 1, Math.min(y, next), right + 1, Math.max(y, next)]];
  });
  const taken = points.map((p) => round(at(p)));
  const lines = [...points.map(bar), ...steps];
  const hits = (a, boxes) => boxes.some((b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]);
  const outside = (a) => a[0] < 0 || a[2] > width || a[1] < 0 || a[3] > height;
  return [...edge, ...points.filter((p) => !edge.includes(p))].flatMap((p) => {
    const [x, y] = at(p);
    const [long, tall] = [word("model", p.row).length * 0.58 * FONT, FONT + 2];
    const places = [[8, -tall / 2], [-8 - long, -tall / 2], [6, -tall - 4], [6, 4], [-6 - long, -tall - 4], [-6 - long, 4], [-long / 2, -tall - 8], [-long / 2, 8]];
    const rooms = places.map(([dx, dy]) => [x + dx, y + dy, x + dx + long, y + dy + tall]).filter((room) => !outside(room) && !hits(room, taken));
    const room = rooms.find((one) => !hits(one, lines)) ?? rooms[0]; // rather across a bar than nowhere
    if (!room) return [];
    taken.push(room);
    const text = { text: safe(word("model", p.row)), font: { size: FONT, color: textColour(p.row) } };
    const shift = { xshift: (room[0] + room[2]) / 2 - x, yshift: y - (room[1] + room[3]) / 2 };
    return [{ ...text, ...shift, x: Math.log10(p.x), y: log ? Math.log10(p.y) : p.y, showarrow: false }];
  });
}

/** Bring out one row's line and point, or, with null, all alike. */
function highlight(row) {
  if (!drawable || row === lit) return;
  lit = row;
  for (const [id, rows] of [["plot-curves", curveRows], ["plot-pareto", paretoRows]]) {
    if (!rows.length || byId(id).hidden) continue;
    const known = row !== null && rows.includes(row);
    Plotly.restyle(byId(id), { opacity: rows.map((own) => (known && own !== row ? 0.12 : 1)) });
  }
}
