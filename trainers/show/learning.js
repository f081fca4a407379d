// The pane Learning: curves, norms by step, histograms, confusion, mistakes.

function drawLearning() {
  const learning = DATA.learning, parts = [curves(learning.curves), normCharts(), histograms(), confusion(learning), mistakes(learning), predictions(learning)].filter(Boolean);
  const which = learning.part ? `Confusion, mistakes and predictions are of ${learning.samples} ${learning.part} samples, after ${learning.trained}.` : "";
  if (!parts.length) return h("p", {}, "Nothing was recorded: this page shows one step. Pages of configs have a short training, pages of run folders its metrics.");
  return h("div", { class: "learning" }, which ? h("p", { class: "dim" }, which) : null, parts);
}

function curves(recorded) {
  if (!recorded || !recorded.columns) return null;
  const x = recorded.columns[recorded.time], names = Object.keys(recorded.columns).filter((name) => name !== recorded.time && name !== "epoch" && name !== "step");
  const groups = new Map();
  for (const name of names) {
    const key = name.replace(/^(train|valid)_/, "");
    groups.set(key, [...(groups.get(key) || []), name]);
  }
  const charts = [...groups].map(([key, columns]) => {
    const series = columns.map((name) => ({ name: name.replaceAll("_", " "), x, y: recorded.columns[name].map(Number), dash: name.startsWith("train") && columns.length > 1 }));
    const values = series.flatMap((each) => each.y).filter((y) => Number.isFinite(y));
    const log = key === "loss" && Math.min(...values) > 0 && Math.max(...values) > 10 * Math.min(...values);
    return lineChart(series, { title: key.replaceAll("_", " "), xName: recorded.time, log });
  });
  return h("section", {}, h("h2", {}, "Curves"), h("div", { class: "charts" }, charts));
}

function normCharts() {
  if (DATA.frames.length < 2) return null;
  const x = DATA.frames.map((frame) => frame.step), paths = Object.keys(DATA.frames[0].modules);
  const charts = Object.entries(FIGURES).map(([name, title]) => {
    const series = paths.map((path, colour) => ({ name: path, colour, x, y: DATA.frames.map((frame) => frame.modules[path] && frame.modules[path][name]) })).filter((each) => each.y.some((y) => y !== null && y !== undefined));
    if (!series.length || (name === "dead" && series.every((each) => each.y.every((y) => !y)))) return null;
    return lineChart(series.slice(0, 12), { title, xName: DATA.learning.time || "step", log: name !== "dead" });
  });
  return h("section", {}, h("h2", {}, "Norms by module"), h("div", { class: "charts" }, charts),
    paths.length > 12 ? h("p", { class: "dim" }, "The first twelve modules; the pane Net has all.") : null);
}

function histograms() {
  const frames = DATA.frames.filter((frame) => frame.histograms);
  if (!frames.length) return null;
  const names = Object.keys(frames[0].histograms), place = h("div", {});
  const draw = (name) => place.replaceChildren(...["weights", "gradients"].map((kind) => h("div", { class: "strip" }, h("h3", {}, `${kind} of ${name}`),
    frames.map((frame) => frame.histograms[name][kind] && h("figure", {}, barChart(frame.histograms[name][kind], `${kind} of ${name}, ${frame.title}`), h("figcaption", {}, frame.title))))));
  if (names.length) draw(names[0]);
  return h("section", {}, h("h2", {}, "Histograms over time"), h("label", { for: "histogram" }, "parameter "),
    h("select", { id: "histogram", onchange: (event) => draw(event.target.value) }, names.map((name) => h("option", {}, name))), place);
}

function confusion(learning) {
  if (!learning.confusion) return null;
  const worst = Math.max(1, ...learning.confusion.flatMap((row, i) => row.filter((_, j) => j !== i)));
  const rows = learning.confusion.map((row, i) => {
    const total = row.reduce((a, b) => a + b, 0) || 1;
    return h("tr", {}, h("th", { scope: "row" }, learning.classes[i]), row.map((count, j) => h("td", { class: i === j ? "right" : count ? "wrong" : "", "data-share": Math.ceil(4 * (i === j ? count / total : count / worst)),
      title: `${count} of ${learning.classes[i]} taken for ${learning.classes[j]}` }, count || "")));
  });
  return h("section", {}, h("h2", {}, `Confusion: ${format(100 * learning.accuracy, 4)} % are right`),
    h("div", { class: "scroll" }, h("table", { class: "confusion" }, h("thead", {}, h("tr", {}, h("th", {}, "label \\ predicted"), learning.classes.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows))));
}

function mistakes(learning) {
  if (!learning.mistakes || !learning.mistakes.length) return null;
  return h("section", {}, h("h2", {}, "Worst mistakes"), h("div", { class: "mistakes" }, learning.mistakes.map((each) =>
    h("figure", {}, each.x === null ? null : arrayView(each.x, `sample ${each.row}`), h("figcaption", {}, `is ${each.is}, predicted ${each.says}`)))));
}

function predictions(learning) {
  if (!learning.points) return null;
  return h("section", {}, h("h2", {}, "Predictions"), scatterChart(numbersOf(learning.points.target), numbersOf(learning.points.output), { title: "predictions by targets", xName: "target" }));
}
