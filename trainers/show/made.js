// What a number is made of: the terms of its sum, by the formula of its module or by a row of its Jacobian.

// { head, terms: [{ up, by: [ref...], value, text }], total, rest, note }; `up` is the gradient that comes from above.
function explain(ref) {
  ref = resolve(ref);
  const maker = MAKERS.get(ref.value), total = numberAt(ref);
  if (!maker) return { head: "an input of this step", terms: [], total };
  const made = { parameter: ofParameter, gradient: ofGradient, inner: ofInner, change: ofChange, fprop: ofOutput, bprop: ofGradX, measure: ofCount,
    loss: ofLoss, grad: ofLossGradient, line: ofLine }[maker.role](maker, ref);
  const count = made.terms.length;
  made.terms = made.terms.filter((each) => [each.up, ...each.by].every((one) => !one || numberAt(one) !== undefined));
  made.cut = made.terms.length < count; // of arrays that are cut off
  const sum = made.terms.reduce((a, term) => a + term.value, 0);
  const isSum = made.terms.length > 0 && !made.derivatives;
  const rest = isSum ? total - sum : 0;
  const scale = made.terms.reduce((a, term) => a + Math.abs(term.value), Math.abs(total));
  return { ...made, total, rest: Math.abs(rest) > 2e-5 * scale ? rest : 0 };
}

function term(up, by, value, text) {
  return { up, by, value, text };
}

function product(up, ...by) {
  return term(up, by, [up, ...by].filter(Boolean).reduce((a, each) => a * numberAt(each), 1));
}

const at = (value, index) => ({ value, index });

function ofParameter(maker, ref) {
  const parameter = DATA.parameters[maker.parameter];
  return { head: `a weight: ${parameter.name}`, terms: [], weight: `${maker.parameter}:${ref.index}` };
}

function ofLine(maker, ref) {
  return { head: `made by a line of ${moduleOf(DATA.steps[maker.step]).short}, and of no value that leaves it`, terms: [] };
}

function ofCount() {
  return { head: "the place in the concatenation where the next array begins: that of this one, and as many places as this one has", terms: [] };
}

// -- forward -----------------------------------------------------------------------------------------------------------

function ofOutput(maker, ref) {
  const step = DATA.steps[maker.step], module = moduleOf(step), form = module.form;
  const [x, other] = step.inputs;
  const own = { linear: linearOutput, conv2d: convOutput, embedding: embeddingOutput, slice: sliceOutput }[form.kind];
  if (own) return own(module, form, x, ref, other);
  if (form.kind in LOCAL) return localOutput(module, form, x, ref);
  if (form.kind === "binary") {
    const terms = [x, other].map((id, n) => term(null, [at(id, ref.index)], numberAt(at(form.slopes[n], ref.index)), `dy/d${"ab"[n]}`));
    return { head: "y = f(a, b), each with its derivative", terms, derivatives: true };
  }
  if (form.kind === "elementwise") {
    return { head: `y = f(x), and dy/dx = ${format(numberAt(at(form.slope, ref.index)), 6)} here`, derivatives: true,
      terms: [term(null, [at(x, ref.index)], numberAt(at(x, ref.index)), "x")] };
  }
  if (form.kind === "copy") return { head: "the same number in another place", terms: [term(null, [at(x, ref.index)], numberAt(ref))] };
  if (form.kind === "sum") return { head: "y = a + b", terms: [product(null, at(x, ref.index)), product(null, at(other, ref.index))] };
  return { head: `made by ${module.label}; it runs more than once in this step, or reads no array of real numbers`, terms: [] };
}

function linearOutput(module, form, x, ref) {
  const weight = parameterOf(module, "weight"), bias = parameterOf(module, "bias");
  const [out, inside] = DATA.values[weight.value].shape, row = Math.floor(ref.index / out), o = ref.index % out;
  const terms = [];
  for (let i = 0; i < inside; i++) terms.push(product(null, at(x, row * inside + i), at(weight.value, o * inside + i)));
  if (bias) terms.push(product(null, at(bias.value, o)));
  return { head: "y = Σ x weight" + (bias ? " + bias" : ""), terms };
}

// Signals are images of one row.
function asImage(shape) {
  return shape.length === 3 ? [shape[0], shape[1], 1, shape[2]] : shape;
}

function shapeOf(id) {
  return asImage(DATA.values[id].shape);
}

// All (c, u, v) of a kernel and the place in x that each sees for an output place, if that is inside.
function* kernelPlaces(form, weightShape, xShape, o, outPlace) {
  const [outs, channels, high, wide] = weightShape, group = Math.floor(o / (outs / form.groups));
  for (let c = 0; c < channels; c++) {
    for (let u = 0; u < high; u++) {
      for (let v = 0; v < wide; v++) {
        const i = form.stride[0] * outPlace[0] + form.dilation[0] * u - form.padding[0];
        const j = form.stride[1] * outPlace[1] + form.dilation[1] * v - form.padding[1];
        if (i >= 0 && j >= 0 && i < xShape[2] && j < xShape[3]) yield [group * channels + c, i, j, c, u, v];
      }
    }
  }
}

function convOutput(module, form, x, ref) {
  const weight = parameterOf(module, "weight"), bias = parameterOf(module, "bias");
  const shape = shapeOf(weight.value), xShape = shapeOf(x);
  const [n, o, p, q] = unravel(ref.index, shapeOf(ref.value)), terms = [];
  for (const [k, i, j, c, u, v] of kernelPlaces(form, shape, xShape, o, [p, q])) {
    terms.push(product(null, at(x, ravel([n, k, i, j], xShape)), at(weight.value, ravel([o, c, u, v], shape))));
  }
  if (bias) terms.push(product(null, at(bias.value, o)));
  return { head: "y = Σ x weight over the window" + (bias ? " + bias" : ""), terms };
}

function embeddingOutput(module, form, x, ref) {
  const weight = parameterOf(module, "weight"), width = DATA.values[weight.value].shape[1];
  const token = numberAt(at(x, Math.floor(ref.index / width)));
  if (token === module.form.padding) return { head: "zero: the token of padding", terms: [] };
  return { head: `the row of token ${token}`, terms: [product(null, at(weight.value, token * width + (ref.index % width)))] };
}

// Where each number of a slice stands in the whole array, and the other way round; null outside.
function placeInWhole(form, k) {
  const p = k % form.places, rest = Math.floor(k / form.places);
  return (Math.floor(rest / form.count) * form.size + form.first + (rest % form.count)) * form.places + p;
}

function placeInSlice(form, k) {
  const p = k % form.places, rest = Math.floor(k / form.places), a = (rest % form.size) - form.first;
  return a < 0 || a >= form.count ? null : (Math.floor(rest / form.size) * form.count + a) * form.places + p;
}

// One number of `own`, or, outside of the slice, of the array that other slices have written.
function sliceTerms(form, own, others, k, isWhole) {
  const place = isWhole ? placeInSlice(form, k) : placeInWhole(form, k);
  if (place !== null) return [at(own, place)];
  return others === undefined ? [] : [at(others, k)];
}

function sliceOutput(module, form, x, ref, other) {
  const terms = sliceTerms(form, x, other, ref.index, form.into).map((each) => product(null, each));
  return { head: terms.length ? "the same number in another place" : "nobody has written this place yet; a later call does", terms };
}

function localOutput(module, form, x, ref) {
  const found = LOCAL[form.kind].row(form, ref.index, { module, x, y: ref.value });
  if (found === null) {
    const known = numbersOf(form.rows), count = numbersOf(ref.value).length;
    return { head: `made by ${module.label}; derivatives are recorded for ${known.length} of its ${count} outputs, those with the largest gradients and the largest ones`,
      terms: [], others: Array.from(known.slice(0, 8), (index) => at(ref.value, index)) };
  }
  const terms = found.filter(([, d]) => numberAt(d) !== 0).map(([i, d]) => term(null, [at(x, i)], numberAt(d), "dy/dx"));
  const whole = form.kind !== "jacobian" || form.dense !== undefined || form.whole;
  return { head: `${whole ? "the inputs" : "the inputs with the largest derivatives"} that y depends on, each with dy/dx`, terms, derivatives: true };
}

// -- backward ----------------------------------------------------------------------------------------------------------

function forwardStep(module) {
  return DATA.steps.find((step) => step.kind === "fprop" && DATA.modules[step.module] === module);
}

function ofGradX(maker, ref) {
  const step = DATA.steps[maker.step], module = moduleOf(step), form = module.form, i = ref.index;
  const grad = step.inputs[0];
  if (form.kind === "sum") return { head: "the sum of two gradients", terms: step.inputs.map((each) => product(at(each, i))) };
  if (form.kind === "copy") return { head: "the same gradient in another place", terms: [product(at(grad, i))] };
  if (form.kind === "elementwise") return { head: "grad_x = grad_y dy/dx", terms: [product(at(grad, i), at(form.slope, i))] };
  if (form.kind === "linear") {
    const weight = parameterOf(module, "weight"), [out, inside] = DATA.values[weight.value].shape;
    const row = Math.floor(i / inside), terms = [];
    for (let o = 0; o < out; o++) terms.push(product(at(grad, row * out + o), at(weight.value, o * inside + (i % inside))));
    return { head: "grad_x = Σ grad_y weight", terms };
  }
  if (form.kind === "conv2d") return { head: "grad_x = Σ grad_y weight, over the windows that see x", terms: convGradX(module, form, grad, ref) };
  if (form.kind === "binary") {
    const slope = form.slopes[step.method === "bprop_other" ? 1 : 0];
    return { head: `grad_${step.method === "bprop_other" ? "b" : "a"} = grad_y times the derivative`, terms: [product(at(grad, i), at(slope, i))] };
  }
  if (form.kind === "slice") {
    return { head: "the same gradient in another place", terms: sliceTerms(form, grad, step.inputs[1], i, !form.into).map((each) => product(each)) };
  }
  if (form.kind in LOCAL) return localGradX(module, form, grad, i);
  return { head: `made by bprop of ${module.label}`, terms: [] };
}

function convGradX(module, form, grad, ref) {
  const weight = parameterOf(module, "weight"), shape = shapeOf(weight.value);
  const gradShape = shapeOf(grad), xShape = shapeOf(ref.value);
  const [n, k, i, j] = unravel(ref.index, xShape), terms = [], perGroup = shape[0] / form.groups;
  const group = Math.floor(k / shape[1]), c = k % shape[1];
  for (let o = group * perGroup; o < (group + 1) * perGroup; o++) {
    for (let u = 0; u < shape[2]; u++) {
      for (let v = 0; v < shape[3]; v++) {
        const p = (i + form.padding[0] - form.dilation[0] * u) / form.stride[0];
        const q = (j + form.padding[1] - form.dilation[1] * v) / form.stride[1];
        if (Number.isInteger(p) && Number.isInteger(q) && p >= 0 && q >= 0 && p < gradShape[2] && q < gradShape[3]) {
          terms.push(product(at(grad, ravel([n, o, p, q], gradShape)), at(weight.value, ravel([o, c, u, v], shape))));
        }
      }
    }
  }
  return terms;
}

function localGradX(module, form, grad, i) {
  const forward = forwardStep(module), context = { module, x: forward.inputs[0], y: forward.output };
  const terms = LOCAL[form.kind].column(form, i, context).filter(([, d]) => numberAt(d) !== 0).map(([k, d]) => product(at(grad, k), d));
  if (form.rows !== undefined) return { head: `grad_x = Σ grad_y dy/dx, over the ${numbersOf(form.rows).length} outputs whose derivatives are recorded`, terms };
  return { head: "grad_x = Σ grad_y dy/dx", terms };
}

// -- the loss and the update ---------------------------------------------------------------------------------------------

function ofLoss(maker) {
  const step = DATA.steps[maker.step], grad = DATA.steps.find((each) => each.kind === "grad").output;
  const terms = Array.from(numbersOf(grad), (d, k) => term(null, [at(step.inputs[0], k)], d, "dL/dy"));
  return { head: "the outputs that the loss depends on, each with dL/dy", terms: terms.filter((each) => each.value !== 0), derivatives: true };
}

function ofLossGradient(maker, ref) {
  const step = DATA.steps[maker.step], module = moduleOf(step), [y, target] = step.inputs;
  const outputs = numbersOf(y), targets = numbersOf(target), i = ref.index;
  if (module.class === "SoftmaxCrossEntropy" && targets.length === 1 && DATA.values[target].type === "i4" && plainLoss(module)) {
    const top = Math.max(...outputs), mass = outputs.reduce((a, each) => a + Math.exp(each - top), 0);
    const p = Math.exp(outputs[i] - top) / mass, t = targets[0] === i ? 1 : 0;
    return { head: "grad_y = p − t, where p = softmax(y)", terms: [term(null, [at(y, i)], p, "p"), term(null, [at(target, 0)], -t, "−t")] };
  }
  if (module.class === "MeanSquaredError" && plainLoss(module)) {
    const factor = 2 / outputs.length;
    return { head: "grad_y = 2 (y − target) / size", terms: [term(null, [at(y, i)], factor * outputs[i], "2 y / size"),
      term(null, [at(target, i)], -factor * targets[i], "−2 target / size")] };
  }
  return { head: `made by bprop of ${module.label}, of this output and its target`, derivatives: true,
    terms: [term(null, [at(y, i)], outputs[i], "y"), ...(targets.length === outputs.length ? [term(null, [at(target, i)], targets[i], "target")] : [])] };
}

function plainLoss(module) {
  return module.label === module.class + "()";
}

function ofChange(maker, ref) {
  return { head: "the change of a weight by the update", terms: [], weight: `${maker.parameter}:${ref.index}`, update: true };
}
