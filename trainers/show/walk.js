// The pane Walk: forward, loss, backward and update, one method after the other and line by line.

const KINDS = { fprop: "forward", measure: "forward", loss: "loss", grad: "backward", bprop: "backward", update: "update" };

function currentStep() {
  return wholeNumber(STATE.step, 0, DATA.steps.length - 1, 0);
}

function currentLine(step) {
  return STATE.line === "" ? -1 : wholeNumber(STATE.line, 0, step.lines.length - 1, -1);
}

function go(step) {
  if (step < 0 || step >= DATA.steps.length) return;
  setState({ step: String(step), line: "" });
  announce();
}

// From line to line, and on into the next method.
function goLine(by) {
  const k = currentStep(), step = DATA.steps[k], line = currentLine(step) + by;
  if (line >= step.lines.length) {
    if (k + 1 < DATA.steps.length) setState({ step: String(k + 1), line: DATA.steps[k + 1].lines.length ? "0" : "" });
  } else if (line < -1) {
    if (k > 0) setState({ step: String(k - 1), line: String(Math.max(0, DATA.steps[k - 1].lines.length - 1)) });
  } else {
    setState({ line: line < 0 ? "" : String(line) });
  }
  announce();
}

function announce() {
  const step = DATA.steps[currentStep()], module = moduleOf(step), line = currentLine(step);
  const place = line < 0 ? "" : `, line ${step.lines[line].line}`;
  say(`step ${currentStep() + 1} of ${DATA.steps.length}: ${step.method} of ${module.short}, ${module.label}${place}`);
}

function drawWalk() {
  const k = currentStep(), step = DATA.steps[k], module = moduleOf(step);
  return h("div", { class: "walk" },
    h("div", { class: "bar", role: "toolbar", "aria-label": "steps" },
      button("|◀", () => go(0), { id: "walk-first", "aria-label": "first method", disabled: k === 0 }),
      button("◀ back", () => go(k - 1), { id: "walk-back", title: "arrow left", disabled: k === 0 }),
      button("step ▶", () => go(k + 1), { id: "walk-step", title: "arrow right", class: "main", disabled: k === DATA.steps.length - 1 }),
      button("▶|", () => go(DATA.steps.length - 1), { id: "walk-last", "aria-label": "last method", disabled: k === DATA.steps.length - 1 }),
      button("◁ line", () => goLine(-1), { id: "walk-line-back", title: "shift and arrow left" }),
      button("line ▷", () => goLine(1), { id: "walk-line", title: "shift and arrow right" }),
      h("span", { class: "dim" }, `method ${k + 1} of ${DATA.steps.length}`)),
    h("div", { class: "columns" }, stepList(k), h("div", { class: "stage" }, stepHead(step, module), sourceView(step, module), madePanel()), stepArrays(step, module)));
}

function stepList(now) {
  const parts = [];
  DATA.steps.forEach((step, k) => {
    const module = moduleOf(step), kind = KINDS[step.kind];
    if (k === 0 || kind !== KINDS[DATA.steps[k - 1].kind]) parts.push({ kind, items: [] });
    const text = step.kind === "update" ? module.label : `${module.short} ${module.label}`;
    parts[parts.length - 1].items.push(h("li", {}, button(text, () => go(k), { id: `go-${k}`, "aria-current": k === now ? "step" : null, title: `${step.method} of ${module.path || "the optimizer"}` })));
  });
  return h("nav", { class: "steps", "aria-label": "methods of this step" }, parts.map(({ kind, items }) => [h("div", { class: "head " + kind, "aria-hidden": "true" }, kind), h("ol", { "aria-label": kind }, items)]));
}

function stepHead(step, module) {
  const back = step.kind === "bprop" || step.kind === "grad";
  const marks = (module.equations || "").split("\n").map((line) => {
    const parts = line.split(/(?<=\S\s{2,})(?=grad_)/); // forward and backward side by side
    return [...parts.map((part) => {
      const isGradient = /grad_|R\{/.test(part.split("=")[0]);
      return h("span", { class: step.kind === "update" || back === isGradient ? "now" : "" }, part);
    }), "\n"];
  });
  return h("div", {},
    h("h2", {}, step.method, h("span", { class: "dim" }, " of "), module.path || "optimizer", " ", h("span", { class: "label" }, module.label)),
    module.sentence ? h("p", { class: "dim" }, module.sentence) : null,
    module.equations ? h("pre", { class: "equations", "aria-label": "equations of the docstring" }, marks) : null);
}

function sourceView(step, module) {
  const sources = module.methods[step.method] || [], chosen = currentLine(step);
  const ranOf = (n) => new Map(step.lines.map((line, k) => [line.line, k]).filter(([, k]) => (step.lines[k].source || 0) === n));
  if (!sources.length) return h("p", { class: "dim" }, "there is no source of this method");
  const several = step.kind === "update";
  return h("div", {}, sources.map((source, n) => h("details", { class: "source", open: n === 0 || several || source.lines.length < 12 },
    h("summary", {}, h("code", {}, source.owner ? `${source.owner}.${source.name}` : source.name), h("span", { class: "dim" }, ` ${source.file}, line ${source.first}`)),
    h("ol", { class: "code", start: source.first, "aria-label": `source of ${source.name}` }, source.lines.map((text, k) => sourceLine(text, source.first + k, ranOf(n), step, chosen))))));
}

function sourceLine(text, number, ran, step, chosen) {
  const k = ran.get(number), line = k === undefined ? null : step.lines[k];
  const visits = line && line.visits > 1 ? h("span", { class: "visits", title: "how often the line ran" }, `${line.visits} ×`) : null;
  const attributes = { class: ["line", line ? "ran" : "", k === chosen && line ? "present" : ""].join(" "), "aria-current": k === chosen && line ? "true" : null };
  const inside = [h("span", { class: "number", "aria-hidden": "true" }, number), h("code", {}, text || " "), visits];
  if (!line) return h("li", attributes, inside);
  return h("li", {}, h("div", { ...attributes, id: `line-${k}`, role: "button", tabindex: 0, onclick: () => setState({ line: String(k) }), onkeydown: pressed(() => setState({ line: String(k) })) }, inside));
}

function stepArrays(step, module) {
  const chosen = currentLine(step), views = [];
  if (chosen >= 0) {
    const made = Object.entries(step.lines[chosen].made);
    views.push(h("h3", {}, `made by line ${step.lines[chosen].line}`));
    made.forEach(([name, each]) => views.push(each.value === undefined ? h("p", {}, h("code", {}, name), " = ", each.text) : arrayView(each.value, name)));
    if (!made.length) views.push(h("p", { class: "dim" }, "no array and no number"));
  } else if (step.kind === "update") {
    views.push(...updateArrays(step));
  } else {
    const back = step.kind === "bprop" || step.kind === "grad";
    step.inputs.forEach((id, n) => views.push(arrayView(id, step.names[n] || `argument ${n + 1}`)));
    if (step.output !== null) views.push(arrayView(step.output, step.kind === "loss" ? "loss" : step.kind === "measure" ? "next offset" : step.kind === "grad" ? "grad_y" : back ? "grad_x" : "y"));
    for (const [own, k] of Object.entries(module.parameters)) {
      if (!back) views.push(arrayView(DATA.parameters[k].value, own));
      else if (step.changed.includes(own)) views.push(arrayView(DATA.parameters[k].gradient, "grad_" + own));
    }
  }
  return h("div", { class: "arrays" }, views);
}

function updateArrays(step) {
  return DATA.parameters.flatMap((each) => [arrayView(each.change, "change of " + each.name)]);
}

// -- what the picked number is made of -------------------------------------------------------------------------------------

function pickedRef() {
  const [value, index] = STATE.pick.split(":").map(Number);
  const known = DATA.values[value];
  return known && Number.isInteger(index) && index >= 0 && index < sizeOf(known.shape) ? { value, index } : null;
}

function refButton(ref) {
  if (ref.number !== undefined) return h("span", { class: "computed" }, `${ref.name} = ${format(ref.number)}`);
  const found = resolve(ref);
  return button(`${nameOf(ref)} = ${format(numberAt(ref))}`, () => setState({ pick: `${found.value}:${found.index}` }), { class: "ref" });
}

function cutOffPanel(ref) {
  const maker = MAKERS.get(resolve(ref).value), parameter = maker && DATA.parameters[maker.parameter];
  const index = unravel(ref.index, DATA.values[ref.value].shape).join(", ");
  const found = { parameter: "named_parameters", gradient: "named_gradients" }[maker && maker.role];
  return h("aside", { class: "made", "aria-label": "what a number is made of" }, h("h3", {}, nameOf(ref)),
    h("p", {}, cutOff(ref).replace("this", "This"), ", so that it stays small. Pick one of the first ones, or a smaller model, to see what numbers are made of."),
    parameter && found ? h("p", {}, "In Python: ", h("code", {}, `dict(net.${found}())[${JSON.stringify(parameter.name)}][${index}]`)) : null);
}

function madePanel() {
  const ref = pickedRef();
  if (!ref) return h("aside", { class: "made", "aria-label": "what a number is made of" }, h("p", { class: "dim" }, "Pick a number of an array, by a click or by Enter, to see what it is made of."));
  if (cutOff(ref)) return cutOffPanel(ref);
  const made = explain(ref), order = [...made.terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = order.slice(0, 24), others = order.slice(24).reduce((a, each) => a + each.value, 0);
  const rows = shown.map((each) => h("tr", {}, h("td", { class: "value" }, format(each.value)),
    h("td", {}, each.text ? h("span", { class: "dim" }, each.text + "  ") : null, [each.up, ...each.by].filter(Boolean).map((by, n) => [n ? " × " : "", refButton(by)]))));
  if (order.length > 24 && !made.derivatives) rows.push(h("tr", {}, h("td", { class: "value" }, format(others)), h("td", {}, `${order.length - 24} smaller terms together`)));
  if (made.rest) rows.push(h("tr", {}, h("td", { class: "value" }, format(made.rest)), h("td", {}, made.cut ? "what else is in it: terms of numbers that are cut off in this page" : "what else is in it: terms that are not recorded")));
  return h("aside", { class: "made", "aria-label": "what a number is made of" },
    h("h3", {}, `${nameOf(ref)} = ${format(made.total, 7)}`), h("p", {}, made.head),
    shown.length ? h("table", { class: "terms" }, h("thead", {}, h("tr", {}, h("th", {}, made.derivatives ? "number" : "term"), h("th", {}, "of"))), h("tbody", {}, rows)) : null,
    made.others ? h("p", {}, "Some of these: ", made.others.map((each) => [refButton(each), " "])) : null,
    made.weight ? button("this weight, from the loss to its update", () => setState({ pane: "weight", weight: made.weight })) : null);
}
