// The pane Net: the graph, forward and backward, coloured by norms at each recorded step.

const FIGURES = { output: "output", gradient: "gradient of the output", weight: "weights", "weight gradient": "gradient of the weights", update: "update / weights", dead: "dead units" };

// Norms of the recorded walk, as a frame of its own.
function sampleFrame() {
  const modules = {};
  for (const step of DATA.steps) {
    if (step.kind !== "fprop" && step.kind !== "bprop") continue;
    const module = DATA.modules[step.module];
    if (!DATA.diagram.nodes.some((node) => node.title === module.short)) continue; // what adds the gradients of branches up
    const entry = (modules[module.short] ||= { output: null, gradient: null, weight: null, "weight gradient": null, update: null, dead: null });
    if (step.kind === "fprop" && step.output !== null) entry.output = range(numbersOf(step.output)).rms;
    if (step.kind === "bprop" && step.inputs.length) entry.gradient = range(numbersOf(step.inputs[0])).rms;
    const own = Object.values(module.parameters).map((k) => DATA.parameters[k]);
    if (own.length) {
      const norm = (name) => Math.sqrt(own.reduce((a, each) => a + range(numbersOf(each[name])).rms ** 2 * numbersOf(each[name]).length, 0));
      Object.assign(entry, { weight: norm("value"), "weight gradient": norm("gradient"), update: norm("value") ? norm("change") / norm("value") : null });
    }
  }
  return { title: "this sample", step: 0, loss: DATA.loss, modules };
}

let knownFrames = null; // made when the pane is first drawn: it reads every array

function listFrames() {
  knownFrames ||= [sampleFrame(), ...DATA.frames];
  return knownFrames;
}

function drawNet() {
  const frames = listFrames(), place = h("div", {}), said = h("output", { for: "frame" });
  const draw = (k) => {
    const frame = frames[k];
    said.textContent = ` ${frame.title}, loss ${format(frame.loss, 5)}`;
    slider.setAttribute("aria-valuetext", said.textContent);
    place.replaceChildren(h("div", { class: "graphs" }, graph(frame, "output", "forward"), graph(frame, "gradient", "backward"), h("div", { class: "scroll norm-table" }, normTable(frame))));
  };
  const slider = h("input", { type: "range", min: 0, max: frames.length - 1, value: wholeNumber(STATE.frame, 0, frames.length - 1, 0), id: "frame",
    oninput: (event) => { setState({ frame: event.target.value }, true); draw(Number(event.target.value)); } });
  draw(Number(slider.value));
  return h("div", { class: "net" }, h("div", { class: "bar" }, h("label", { for: "frame" }, "recorded step "), slider, said), place);
}

function shareOf(value, figure) {
  const all = listFrames().flatMap((frame) => Object.values(frame.modules).map((each) => each[figure])).filter((each) => each > 0);
  if (!(value > 0) || !all.length) return null;
  const low = Math.log(Math.min(...all)), high = Math.log(Math.max(...all));
  return high > low ? (Math.log(value) - low) / (high - low) : 0.5;
}

function graph(frame, figure, pass) {
  const { nodes, arrows, height } = DATA.diagram, back = pass === "backward", pad = 14, width = Math.max(DATA.diagram.width, 250);
  const picture = svg("svg", { viewBox: `${-pad} ${-pad - 22} ${width + 2 * pad} ${height + 2 * pad + 22}`, width: width + 2 * pad, class: "graph " + pass, role: "group", "aria-label": `${pass} pass` });
  const head = `head-${pass}`;
  picture.append(svg("defs", {}, svg("marker", { id: head, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z", class: "tip" }))));
  picture.append(svg("text", { x: 0, y: -16, class: "title" }, `${pass}: norm of the ${figure === "output" ? "outputs" : "gradients"}`));
  const labels = arrows.filter((each) => !back || each.backward).map((arrow) => drawArrow(picture, arrow, nodes, back, head));
  picture.append(...labels.filter(Boolean)); // above all lines
  for (const node of nodes) picture.append(drawNode(node, frame, figure, back));
  return picture;
}

function drawArrow(picture, arrow, nodes, back, head) {
  const from = nodes[arrow.from], to = nodes[arrow.to], points = arrow.points.map((each) => [...each]);
  points[0][1] += from.height / 2;
  points[points.length - 1][1] -= to.height / 2;
  const way = back ? points.slice().reverse() : points;
  const path = way.map(([x, y], n) => {
    if (!n) return `M${x} ${y}`;
    const [a, b] = way[n - 1], middle = (y - b) / 2;
    return `C${a} ${b + middle} ${x} ${y - middle} ${x} ${y}`;
  }).join("");
  const [[x0, y0], [x1, y1]] = points.length > 2 ? [points[1], points[1]] : [points[0], points[1]];
  picture.append(svg("path", { d: path, class: "arrow", "marker-end": `url(#${head})` }));
  return arrow.label ? svg("text", { x: (x0 + x1) / 2 + 6, y: (y0 + y1) / 2 + 4, class: "shape" }, arrow.label) : null;
}

function drawNode(node, frame, figure, back) {
  const norms = frame.modules[node.title] || {}, share = shareOf(norms[figure], figure);
  const step = DATA.steps.findIndex((each) => each.kind === (node.title.startsWith("loss") ? (back ? "grad" : "loss") : back ? "bprop" : "fprop") && moduleOf(each).short === node.title);
  const lines = [node.title, ...node.lines, share === null ? "" : format(norms[figure], 3)].filter(Boolean);
  const text = lines.map((line, n) => svg("text", { x: node.x, y: node.y - node.height / 2 + 17 + 16 * n, "text-anchor": "middle", class: n ? (share !== null && n === lines.length - 1 ? "norm" : "") : "name" }, line));
  const box = svg("rect", { x: node.x - node.width / 2, y: node.y - node.height / 2, width: node.width, height: node.height, rx: 6, class: node.end ? "end" : "", "fill-opacity": share === null ? null : (0.08 + (isDark() ? 0.35 : 0.6) * share).toFixed(3) });
  if (share !== null) box.classList.add("heat");
  const group = svg("g", { tabindex: step >= 0 ? 0 : null, role: step >= 0 ? "button" : null, "aria-label": lines.join(", ") }, box, text, svg("title", {}, lines.join("\n")));
  const open = () => setState({ pane: "walk", step: String(step), line: "" });
  if (step >= 0) {
    group.addEventListener("click", open);
    group.addEventListener("keydown", pressed(open));
  }
  return group;
}

function normTable(frame) {
  const names = Object.keys(FIGURES);
  return h("table", { class: "norms" }, h("caption", {}, `Norms, ${frame.title}: root mean square of outputs and gradients, length of weights as one vector`),
    h("thead", {}, h("tr", {}, h("th", {}, "module"), names.map((name) => h("th", {}, FIGURES[name])))),
    h("tbody", {}, Object.entries(frame.modules).map(([path, each]) => h("tr", {}, h("th", { scope: "row" }, path), names.map((name) => h("td", {}, format(each[name], 3)))))));
}
