// A small training of its own, in float64: Linear layers, norms, dropout, sums of branches, and the units and the loss that
// Python has translated.
// Arrays are rows after rows; `GENERATED` has the functions of this page's model.

function sigmoid(x) {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

function softplus(x) {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

// A generator of numbers from [0, 1) that a seed starts: mulberry32.
function makeRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// A net is a list of layers; layer k makes value k + 1 of the values that its `inputs` name, of which 0 is x.
class PlayNet {
  // layers: [{ kind, inputs, ...what LAYERS[kind] reads }], parameters Float64Arrays or null.
  constructor(layers, loss, generated, random = Math.random) {
    this.layers = layers.map((each) => ({ ...each, unit: generated.units[each.unit] }));
    this.loss = loss;
    this.generated = generated;
    this.random = random;
    this.training = false;
    this.parameters = this.layers.flatMap((each) => [each.weight, each.bias].filter(Boolean));
    this.gradients = this.parameters.map((each) => new Float64Array(each.length));
    let k = 0;
    for (const layer of this.layers) {
      layer.gradWeight = layer.weight ? this.gradients[k++] : null;
      layer.gradBias = layer.bias ? this.gradients[k++] : null;
    }
    const learned = this.layers.findIndex((each) => each.weight);
    this.layers.forEach((layer, n) => { layer.wantsGradX = n > learned; });
  }

  // y of n rows x; keeps what backward needs.
  forward(x, n) {
    this.values = [x];
    for (const layer of this.layers) this.values.push(LAYERS[layer.kind].forward(layer, layer.inputs.map((k) => this.values[k]), n, this));
    return this.values[this.values.length - 1];
  }

  // The loss of outputs y, and grad_y.
  measure(y, target, n) {
    return lossOf(this.loss, this.generated.loss, y, target, n);
  }

  // Gradients of all parameters, from grad_y; those of a value that several layers read are added up.
  backward(gradY, n) {
    const grads = this.values.map(() => null);
    grads[this.values.length - 1] = gradY;
    for (let k = this.layers.length - 1; k >= 0; k--) {
      const layer = this.layers[k], found = LAYERS[layer.kind].backward(layer, grads[k + 1], layer.inputs.map((i) => this.values[i]), this.values[k + 1], n, this);
      if (!layer.wantsGradX) continue;
      layer.inputs.forEach((i, which) => {
        grads[i] = grads[i] === null ? found[which] : grads[i].map((g, at) => g + found[which][at]);
      });
    }
  }

  step(x, target, n, rule) {
    this.training = true;
    const { value, gradY } = this.measure(this.forward(x, n), target, n);
    this.backward(gradY, n);
    this.training = false;
    rule.update(this.parameters, this.gradients);
    return value;
  }
}

// forward(layer, inputs, n, net) makes y; backward(layer, gradY, inputs, y, n, net) the gradients of the inputs, in order.
const LAYERS = {
  linear: { forward: (layer, [x], n) => linear(layer, x, n), backward: (layer, gradY, [x], y, n) => [linearBack(layer, gradY, x, n)] },
  unit: { forward: (layer, [x]) => x.map((each) => Number(layer.unit.f(each))),
    backward: (layer, gradY, [x], y) => [gradY.map((g, i) => g * Number(layer.unit.d(x[i], y[i])))] },
  sum: { forward: (layer, [a, b]) => a.map((each, i) => each + b[i]), backward: (layer, gradY) => [gradY, gradY] },
  softmax: { forward: softmaxForward, backward: softmaxBack },
  dropout: { forward: dropForward, backward: (layer, gradY) => [layer.mask ? gradY.map((g, i) => g * layer.mask[i]) : gradY] },
  norm: { forward: normForward, backward: normBack },
};

function softmaxForward({ size }, [x]) {
  const y = new Float64Array(x.length);
  for (let r = 0; r < x.length; r += size) {
    const row = x.subarray(r, r + size), top = Math.max(...row);
    let mass = 0;
    row.forEach((each, k) => { mass += y[r + k] = Math.exp(each - top); });
    for (let k = 0; k < size; k++) y[r + k] /= mass;
  }
  return y;
}

function softmaxBack({ size }, gradY, inputs, y) {
  const gradX = new Float64Array(y.length);
  for (let r = 0; r < y.length; r += size) {
    let mean = 0;
    for (let k = 0; k < size; k++) mean += gradY[r + k] * y[r + k];
    for (let k = 0; k < size; k++) gradX[r + k] = y[r + k] * (gradY[r + k] - mean);
  }
  return [gradX];
}

function dropForward(layer, [x], n, net) {
  layer.mask = net.training ? x.map(() => (net.random() < layer.p ? 0 : 1 / (1 - layer.p))) : null;
  return layer.mask ? x.map((each, i) => each * layer.mask[i]) : x;
}

// Batch normalization, of columns, and layer normalization, of rows: x̂ = (x − μ) / √(σ² + eps), y = weight x̂ + bias.
function normForward(layer, [x], n, net) {
  const { size, columns, eps } = layer, groups = columns ? size : x.length / size, count = columns ? n : size;
  const at = columns ? (g, k) => k * size + g : (g, k) => g * size + k, y = new Float64Array(x.length);
  Object.assign(layer, { groups, count, at, normal: new Float64Array(x.length), inverse: new Float64Array(groups), fixed: columns && !net.training && layer.mean });
  for (let g = 0; g < groups; g++) {
    let mean = 0, square = 0;
    for (let k = 0; k < count; k++) mean += x[at(g, k)] / count;
    for (let k = 0; k < count; k++) square += (x[at(g, k)] - mean) ** 2 / count;
    if (layer.fixed) [mean, square] = [layer.mean[g], layer.var[g]];
    else if (columns && layer.mean && net.training) {
      layer.mean[g] += layer.momentum * (mean - layer.mean[g]);
      layer.var[g] += layer.momentum * (square * count / (count - 1) - layer.var[g]);
    }
    layer.inverse[g] = 1 / Math.sqrt(square + eps);
    for (let k = 0; k < count; k++) {
      const i = at(g, k);
      layer.normal[i] = (x[i] - mean) * layer.inverse[g];
      y[i] = (layer.weight ? layer.weight[i % size] : 1) * layer.normal[i] + (layer.bias ? layer.bias[i % size] : 0);
    }
  }
  return y;
}

function normBack(layer, gradY) {
  const { size, groups, count, at, normal, inverse, weight } = layer, gradX = new Float64Array(gradY.length);
  if (weight) layer.gradWeight.fill(0);
  if (layer.bias) layer.gradBias.fill(0);
  gradY.forEach((g, i) => {
    if (weight) layer.gradWeight[i % size] += g * normal[i];
    if (layer.bias) layer.gradBias[i % size] += g;
    gradX[i] = weight ? g * weight[i % size] : g;
  });
  for (let g = 0; g < groups; g++) {
    let mean = 0, product = 0;
    for (let k = 0; k < count; k++) {
      mean += gradX[at(g, k)] / count;
      product += gradX[at(g, k)] * normal[at(g, k)] / count;
    }
    for (let k = 0; k < count; k++) {
      const i = at(g, k);
      gradX[i] = inverse[g] * (layer.fixed ? gradX[i] : gradX[i] - mean - normal[i] * product);
    }
  }
  return [gradX];
}

function linear(layer, x, n) {
  const { in: inside, out, weight, bias } = layer, y = new Float64Array(n * out);
  for (let r = 0; r < n; r++) {
    for (let o = 0; o < out; o++) {
      let sum = bias ? bias[o] : 0;
      for (let i = 0, w = o * inside, at = r * inside; i < inside; i++) sum += weight[w + i] * x[at + i];
      y[r * out + o] = sum;
    }
  }
  return y;
}

function linearBack(layer, gradY, x, n) {
  const { in: inside, out, weight, gradWeight, gradBias } = layer, gradX = layer.wantsGradX ? new Float64Array(n * inside) : null;
  gradWeight.fill(0);
  if (gradBias) gradBias.fill(0);
  for (let r = 0; r < n; r++) {
    for (let o = 0; o < out; o++) {
      const g = gradY[r * out + o];
      if (g === 0) continue;
      if (gradBias) gradBias[o] += g;
      for (let i = 0, w = o * inside, at = r * inside; i < inside; i++) {
        gradWeight[w + i] += g * x[at + i];
        if (gradX) gradX[at + i] += g * weight[w + i];
      }
    }
  }
  return gradX;
}

function lossOf(loss, generated, y, target, n) {
  const size = y.length / n, gradY = new Float64Array(y.length);
  let value = 0;
  if (loss.kind === "softmax") {
    const scale = loss.averages ? 1 / n : 1;
    for (let r = 0; r < n; r++) {
      const row = y.subarray(r * size, (r + 1) * size), top = Math.max(...row);
      let mass = 0;
      for (const each of row) mass += Math.exp(each - top);
      value += scale * (Math.log(mass) + top - row[target[r]]);
      row.forEach((each, k) => { gradY[r * size + k] = scale * (Math.exp(each - top) / mass - (k === target[r] ? 1 : 0)); });
    }
    return { value, gradY };
  }
  const scale = loss.averages ? 1 / y.length : 1;
  for (let i = 0; i < y.length; i++) {
    if (loss.kind === "logits") {
      value += scale * (target[i] * softplus(-y[i]) + (1 - target[i]) * softplus(y[i]));
      gradY[i] = scale * (sigmoid(y[i]) - target[i]);
    } else {
      value += scale * generated.f(y[i], target[i]);
      gradY[i] = scale * generated.d(y[i], target[i]);
    }
  }
  return { value, gradY };
}

class PlayRule {
  // settings: name (SGD, Adam, AdamW, RMSprop), lr, momentum, beta1, beta2, eps, alpha, weight_decay
  constructor(settings) {
    this.settings = settings;
    this.steps = 0;
    this.state = [];
  }

  update(parameters, gradients) {
    this.steps += 1;
    parameters.forEach((w, k) => {
      const state = (this.state[k] ||= { a: new Float64Array(w.length), b: new Float64Array(w.length) });
      this.updateOne(w, gradients[k], state, k);
    });
  }

  updateOne(w, gradient, state, k) {
    const { name, lr, momentum, beta1, beta2, eps, alpha, weight_decay: decay } = this.settings, t = this.steps;
    const isWeight = this.decays ? this.decays[k] : true, coupled = isWeight && name !== "AdamW" ? decay : 0;
    for (let i = 0; i < w.length; i++) {
      if (name === "AdamW" && isWeight) w[i] -= lr * decay * w[i];
      const g = gradient[i] + coupled * w[i];
      if (name === "SGD") {
        state.a[i] = momentum * state.a[i] + g;
        w[i] -= lr * state.a[i];
      } else if (name === "RMSprop") {
        state.b[i] = alpha * state.b[i] + (1 - alpha) * g * g;
        w[i] -= lr * g / (Math.sqrt(state.b[i]) + eps);
      } else {
        state.a[i] = beta1 * state.a[i] + (1 - beta1) * g;
        state.b[i] = beta2 * state.b[i] + (1 - beta2) * g * g;
        w[i] -= lr / (1 - beta1 ** t) * state.a[i] / (Math.sqrt(state.b[i] / (1 - beta2 ** t)) + eps);
      }
    }
  }
}
