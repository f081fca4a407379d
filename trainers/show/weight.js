// The pane One weight: the paths from the loss to it, the gradient, difference quotients, and its update.

const MOST_PATHS = 4000, SHOWN_PATHS = 16, MOST_TERMS = 150_000; // terms that are looked at to count the paths

function currentWeight() {
  const [k, index] = STATE.weight.split(":").map(Number), parameter = DATA.parameters[k];
  if (parameter && Number.isInteger(index) && index >= 0 && index < sizeOf(DATA.values[parameter.gradient].shape)) return { k, index };
  const first = DATA.quotients[0];
  return first ? { k: first.parameter, index: first.index } : { k: 0, index: 0 };
}

function drawWeight() {
  if (!DATA.parameters.length) return h("p", {}, "This model has no weights.");
  const { k, index } = currentWeight(), parameter = DATA.parameters[k];
  const gradient = { value: parameter.gradient, index }, shape = DATA.values[parameter.value].shape;
  const title = h("h2", {}, `${parameter.name}[${unravel(index, shape).join(", ")}]`);
  if (cutOff(gradient)) return h("div", { class: "weight" }, weightChooser(k, index, shape), title, cutOffPanel(gradient));
  return h("div", { class: "weight" }, weightChooser(k, index, shape), title,
    h("dl", { class: "facts" },
      h("dt", {}, "weight"), h("dd", {}, format(numberAt({ value: parameter.value, index }), 7)),
      h("dt", {}, "gradient"), h("dd", {}, format(numberAt(gradient), 7)),
      h("dt", {}, "change by the update"), h("dd", {}, format(numberAt({ value: parameter.change, index }), 7))),
    pathsView(gradient), quotientView(k, index), updateView(k, index));
}

function weightChooser(k, index, shape) {
  const select = h("select", { id: "parameter", onchange: (event) => setState({ weight: `${event.target.value}:0` }) },
    DATA.parameters.map((each, n) => h("option", { value: n, selected: n === k }, `${each.name} ${formatShape(DATA.values[each.value].shape)}`)));
  const place = h("input", { id: "place", value: unravel(index, shape).join(", "), size: 12, onchange: (event) => {
    const parts = event.target.value.split(/[\s,]+/).filter(Boolean).map(Number);
    const fits = parts.length === shape.length && parts.every((each, axis) => Number.isInteger(each) && each >= 0 && each < shape[axis]);
    if (fits) setState({ weight: `${k}:${ravel(parts, shape)}` });
    else say(`expected ${shape.length} indices below ${shape.join(", ")}`);
  } });
  const known = DATA.quotients.map((each) => h("option", { value: `${each.parameter}:${each.index}`, selected: each.parameter === k && each.index === index },
    nameOf({ value: DATA.parameters[each.parameter].value, index: each.index })));
  return h("div", { class: "bar" }, h("label", { for: "parameter" }, "parameter "), select, h("label", { for: "place" }, " index "), place,
    h("label", { for: "recorded" }, " or one with a difference quotient "),
    h("select", { id: "recorded", onchange: (event) => event.target.value && setState({ weight: event.target.value }) }, h("option", { value: "" }, "…"), known));
}

// -- the chain rule ----------------------------------------------------------------------------------------------------

const countedPaths = new Map();

// The number of paths from the top down to a number; `whole` is false where they were too many to count.
function countPaths(ref) {
  const own = `${ref.value}:${ref.index}`, counted = new Map();
  if (countedPaths.has(own)) return countedPaths.get(own);
  let looked = 0;
  const count = (one) => {
    const key = `${one.value}:${one.index}`;
    if (!counted.has(key)) {
      const terms = looked < MOST_TERMS ? upwards(one) : [];
      looked += terms.length;
      counted.set(key, terms.length ? terms.reduce((a, each) => a + count(each.up), 0) : 1);
    }
    return counted.get(key);
  };
  countedPaths.set(own, { all: count(ref), whole: looked < MOST_TERMS });
  return countedPaths.get(own);
}

function upwards(ref) {
  const maker = MAKERS.get(resolve(ref).value);
  return maker && ["bprop", "gradient", "inner"].includes(maker.role) ? explain(ref).terms.filter((each) => each.up && each.value !== 0) : [];
}

// The paths with the largest products: at each level the largest terms, as many as MOST_PATHS allow.
function findPaths(ref) {
  const { all, whole } = countPaths(ref), found = [];
  const follow = (at, factors, local, most) => {
    const terms = upwards(at);
    if (!terms.length) {
      found.push({ top: resolve(at), factors, value: local * numberAt(at) });
      return;
    }
    const kept = all <= MOST_PATHS ? terms : terms.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, Math.max(1, most));
    for (const each of kept) {
      const by = each.by.reduce((a, one) => a * numberAt(one), 1);
      follow(each.up, [...each.by, ...factors], local * by, Math.max(1, Math.floor(most / 2)));
    }
  };
  follow(ref, [], 1, 16);
  return { all, counted: whole, found: found.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)) };
}

function pathsView(gradient) {
  const { all, counted, found } = findPaths(gradient), shown = found.slice(0, SHOWN_PATHS), total = numberAt(gradient);
  const sum = found.reduce((a, each) => a + each.value, 0);
  const rows = shown.map((path) => h("tr", {}, h("td", { class: "value" }, format(path.value)),
    h("td", {}, [path.top, ...path.factors].map((ref, n) => [n ? " × " : "", refButton(ref)]))));
  if (found.length > shown.length) rows.push(h("tr", {}, h("td", { class: "value" }, format(sum - shown.reduce((a, each) => a + each.value, 0))), h("td", {}, `${found.length - shown.length} paths with smaller products`)));
  if (all > found.length) rows.push(h("tr", {}, h("td", { class: "value" }, format(total - sum)), h("td", {}, `the other ${all > 1e9 ? "" : (all - found.length).toLocaleString("en") + " "}paths`)));
  const whole = found.every((path) => MAKERS.get(path.top.value) && MAKERS.get(path.top.value).role === "grad");
  const from = whole ? "from the loss to this weight" : "to this weight, from as far up as this page can take layers apart";
  return h("section", {}, h("h3", {}, `The chain rule: ${counted ? "" : "more than "}${all > 1e9 ? format(all, 2) : all.toLocaleString("en")} ${all === 1 ? "path" : "paths"} ${from}`),
    h("p", { class: "dim" }, `Each path is a product: the gradient of ${whole ? "an output of the model" : "a number"}, then the derivative of each layer on the way, down to the weight. Their sum is the gradient.`),
    h("table", { class: "terms" }, h("thead", {}, h("tr", {}, h("th", {}, "product"), h("th", {}, "factors, from the loss down"))), h("tbody", {}, rows,
      h("tr", { class: "total" }, h("td", { class: "value" }, format(total)), h("td", {}, "the gradient that bprop has added up")))));
}

// -- difference quotients ----------------------------------------------------------------------------------------------

function quotientView(k, index) {
  const gradient = numberAt({ value: DATA.parameters[k].gradient, index });
  const recorded = DATA.quotients.find((each) => each.parameter === k && each.index === index);
  const own = typeof playQuotient === "function" ? playQuotient(k, index) : null;
  if (!recorded && !own) {
    return h("section", {}, h("h3", {}, "Difference quotient"), h("p", { class: "dim" }, "Python has recorded it for the weights with the largest gradients; choose one of these above."));
  }
  const readout = h("output", {}), table = h("div", {});
  const choices = own ? Array.from({ length: 49 }, (_, n) => 10 ** (-n / 4)) : recorded.steps, last = choices.length - 1;
  const first = last - choices.findIndex((each) => each <= 1.001e-4); // to the right are large steps
  const slider = h("input", { type: "range", min: 0, max: last, value: first, id: "quotient-step", "aria-label": "the step h", oninput: () => update() });
  const update = () => {
    const n = last - Number(slider.value), step = choices[n];
    const both = own ? own(step) : { forward: recorded.forward[n], central: recorded.central[n] };
    const error = (each) => `${format(each, 8)}, off by ${format(Math.abs(each - gradient), 3)}`;
    readout.textContent = `h = ${format(step, 2)}`;
    slider.setAttribute("aria-valuetext", readout.textContent);
    table.replaceChildren(h("dl", { class: "facts" }, h("dt", {}, "(L(w + h) − L(w)) / h"), h("dd", {}, error(both.forward)),
      h("dt", {}, "(L(w + h) − L(w − h)) / 2h"), h("dd", {}, error(both.central)), h("dt", {}, "gradient by bprop"), h("dd", {}, format(gradient, 8))));
  };
  update();
  const steps = recorded ? recorded.steps : Array.from({ length: 25 }, (_, n) => 10 ** (-n / 2));
  const pairs = recorded || { forward: steps.map((s) => own(s).forward), central: steps.map((s) => own(s).central) };
  const errors = (each) => each.map((q) => Math.max(Math.abs(q - gradient), 1e-17));
  return h("section", {}, h("h3", {}, "Difference quotient"), h("label", {}, "step ", slider, " ", readout), table,
    lineChart([{ name: "forward", x: steps, y: errors(pairs.forward) }, { name: "central", x: steps, y: errors(pairs.central) }],
      { log: true, logX: true, title: "error by the step", xName: "h" }),
    h("p", { class: "dim" }, `In float64${DATA.dtype === "float32" ? ", beside a gradient in float32, which is good to about 1e-7 of its size" : ""}: a large step cuts off the curvature, a small one is lost in rounding.`));
}
