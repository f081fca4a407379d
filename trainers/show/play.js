// The pane Play: the page trains the model itself.

const RULE_NAMES = ["SGD", "Adam", "AdamW", "RMSprop"];
const SHAPES = {
  xor: (random) => { const [a, b] = [2 * random() - 1, 2 * random() - 1]; return [a, b, a * b > 0 ? 0 : 1]; },
  spirals: (random, k) => {
    const label = k % 2, t = (k >> 1) / 100, angle = 1.75 * 2 * Math.PI * t + Math.PI * label, r = 0.05 + 0.95 * t;
    return [r * Math.cos(angle) + 0.02 * (random() - 0.5), r * Math.sin(angle) + 0.02 * (random() - 0.5), label];
  },
  circle: (random) => { const [a, b] = [2 * random() - 1, 2 * random() - 1]; return [a, b, a * a + b * b < 0.6 ? 1 : 0]; },
};
const MOST_WEIGHTS = 5_000; // as of a model of Python's
const PLAY = { net: null, rule: null, running: false, history: [], view: null, steps: 0, drawn: 0 };

function readPlay() {
  const own = DATA.play.rule, sizes = DATA.play.layers.filter((each) => each.kind === "linear").slice(0, -1).map((each) => each.out);
  const settings = { ...own, batch: DATA.play.batch, units: sizes.join("-"), data: "own", seed: 0 };
  for (const part of (STATE.play || "").split(";")) {
    const [name, value] = part.split("*");
    if (!(name in settings) || value === undefined) continue;
    const isText = name === "name" || name === "units" || name === "data";
    if (isText ? /^[\w-]*$/.test(value) : Number.isFinite(Number(value))) settings[name] = isText ? value : Number(value);
  }
  if (!RULE_NAMES.includes(settings.name)) settings.name = "SGD";
  if (settings.data !== "own" && !offersShapes()) settings.data = "own";
  if (settings.data !== "own" && !SHAPES[settings.data]) settings.data = "own";
  settings.batch = Math.max(leastBatch(), Math.floor(settings.batch));
  if (countPlayWeights(settings.units) === null) settings.units = sizes.join("-");
  return settings;
}

// The weights of the Linear layers with hidden layers of such sizes, "8-8"; null for other texts, and for too many.
function countPlayWeights(units) {
  const linear = DATA.play.layers.filter((each) => each.kind === "linear"), own = linear.slice(0, -1).map((each) => each.out).join("-");
  if (units !== own && !/^[1-9]\d*(-[1-9]\d*)*$/.test(units) && units !== "") return null;
  const sizes = [linear[0].in, ...units.split("-").filter(Boolean).map(Number), linear[linear.length - 1].out];
  const count = sizes.slice(1).reduce((a, out, k) => a + (sizes[k] + 1) * out, 0);
  return units === own || count <= MOST_WEIGHTS ? count : null;
}

// Batch normalization needs two samples.
function leastBatch() {
  return DATA.play.layers.some((each) => each.columns) ? 2 : 1;
}

function writePlay(changes) {
  const settings = { ...readPlay(), ...changes };
  setState({ play: Object.entries(settings).map(([name, value]) => `${name}*${value}`).join(";") }, true);
  return readPlay();
}

// Data sets of the page's own fit two inputs and a loss of two classes.
function offersShapes() {
  const { data, loss, layers } = DATA.play, outputs = layers.filter((each) => each.kind === "linear").pop().out;
  const two = loss.kind === "softmax" ? outputs >= 2 : outputs === 1 && ["logits", "elementwise"].includes(loss.kind);
  return data.features === 2 && two;
}

function playData(settings) {
  const { data } = DATA.play;
  if (settings.data === "own") {
    return { x: Float64Array.from(numbersOf(data.x)), y: Float64Array.from(numbersOf(data.y)), n: data.count, features: data.features, targets: data.targets };
  }
  const random = makeRandom(settings.seed + 7), rows = Array.from({ length: 200 }, (_, k) => SHAPES[settings.data](random, k));
  return { x: Float64Array.from(rows.flatMap(([a, b]) => [a, b])), y: Float64Array.from(rows.map((row) => row[2])), n: 200, features: 2, targets: 1 };
}

// The model's own weights, or new ones where the units are others.
function makePlayNet(settings) {
  const random0 = makeRandom(settings.seed + 5);
  if (!isChain()) return new PlayNet(settings.seed === 0 ? ownLayers() : drawLayers(settings.seed), DATA.play.loss, GENERATED, random0);
  const linear = DATA.play.layers.filter((each) => each.kind === "linear"), wanted = settings.units.split("-").map(Number).filter((each) => each > 0);
  const own = linear.slice(0, -1).map((each) => each.out).join("-") === wanted.join("-");
  if (own && settings.seed === 0) return new PlayNet(ownLayers(), DATA.play.loss, GENERATED, random0);
  const random = makeRandom(settings.seed + 1), last = linear[linear.length - 1], layers = [];
  const push = (layer) => layers.push({ ...layer, inputs: [layers.length] });
  const add = (inside, out) => push({ kind: "linear", in: inside, out, ...drawWeights(random, inside, out, last.bias !== null) });
  let inside = linear[0].in;
  wanted.forEach((out, k) => {
    add(inside, out);
    unitsAfter(Math.min(k, Math.max(0, linear.length - 2)), out).forEach(push);
    inside = out;
  });
  add(inside, last.out);
  unitsAfter(linear.length - 1, last.out).forEach(push);
  return new PlayNet(layers, DATA.play.loss, GENERATED, random0);
}

// Whether each layer reads the one before it, and the first one is Linear: then the page may choose the units.
function isChain() {
  return DATA.play.layers.every((each, k) => each.inputs.length === 1 && each.inputs[0] === k) && DATA.play.layers[0].kind === "linear";
}

function drawWeights(random, inside, out, hasBias) {
  const draw = (count) => Float64Array.from({ length: count }, () => (2 * random() - 1) / Math.sqrt(inside));
  return { weight: draw(inside * out), bias: hasBias ? draw(out) : null };
}

// The model's layers with weights of another seed.
function drawLayers(seed) {
  const random = makeRandom(seed + 1);
  return ownLayers().map((each) => (each.kind === "linear" ? { ...each, ...drawWeights(random, each.in, each.out, each.bias !== null) } : each));
}

const ARRAYS = ["weight", "bias", "mean", "var"];

function ownLayers() {
  const copy = (id) => (id === null || id === undefined ? null : Float64Array.from(numbersOf(id)));
  return DATA.play.layers.map((each) => ({ ...each, ...Object.fromEntries(ARRAYS.map((name) => [name, copy(each[name])])) }));
}

// The layers between two Linear ones, for so many units.
function unitsAfter(k, units) {
  const layers = DATA.play.layers, places = layers.flatMap((each, n) => (each.kind === "linear" ? [n] : []));
  const fill = (id, value) => (id === null || id === undefined ? null : new Float64Array(units).fill(value));
  return layers.slice(places[k] + 1, places[k + 1]).map((each) => ({ ...each, size: units,
    weight: fill(each.weight, 1), bias: fill(each.bias, 0), mean: fill(each.mean, 0), var: fill(each.var, 1) }));
}

function resetPlay() {
  const settings = readPlay(), net = makePlayNet(settings), rule = new PlayRule({ ...settings });
  rule.decays = net.layers.flatMap((each) => [each.weight ? [each.kind === "linear"] : [], each.bias ? [false] : []].flat());
  const data = playData(settings);
  Object.assign(PLAY, { net, rule, data, settings, range: null, history: [], steps: 0, seen: 0, seconds: 0, order: [], place: 0, random: makeRandom(settings.seed + 3) });
  if (PLAY.view) drawPlayState();
}

// One minibatch of the data, in an order that is drawn anew in each pass.
function playStep() {
  const { data, settings } = PLAY, size = Math.min(settings.batch, data.n);
  if (PLAY.place + size > PLAY.order.length) {
    PLAY.order = Array.from({ length: data.n }, (_, k) => k);
    for (let k = data.n - 1; k > 0; k--) {
      const other = Math.floor(PLAY.random() * (k + 1));
      [PLAY.order[k], PLAY.order[other]] = [PLAY.order[other], PLAY.order[k]];
    }
    PLAY.place = 0;
  }
  const rows = PLAY.order.slice(PLAY.place, PLAY.place + size), x = new Float64Array(size * data.features), y = new Float64Array(size * data.targets);
  rows.forEach((row, k) => {
    x.set(data.x.subarray(row * data.features, (row + 1) * data.features), k * data.features);
    y.set(data.y.subarray(row * data.targets, (row + 1) * data.targets), k * data.targets);
  });
  PLAY.place += size;
  PLAY.steps += 1;
  PLAY.seen += size;
  return PLAY.net.step(x, y, size, PLAY.rule);
}

function playAccuracy(y) {
  const { data } = PLAY, { loss } = DATA.play, outputs = y.length / data.n;
  let right = 0;
  if (loss.kind === "softmax") {
    for (let r = 0; r < data.n; r++) {
      let best = 0;
      for (let k = 1; k < outputs; k++) if (y[r * outputs + k] > y[r * outputs + best]) best = k;
      right += best === data.y[r];
    }
    return right / data.n;
  }
  if (!isBinary(data)) return null;
  const cut = loss.kind === "logits" ? 0 : 0.5;
  y.forEach((each, k) => { right += (each > cut) === (data.y[k] > 0.5); });
  return right / y.length;
}

// Whether targets are classes 0 and 1; those of a regression may be one of them by chance, such as a single 1.
function isBinary(data) {
  const both = data.y.includes(0) && data.y.includes(1);
  return (both || DATA.play.loss.kind === "logits") && data.y.every((each) => each === 0 || each === 1);
}

function measurePlay() {
  const { net, data } = PLAY, y = net.forward(data.x, data.n);
  return { loss: net.measure(y, data.y, data.n).value, accuracy: playAccuracy(y) };
}

function runPlay() {
  if (!PLAY.running || STATE.pane !== "play") {
    PLAY.running = false;
    return;
  }
  const begin = performance.now();
  while (performance.now() - begin < 24) playStep();
  PLAY.seconds += (performance.now() - begin) / 1000;
  if (!STILL.matches || begin - PLAY.drawn > 1000) drawPlayState();
  requestAnimationFrame(runPlay);
}

function startPlay(running) {
  PLAY.running = running;
  PLAY.view.start.textContent = running ? "pause" : "▶ train";
  if (!running && PLAY.steps) {
    drawPlayState();
    say(PLAY.view.surface.getAttribute("aria-label"));
  }
  if (running) requestAnimationFrame(runPlay);
}

// -- the pane ------------------------------------------------------------------------------------------------------------

function drawPlay() {
  if (DATA.play.reason) return h("p", {}, `This page cannot train the model itself: ${DATA.play.reason}.`);
  const settings = readPlay();
  const view = { facts: h("dl", { class: "facts", id: "play-facts" }), surface: h("canvas", { width: 360, height: 360, role: "img" }), chart: h("div", {}), caption: h("figcaption", {}),
    problem: h("p", { class: "problem", role: "alert", id: "play-problem" }), start: button("▶ train", () => startPlay(!PLAY.running), { class: "main", id: "play-start" }) };
  PLAY.view = view;
  const change = (name, always) => (event) => {
    const text = event.target.value.trim(), value = event.target.type === "number" ? Number(text) : name === "units" ? text.split(/[\s,;-]+/).filter(Boolean).join("-") : text;
    view.problem.textContent = findProblem(name, text, value);
    if (!view.problem.textContent) {
      PLAY.settings = writePlay({ [name]: value });
      if (always) resetPlay();
      else Object.assign(PLAY.rule.settings, PLAY.settings);
    }
    event.target.value = PLAY.settings[name]; // what the page goes on with
  };
  const numeric = (name, label, always, attributes) => h("label", {}, label, " ", h("input", { type: "number", value: settings[name], step: "any", min: 0, id: `play-${name}`, onchange: change(name, always), ...attributes }));
  const chooser = (name, label, options, always) => h("label", {}, label, " ", h("select", { id: `play-${name}`, onchange: change(name, always) }, options.map((each) => h("option", { selected: each === settings[name] }, each))));
  const pane = h("div", { class: "play" },
    h("p", { class: "dim" }, "The page trains the model by itself, in float64, with the arithmetic of its layers; nothing leaves the page." + (DATA.play.layers.some((each) => each.kind === "dropout") ? " Dropout draws masks of its own." : "")),
    h("div", { class: "bar" }, view.start, button("one step", () => { playStep(); drawPlayState(); }, { id: "play-step" }), button("begin again", resetPlay, { id: "play-reset" })),
    h("div", { class: "bar" }, chooser("name", "rule", RULE_NAMES, true), numeric("lr", "learning rate"), numeric("momentum", "momentum"), numeric("weight_decay", "weight decay"),
      numeric("batch", "batch", false, { min: leastBatch(), step: 1 }), h("label", {}, "units ", h("input", { id: "play-units", value: settings.units, size: 9, disabled: !isChain(), title: isChain() ? "hidden layers, such as 8-8" : "the page changes the units of chains alone", onchange: change("units", true) })),
      numeric("seed", "seed", true, { step: 1 }), offersShapes() ? chooser("data", "data", ["own", ...Object.keys(SHAPES)], true) : null), view.problem,
    h("div", { class: "columns play-views" }, h("figure", {}, view.caption, view.surface), h("div", {}, view.facts, view.chart)));
  resetPlay();
  view.caption.textContent = surfaceTitle();
  startPlay(false);
  return pane;
}

// What is wrong with a setting that somebody has typed, "" if nothing.
function findProblem(name, text, value) {
  if (name === "units") return countPlayWeights(value) === null ? `units is ${text}, expected sizes of hidden layers such as 8-8, with at most ${MOST_WEIGHTS.toLocaleString("en")} weights` : "";
  if (typeof value !== "number") return "";
  const least = name === "batch" ? leastBatch() : 0;
  return text === "" || !(value >= least) ? `${name.replace("_", " ")} is ${text || "no number"}, expected at least ${least}` : "";
}

// The two inputs whose plane is shown: of several those that tell most of the target, each by itself: the share of an
// input's variance that is between the classes, or the square of its correlation with a number.
function chooseInputs() {
  const { data } = PLAY, { features, n } = data;
  if (features <= 2) return [0, 1];
  if (!data.shown) {
    const isLabel = DATA.play.loss.kind === "softmax" || isBinary(data), y = Array.from({ length: n }, (_, r) => data.y[r * data.targets]);
    const mean = (values) => values.reduce((a, each) => a + each, 0) / values.length, meanY = mean(y);
    const shares = Array.from({ length: features }, (_, f) => {
      const x = y.map((_, r) => data.x[r * features + f]), middle = mean(x), all = x.reduce((a, each) => a + (each - middle) ** 2, 0);
      if (!all) return 0;
      if (!isLabel) return mean(x.map((each, r) => (each - middle) * (y[r] - meanY))) ** 2 * n / all;
      const groups = new Map(y.map((label) => [label, []]));
      y.forEach((label, r) => groups.get(label).push(x[r]));
      return [...groups.values()].reduce((sum, each) => sum + each.length * (mean(each) - middle) ** 2, 0) / all;
    });
    const order = shares.map((_, f) => f).sort((a, b) => shares[b] - shares[a] || a - b);
    data.shown = order.slice(0, 2).sort((a, b) => a - b);
  }
  return data.shown;
}

function surfaceTitle() {
  const { data } = DATA.play;
  if (data.features === 1) return "what the model says of each x, and the data";
  return data.features === 2 ? "what the model says of the plane, and the data" : `what the model says of the plane of inputs ${chooseInputs().join(" and ")}, which tell most of the target by themselves, the others at their means`;
}

function drawPlayState() {
  PLAY.drawn = performance.now();
  const figures = measurePlay();
  PLAY.history.push([PLAY.steps, figures.loss]);
  if (PLAY.history.length > 400) PLAY.history = PLAY.history.filter((_, k) => k % 2 === 0);
  const { view, net } = PLAY, count = net.parameters.reduce((a, each) => a + each.length, 0);
  const facts = [["weights", count], ["steps", PLAY.steps], ["epochs", format(PLAY.seen / PLAY.data.n, 3)], ["seconds of training", format(PLAY.seconds, 3)], ["loss", format(figures.loss, 5)]];
  if (figures.accuracy !== null) facts.push(["right", format(100 * figures.accuracy, 4) + " %"]);
  view.facts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { "data-name": name }, value)]));
  if (PLAY.history.length < 2) view.chart.replaceChildren();
  else view.chart.replaceChildren(lineChart([{ name: "loss", x: PLAY.history.map((each) => each[0]), y: PLAY.history.map((each) => each[1]) }], { title: "loss", xName: "step", log: figures.loss > 0 }));
  drawSurface(view.surface);
  view.surface.setAttribute("aria-label", `${surfaceTitle()}; ${facts.map((each) => each.join(" ")).join(", ")}`);
}

function boundsOf(values, stride, offset) {
  let low = Infinity, high = -Infinity;
  for (let k = offset; k < values.length; k += stride) [low, high] = [Math.min(low, values[k]), Math.max(high, values[k])];
  const edge = (high - low) * 0.08 || 1;
  return [low - edge, high + edge];
}

const CLASS_COLOURS = [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233]];

function drawSurface(canvas) {
  const { data, net } = PLAY, context = canvas.getContext("2d"), cells = 48, size = canvas.width;
  if (data.features === 1) return drawCurve(canvas);
  const [a, b] = chooseInputs(), [x0, x1] = boundsOf(data.x, data.features, a), [y0, y1] = boundsOf(data.x, data.features, b);
  const grid = new Float64Array(cells * cells * data.features);
  const means = Array.from({ length: data.features }, (_, f) => data.x.reduce((a, each, k) => (k % data.features === f ? a + each : a), 0) / data.n);
  for (let k = 0; k < cells * cells; k++) {
    grid.set(means, k * data.features);
    grid[k * data.features + a] = x0 + (x1 - x0) * ((k % cells) + 0.5) / cells;
    grid[k * data.features + b] = y1 - (y1 - y0) * (Math.floor(k / cells) + 0.5) / cells;
  }
  const y = net.forward(grid, cells * cells), outputs = y.length / (cells * cells), step = size / cells;
  for (let k = 0; k < cells * cells; k++) {
    context.fillStyle = `rgb(${surfaceColour(y.subarray(k * outputs, (k + 1) * outputs)).join(",")})`;
    context.fillRect((k % cells) * step, Math.floor(k / cells) * step, step + 0.5, step + 0.5);
  }
  const labelled = DATA.play.loss.kind === "softmax" || isBinary(data);
  for (let r = 0; r < data.n; r++) {
    const px = size * (data.x[r * data.features + a] - x0) / (x1 - x0), py = size * (y1 - data.x[r * data.features + b]) / (y1 - y0);
    context.beginPath();
    context.arc(px, py, 3.2, 0, 7);
    context.fillStyle = `rgb(${(labelled ? CLASS_COLOURS[data.y[r * data.targets] % 6] : targetColour(data.y[r * data.targets])).join(",")})`;
    context.fill();
    context.strokeStyle = "#fff";
    context.lineWidth = 1;
    context.stroke();
  }
}

// Blue for the lowest target of the data, vermilion for the highest.
function targetColour(y) {
  PLAY.range ||= range(PLAY.data.y);
  const { low, high } = PLAY.range;
  return signedColour(high > low ? Math.max(-1, Math.min(1, (2 * y - low - high) / (high - low))) : 0, false);
}

function surfaceColour(y) {
  const pale = (colour, share) => colour.map((part) => Math.round(255 - (255 - part) * 0.62 * share));
  if (DATA.play.loss.kind === "softmax") {
    const top = Math.max(...y), mass = y.reduce((a, each) => a + Math.exp(each - top), 0), best = y.indexOf(top);
    return pale(CLASS_COLOURS[best % 6], Math.max(0.15, 2 / mass - 1));
  }
  if (!isBinary(PLAY.data)) return targetColour(y[0]);
  const p = DATA.play.loss.kind === "logits" ? sigmoid(y[0]) : y[0];
  return p > 0.5 ? pale(CLASS_COLOURS[1], Math.min(1, 2 * p - 1)) : pale(CLASS_COLOURS[0], Math.min(1, 1 - 2 * p));
}

function drawCurve(canvas) {
  const { data, net } = PLAY, context = canvas.getContext("2d"), size = canvas.width;
  const [x0, x1] = boundsOf(data.x, 1, 0), [y0, y1] = boundsOf(data.y, data.targets, 0);
  context.clearRect(0, 0, size, size);
  const px = (x) => size * (x - x0) / (x1 - x0), py = (y) => size * (y1 - y) / (y1 - y0);
  context.fillStyle = `rgb(${CLASS_COLOURS[0].join(",")})`;
  for (let r = 0; r < data.n; r++) context.fillRect(px(data.x[r]) - 1.5, py(data.y[r * data.targets]) - 1.5, 3, 3);
  const x = Float64Array.from({ length: 200 }, (_, k) => x0 + (x1 - x0) * k / 199), y = net.forward(x, 200), outputs = y.length / 200;
  context.strokeStyle = `rgb(${CLASS_COLOURS[1].join(",")})`;
  context.lineWidth = 2;
  context.beginPath();
  x.forEach((each, k) => context[k ? "lineTo" : "moveTo"](px(each), py(y[k * outputs])));
  context.stroke();
}

// -- difference quotients of any weight, for the pane One weight -----------------------------------------------------------

function playQuotient(k, index) {
  const { play } = DATA;
  if (play.reason || !play.layers || (DATA.training && play.layers.some((each) => each.kind === "dropout"))) return null;
  const net = new PlayNet(ownLayers(), play.loss, GENERATED), weights = DATA.parameters.map((each) => Float64Array.from(numbersOf(each.value)));
  if (weights.length !== net.parameters.length || weights.some((each, n) => each.length !== net.parameters[n].length)) return null;
  weights.forEach((each, n) => net.parameters[n].set(each));
  const x = Float64Array.from(numbersOf(DATA.steps[0].inputs[0])), target = Float64Array.from(numbersOf(DATA.target));
  const n = DATA.values[DATA.steps[0].inputs[0]].shape[0], array = net.parameters[k], own = array[index];
  net.training = DATA.training;
  const valueAt = (weight) => {
    array[index] = weight;
    const { value } = net.measure(net.forward(x, n), target, n);
    array[index] = own;
    return value;
  };
  return (step) => ({ forward: (valueAt(own + step) - valueAt(own)) / step, central: (valueAt(own + step) - valueAt(own - step)) / (2 * step) });
}
