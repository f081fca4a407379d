// A small training of its own: Linear layers and the units and the loss that Python has translated, in float64.
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

class PlayNet {
  // layers: [{ kind: "linear", in, out, weight, bias }, { kind: "unit", unit }], weight and bias Float64Arrays or null.
  constructor(layers, loss, generated) {
    this.layers = layers.map((each) => ({ ...each }));
    this.loss = loss;
    this.generated = generated;
    this.parameters = this.layers.flatMap((each) => (each.kind === "linear" ? [each.weight, each.bias].filter(Boolean) : []));
    this.gradients = this.parameters.map((each) => new Float64Array(each.length));
  }

  // y of n rows x; keeps what backward needs.
  forward(x, n) {
    for (const layer of this.layers) {
      layer.x = x;
      x = layer.kind === "linear" ? linear(layer, x, n) : apply(this.generated.units[layer.unit].f, layer, x);
      layer.y = x;
    }
    return x;
  }

  // The loss of outputs y, and grad_y.
  measure(y, target, n) {
    return lossOf(this.loss, this.generated.loss, y, target, n);
  }

  // Gradients of all parameters, from grad_y.
  backward(gradY, n) {
    let k = this.gradients.length;
    for (const layer of this.layers.slice().reverse()) {
      if (layer.kind === "unit") {
        const d = this.generated.units[layer.unit].d;
        gradY = gradY.map((g, i) => g * Number(d(layer.x[i], layer.y[i])));
        continue;
      }
      const bias = layer.bias ? this.gradients[--k] : null, weight = this.gradients[--k];
      gradY = linearBack(layer, gradY, n, weight, bias, layer !== this.layers.find((each) => each.kind === "linear"));
    }
  }

  step(x, target, n, rule) {
    const { value, gradY } = this.measure(this.forward(x, n), target, n);
    this.backward(gradY, n);
    rule.update(this.parameters, this.gradients);
    return value;
  }
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

function apply(f, layer, x) {
  return x.map((each) => Number(f(each)));
}

function linearBack(layer, gradY, n, gradWeight, gradBias, wantsGradX) {
  const { in: inside, out, weight, x } = layer, gradX = wantsGradX ? new Float64Array(n * inside) : null;
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
