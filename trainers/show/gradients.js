// What the gradient of a weight is made of: by the formula of its layer, or by the terms that Python has recorded.

// Of a weight that several modules share, the terms of all of them.
function ofGradient(maker, ref) {
  const parts = DATA.steps.filter((step) => step.kind === "bprop" && step.method === "bprop").flatMap((step) =>
    Object.entries(DATA.modules[step.module].parameters).filter(([, k]) => k === maker.parameter).map(([own]) => gradientTerms(step, own, ref.index)));
  const head = parts.length ? parts[0].head : `gradient of ${DATA.parameters[maker.parameter].name}`;
  const refs = parts.flatMap((each) => each.others || []).map((index) => at(ref.value, index));
  return { head, terms: parts.flatMap((each) => each.terms), others: refs.length ? refs : undefined, weight: `${maker.parameter}:${ref.index}` };
}

// δ and other numbers inside of a layer, which no other layer sees.
function ofInner(maker, ref) {
  const module = DATA.modules[maker.module], { text, sum } = module.inner[ref.value];
  if (!sum) return { head: `${text}; it is made inside of ${module.short}`, terms: [] };
  const made = sumTerms(module, sum, ref.index, "δ");
  return { head: made.terms.length ? `${text}: ${made.head}` : text, terms: made.terms };
}

// The terms of the gradient of number i of a parameter, by one bprop.
function gradientTerms(step, own, i) {
  const module = DATA.modules[step.module], form = module.form, grad = step.inputs[0], forward = forwardStep(module);
  const x = forward.inputs[0], shape = DATA.values[parameterOf(module, own).value].shape, terms = [], size = numbersOf(grad).length;
  if (form.kind === "linear" && own === "weight") {
    const [out, inside] = shape, o = Math.floor(i / inside);
    for (let row = 0; row < size / out; row++) terms.push(product(at(grad, row * out + o), at(x, row * inside + (i % inside))));
    return { head: "grad_weight = Σ grad_y x", terms };
  }
  if (form.kind === "linear") {
    for (let row = 0; row < size / shape[0]; row++) terms.push(product(at(grad, row * shape[0] + i)));
    return { head: "grad_bias = Σ grad_y", terms };
  }
  if (form.kind === "conv2d") return { head: `grad_${own} = Σ grad_y${own === "weight" ? " x" : ""}`, terms: convGradient(module, own, grad, x, i) };
  if (form.kind === "embedding") {
    numbersOf(x).forEach((token, place) => token === Math.floor(i / shape[1]) && token !== form.padding && terms.push(product(at(grad, place * shape[1] + (i % shape[1])))));
    return { head: "grad_weight = Σ grad_y where the token occurs", terms };
  }
  if (form.kind === "norm" && (own === "weight" || own === "bias")) {
    const parts = normParts(form, x, forward.output, module);
    for (let k = 0; k < size; k++) {
      if (parts.weightOf(k) !== i) continue;
      terms.push(own === "bias" ? product(at(grad, k)) : product(at(grad, k), { number: parts.normal(k), name: `x̂ of ${module.short}` }));
    }
    return { head: `grad_${own} = Σ grad_y${own === "bias" ? "" : " x̂"}`, terms };
  }
  return recordedTerms(module, own, i);
}

function convGradient(module, own, grad, x, i) {
  const { form } = module, value = parameterOf(module, own).value, gradShape = shapeOf(grad), xShape = shapeOf(x), terms = [];
  const shape = own === "bias" ? [DATA.values[value].shape[0], 1, 1, 1] : shapeOf(value);
  const [o, c, u, v] = unravel(i, shape), group = Math.floor(o / (shape[0] / form.groups));
  for (let n = 0; n < gradShape[0]; n++) {
    for (let p = 0; p < gradShape[2]; p++) {
      for (let q = 0; q < gradShape[3]; q++) {
        const up = at(grad, ravel([n, o, p, q], gradShape));
        if (own === "bias") {
          terms.push(product(up));
          continue;
        }
        const a = form.stride[0] * p + form.dilation[0] * u - form.padding[0];
        const b = form.stride[1] * q + form.dilation[1] * v - form.padding[1];
        if (a >= 0 && b >= 0 && a < xShape[2] && b < xShape[3]) terms.push(product(up, at(x, ravel([n, group * shape[1] + c, a, b], xShape))));
      }
    }
  }
  return terms;
}

// -- recorded terms: products of factors, or derivatives by outputs -------------------------------------------------------

function recordedTerms(module, own, i) {
  const found = module.weights && module.weights[own];
  if (!found) return { head: `made by bprop of ${module.label}`, terms: [] };
  if (found.reason) return { head: `made by bprop of ${module.label}; it has no terms here: ${found.reason}`, terms: [] };
  return found.products ? productTerms(found.products, own, i) : sumTerms(module, found.sum, i, own);
}

// Of a gradient, or of numbers inside of a layer, which of them have terms, if not all have.
function termsKnown(id) {
  const maker = MAKERS.get(resolve({ value: id, index: 0 }).value);
  if (!maker || !["gradient", "inner"].includes(maker.role)) return null;
  const found = maker.role === "inner" ? [DATA.modules[maker.module].inner[id]] : DATA.modules.flatMap((module) =>
    Object.entries(module.parameters).filter(([own, k]) => k === maker.parameter && module.weights).map(([own]) => module.weights[own]));
  const { reason, sum } = found.find((each) => each && (each.reason || (each.sum && each.sum.known !== undefined))) || {};
  if (reason) return `These numbers have no terms: ${reason}.`;
  return sum ? `Terms are recorded for ${sum.known.toLocaleString("en")} of these numbers, the largest ones: those of all are too many for the page.` : null;
}

// Number (p, j) of a factor: of a row of an array, or, where that has no such row, of the factor's own numbers.
function factorAt(factor, p, j) {
  const row = factor.rows === undefined ? p : numbersOf(factor.rows)[p];
  return row < 0 ? at(factor.other, p * factor.size + j) : at(factor.value, row * factor.width + factor.column + j);
}

function productTerms(products, own, i) {
  const { left, right, first, positions } = products.findLast((each) => i >= each.first * (each.right ? each.right.size : 1));
  const wide = right ? right.size : 1, row = Math.floor(i / wide) - first, terms = [];
  for (let p = 0; p < positions; p++) {
    const up = factorAt(left, p, row);
    terms.push(right ? product(up, factorAt(right, p, i % wide)) : product(up));
  }
  const names = [left, right].filter(Boolean).map((each) => nameOfValue(each.value));
  return { head: `grad_${own} = Σ ${names.join(" × ")}, over ${positions === 1 ? "one position" : `${positions} positions`}`, terms: terms.filter((each) => each.value !== 0) };
}

// Of the derivatives that are not zero; `entries` are the numbers of the gradient that have terms, from starts[e] to starts[e + 1].
function sumTerms(module, sum, i, own) {
  const e = numbersOf(sum.entries).indexOf(i), starts = numbersOf(sum.starts), terms = [];
  const count = numbersOf(sum.entries).length;
  if (e < 0) {
    return { head: `made by bprop of ${module.label}; terms are recorded for ${count} of these numbers, those with the largest gradients: those of all are too many for this page`,
      terms, others: Array.from(numbersOf(sum.entries).slice(0, 8)) };
  }
  for (let n = starts[e]; n < starts[e + 1]; n++) {
    const k = numbersOf(sum.outputs)[n];
    terms.push(sum.groups ? term(null, [], numbersOf(sum.terms)[n], `of ${sum.groups[k]}`) : product(outputAt(sum.grads, k), { number: numbersOf(sum.terms)[n], name: `dy/d${own}` }));
  }
  return { head: sum.groups ? `Σ of what bprop makes of parts of grad_y` : `grad_${own} = Σ grad_y dy/d${own}`, terms };
}

// Number k of several gradients one after another.
function outputAt(grads, k) {
  for (const id of grads) {
    const size = sizeOf(DATA.values[id].shape);
    if (k < size) return at(id, k);
    k -= size;
  }
  return null;
}
