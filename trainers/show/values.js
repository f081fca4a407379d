// The recorded arrays: decoded once, found by their numbers, with the step that made each.

const decoded = new Map();

function numbersOf(id) {
  const value = DATA.values[id], size = value.kept ?? sizeOf(value.shape), key = `${value.content}:${size}`;
  if (!decoded.has(key)) {
    const bytes = Uint8Array.from(atob(DATA.contents[value.content]), (letter) => letter.charCodeAt(0));
    const kind = { f4: Float32Array, f8: Float64Array, i4: Int32Array }[value.type], numbers = new kind(bytes.buffer);
    decoded.set(key, numbers.length === size ? numbers : new kind(size).fill(numbers[0])); // all of them are equal
  }
  return decoded.get(key);
}

// A reference is { value, index }, a number of an array, or { number, name }: one that the page has computed.
function numberAt(ref) {
  return ref.number === undefined ? numbersOf(ref.value)[ref.index] : ref.number;
}

// Long arrays are cut off: null, or why a number of one is not in the page.
function cutOff(ref) {
  if (ref.number !== undefined || ref.index < numbersOf(ref.value).length) return null;
  const { kept, shape } = DATA.values[ref.value];
  return `this number is not in the page, which keeps the first ${kept.toLocaleString("en")} of the ${sizeOf(shape).toLocaleString("en")} numbers of this array`;
}

function unravel(index, shape) {
  const place = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    place[axis] = index % shape[axis];
    index = Math.floor(index / shape[axis]);
  }
  return place;
}

function ravel(place, shape) {
  return place.reduce((index, at, axis) => index * shape[axis] + at, 0);
}

function sizeOf(shape) {
  return shape.reduce((a, b) => a * b, 1);
}

// -- who has made what -------------------------------------------------------------------------------------------------

const MAKERS = new Map(); // number of a value: { role, step | parameter | module }

DATA.steps.forEach((step, k) => {
  if (step.output !== null && !MAKERS.has(step.output)) MAKERS.set(step.output, { role: step.kind, step: k });
  for (const line of step.lines) {
    for (const [name, made] of Object.entries(line.made)) {
      if (made.value !== undefined) MAKERS.set(made.value, { role: "line", step: k, name, same: sameValue(made.value, step, name) });
    }
  }
});
DATA.parameters.forEach((parameter, k) => {
  MAKERS.set(parameter.value, { role: "parameter", parameter: k });
  MAKERS.set(parameter.gradient, { role: "gradient", parameter: k });
  MAKERS.set(parameter.change, { role: "change", parameter: k });
});
DATA.modules.forEach((module, k) => Object.keys(module.inner || {}).forEach((id) => MAKERS.set(Number(id), { role: "inner", module: k })));

// A variable of a method that has the content of a value of the step stands for it: `self.y` for the output.
function sameValue(id, step, name) {
  const module = DATA.modules[step.module];
  const inner = Object.keys((module && module.inner) || {}).map(Number);
  const known = [step.output, ...step.inputs, ...inner].filter((each) => each !== null);
  const parameters = module ? Object.entries(module.parameters) : [];
  for (const [own, k] of parameters) {
    if (name === "self.grad_" + own) return DATA.parameters[k].gradient;
    if (name === "self." + own) return DATA.parameters[k].value;
  }
  const size = sizeOf(DATA.values[id].shape);
  return known.find((each) => DATA.values[each].content === DATA.values[id].content
    && sizeOf(DATA.values[each].shape) === size);
}

function resolve(ref) {
  const maker = MAKERS.get(ref.value);
  return maker && maker.role === "line" && maker.same !== undefined ? { value: maker.same, index: ref.index } : ref;
}

function moduleOf(step) {
  return step.kind === "update"
    ? { short: "optimizer", label: step.optimizer.label, sentence: step.optimizer.sentence,
        equations: step.optimizer.equations, methods: { [step.method]: step.optimizer.source }, parameters: {}, form: {} }
    : DATA.modules[step.module];
}

function nameOf(ref) {
  if (ref.number !== undefined) return ref.name;
  const value = DATA.values[ref.value], maker = MAKERS.get(ref.value);
  const index = value.shape.length ? "[" + unravel(ref.index, value.shape).join(", ") + "]" : "";
  return nameOfValue(ref.value, maker) + index;
}

function nameOfValue(id, maker = MAKERS.get(id)) {
  if (!maker) return DATA.values[id].name;
  if (maker.parameter !== undefined) {
    const name = DATA.parameters[maker.parameter].name;
    return { parameter: name, gradient: "grad " + name, change: "change of " + name }[maker.role];
  }
  if (maker.role === "inner") return DATA.values[id].name;
  const module = moduleOf(DATA.steps[maker.step]);
  if (maker.role === "line") return maker.name;
  if (maker.role === "measure") return "next offset of " + module.short;
  if (maker.role === "loss") return "loss";
  if (maker.role === "grad") return "grad_y of " + lastModule();
  return (maker.role === "fprop" ? "y of " : "grad_x of ") + module.short + (module.internal ? " " + module.label : "");
}

function lastModule() {
  const steps = DATA.steps.filter((step) => step.kind === "fprop");
  return steps.length ? moduleOf(steps[steps.length - 1]).short : "the net";
}

function parameterOf(module, own) {
  const k = module.parameters[own];
  return k === undefined ? null : DATA.parameters[k];
}

function range(numbers) {
  let low = Infinity, high = -Infinity, sum = 0;
  for (const x of numbers) {
    if (x < low) low = x;
    if (x > high) high = x;
    sum += x * x;
  }
  return { low, high, rms: numbers.length ? Math.sqrt(sum / numbers.length) : 0 };
}
