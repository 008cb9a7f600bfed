// The answers, the ledger, the machines and the pictures beside the page.

function showAnswers() {
  byId("question").textContent = facts.question;
  byId("headline").textContent = facts.headline;
  byId("rule").textContent = facts.rule;
  byId("families").replaceChildren(
    ...Object.keys(facts.colours).map((family) => {
      const model = Object.keys(familyOf).find((name) => familyOf[name] === family && !(facts.looks[name] ?? []).length);
      return make("span", {}, ...(model ? [chip(model)] : []), make("span", { class: `name family-${family}` }, family));
    }),
  );
  byId("answers").replaceChildren(
    ...facts.answers.map((one) => {
      const button = make("button", { type: "button", class: "link" }, one.dataset);
      button.addEventListener("click", () => set({ data: state.data === one.dataset ? "" : one.dataset }));
      const lines = one.lines.map((pieces) => make("li", {}, ...sentence(pieces)));
      const where = one.counts ? "attention against" : "outside the family, no verdicts; attention against";
      const parts = lines.length ? [make("p", { class: "what" }, where), make("ul", {}, ...lines)] : [make("p", {}, "Attention was not run here beside another mixer.")];
      const about = [one.summary, one.measure].filter(Boolean).join("; ");
      return make("article", {}, make("h3", {}, button, make("span", { class: "what" }, about)), ...parts);
    }),
  );
}

function showClaims() {
  if (!facts.claims.length) {
    byId("claims").hidden = true;
    byId("claims-note").textContent = "There is no ledger here; “python -m bench claims” makes it.";
    return;
  }
  const counts = new Map();
  for (const claim of facts.claims) counts.set(claim.verdict, (counts.get(claim.verdict) ?? 0) + 1);
  byId("claims-note").textContent =
    `${facts.claims.length} published figures: ${[...counts].map(([verdict, count]) => `${verdict}: ${count}`).join(", ")}. In brackets: 95 % interval.`;
  const heads = ["verdict", "what is claimed", "published", "measured here", "why"];
  const numeric = (text) => (text === "" || text === undefined ? "" : Number.isFinite(Number(text)) ? number(Number(text), 4) : text);
  const lines = facts.claims.map((claim) => {
    const unit = claim.unit ? ` ${claim.unit}` : "";
    const subject = [claim.source, claim.claim, claim.model, claim.dataset && `on ${claim.dataset}`, claim.whose, claim.size].filter(Boolean).join(", ");
    const range = claim.low ? ` [${numeric(claim.low)}, ${numeric(claim.high)}]` : "";
    const near = claim.nearest ? `nearest: ${numeric(claim.nearest)}${unit} (${claim.nearest_budget})` : "";
    const measured = claim.measured ? `${numeric(claim.measured)}${range}${unit}` : near;
    return make("tr", {},
      make("th", { scope: "row" }, make("span", { class: "verdict" }, claim.verdict)),
      make("td", { class: "long" }, subject),
      make("td", { class: "number" }, `${numeric(claim.published)}${unit}`),
      make("td", { class: "number" }, measured),
      make("td", { class: "long" }, ...coded([claim.why, claim.remark].filter(Boolean).join(" "))));
  });
  const head = make("tr", {}, ...heads.map((text, at) => make("th", { scope: "col", class: at === 2 || at === 3 ? "number" : "" }, text)));
  byId("claims").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)));
}

function showMachines() {
  const facts_ = (machine) => Object.entries(machine).filter(([name, value]) => name !== "slug" && value !== "" && value !== false && value !== null);
  const named_ = { memory_gib: "memory, GiB", dirty: "local changes", cpu: "CPU", gpu: "GPU", cuda: "CUDA" };
  byId("machines").replaceChildren(
    ...facts.machines.flatMap((machine) => [
      make("h3", {}, machine.slug),
      make("dl", {}, ...facts_(machine).flatMap(([name, value]) => [
        make("dt", {}, named_[name] ?? name.replaceAll("_", " ")),
        make("dd", {}, value === true ? "yes" : String(value)),
      ])),
    ]),
  );
}

// ---- pictures beside the page, made when they are asked for

const pictureGroups = () => [...new Set(facts.pictures.map((picture) => picture.dataset))];

function showFigures() {
  byId("figures-controls").hidden = !facts.pictures.length;
  if (!facts.pictures.length) {
    byId("figures-note").textContent = "There are no pictures here; “python -m bench figures” makes them.";
    return;
  }
  byId("figures-note").textContent = "Pictures lie beside this page, under figures/, and are opened with their group. Choosing a data set above chooses here too.";
  if (byId("figures").dataset.shown === state.fig) return;
  byId("figures").dataset.shown = state.fig;
  const wanted = pictureGroups().filter((name) => !state.fig || name === (state.fig === "-" ? "" : state.fig));
  byId("figures").replaceChildren(...wanted.map((name) => gallery(name, Boolean(state.fig) || name === "")));
}

function gallery(dataset, open) {
  const own = facts.pictures.filter((picture) => picture.dataset === dataset);
  const node = make("details", {}, make("summary", {}, `${dataset || "the whole suite"} (${own.length})`));
  node.addEventListener("toggle", () => {
    if (node.open && node.children.length === 1) node.append(make("div", { class: "gallery" }, ...own.map(picture)));
  });
  node.open = open;
  return node;
}

function picture(one) {
  const still = one.kind === "gif" && matchMedia("(prefers-reduced-motion: reduce)").matches;
  const alt = one.dataset ? `${one.name} on ${one.dataset}` : one.name;
  const shown = still ? `animation: ${alt}` : make("img", { src: one.address, alt, loading: "lazy" });
  return make("figure", {}, make("a", { href: one.address }, shown), make("figcaption", {}, one.name));
}
