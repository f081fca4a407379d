// Derivatives dy/dx of single numbers: by recorded rows of a Jacobian, or by the formula of a layer whose outputs depend
// on few inputs. Each kind has row(form, k, { module, x, y }), the inputs of output k as [i, derivative], and column, the
// outputs of input i as [k, derivative]; x and y are the values that fprop has read and made.

const LOCAL = {
  jacobian: { row: jacobianRow, column: jacobianColumn },
  norm: inBlocks(normParts),
  softmax: inBlocks(softmaxParts),
  average: { row: averageRow, column: averageColumn },
};

const computed = (number, module) => ({ number, name: `dy/dx of ${module.short}` });

// Layers that take the numbers of a block together: { members(i), derivative(k, i) }.
function inBlocks(parts) {
  return {
    row: (form, k, { module, x, y }) => {
      const { members, derivative } = parts(form, x, y, module);
      return members(k).map((i) => [i, computed(derivative(k, i), module)]);
    },
    column: (form, i, { module, x, y }) => {
      const { members, derivative } = parts(form, x, y, module);
      return members(i).map((k) => [k, computed(derivative(k, i), module)]);
    },
  };
}

// -- recorded rows -------------------------------------------------------------------------------------------------------

const rowsOfForms = new Map(); // of a form whose rows are of some outputs: the place of each

function placeOfRow(form, k) {
  if (form.rows === undefined) return k;
  if (!rowsOfForms.has(form)) rowsOfForms.set(form, new Map(Array.from(numbersOf(form.rows), (output, place) => [output, place])));
  return rowsOfForms.get(form).get(k) ?? null;
}

// A row, dense or its largest numbers; null where it is not recorded.
function jacobianRow(form, k, { module }) {
  const place = placeOfRow(form, k);
  if (place === null) return null;
  if (form.dense !== undefined) {
    return Array.from({ length: form.columns }, (_, i) => [i, computed(numbersOf(form.dense)[place * form.columns + i], module)]).filter(([, d]) => numberAt(d) !== 0);
  }
  const kept = DATA.values[form.sparse.values].shape[1];
  return Array.from({ length: kept }, (_, j) => [numbersOf(form.sparse.columns)[place * kept + j], computed(numbersOf(form.sparse.values)[place * kept + j], module)])
    .filter(([, d]) => numberAt(d) !== 0);
}

const columnsOfForms = new Map(); // of a Jacobian: the rows in which each input occurs

function jacobianColumn(form, i, context) {
  if (!columnsOfForms.has(form)) {
    const columns = new Map();
    const outputs = form.rows === undefined ? numbersOf(context.y).keys() : numbersOf(form.rows);
    for (const k of outputs) {
      for (const [column, d] of jacobianRow(form, k, context)) {
        if (!columns.has(column)) columns.set(column, []);
        columns.get(column).push([k, d]);
      }
    }
    columnsOfForms.set(form, columns);
  }
  return columnsOfForms.get(form).get(i) || [];
}

// -- norms and softmax -----------------------------------------------------------------------------------------------------

const partsOfForms = new Map();

// y = weight x̂ + bias, x̂ = (x − μ) / σ: dy[k]/dx[i] = weight (δ − 1/n − x̂[k] x̂[i] / n) / σ, without 1/n if it does not centre;
// weight δ / σ where mean and σ are given numbers.
function normParts(form, x, y, module) {
  if (partsOfForms.has(form)) return partsOfForms.get(form);
  const numbers = numbersOf(x), inverse = numbersOf(form.inverse), { size, channels, places } = form;
  const weight = parameterOf(module, "weight");
  const blockOf = (i) => (size ? Math.floor(i / size) : Math.floor(i / places) % channels);
  const listBlock = (b) => (size ? Array.from({ length: size }, (_, a) => b * size + a)
    : Array.from({ length: form.rows * places }, (_, a) => (Math.floor(a / places) * channels + b) * places + (a % places)));
  const blocks = Array.from(inverse, (_, b) => listBlock(b));
  const means = form.mean !== undefined ? numbersOf(form.mean) : blocks.map((block) => (form.centred ? block.reduce((a, i) => a + numbers[i], 0) / block.length : 0));
  const weightOf = (i) => (channels ? Math.floor(i / places) % channels : i % size);
  const normal = (i) => (numbers[i] - means[blockOf(i)]) * inverse[blockOf(i)];
  const parts = { weightOf, normal, members: (i) => (form.mean !== undefined ? [i] : blocks[blockOf(i)]),
    derivative: (k, i) => {
      if (form.mean !== undefined) return inverse[blockOf(k)] * (weight ? numbersOf(weight.value)[weightOf(k)] : 1);
      const n = blocks[blockOf(k)].length, scale = inverse[blockOf(k)] * (weight ? numbersOf(weight.value)[weightOf(k)] : 1);
      return scale * ((k === i ? 1 : 0) - (form.centred ? 1 / n : 0) - normal(k) * normal(i) / n);
    } };
  partsOfForms.set(form, parts);
  return parts;
}

// y[k] = exp x[k] / Σ exp x: dy[k]/dx[i] = y[k] (δ − y[i]); of its logarithm δ − exp y[i].
function softmaxParts(form, x, y) {
  const numbers = numbersOf(y), { size, places } = form;
  const first = (i) => Math.floor(i / (size * places)) * size * places + (i % places);
  return { members: (i) => Array.from({ length: size }, (_, a) => first(i) + a * places),
    derivative: (k, i) => {
      const delta = k === i ? 1 : 0;
      return form.logarithm ? delta - Math.exp(numbers[i]) : numbers[k] * (delta - numbers[i]);
    } };
}

// -- average pooling: windows by the tables (first place, end, places counted) of rows and of columns ------------------------

function averageSizes(form, { x, y, module }) {
  const [, , high, wide] = shapeOf(x), [, , rows, columns] = shapeOf(y);
  const down = numbersOf(form.down), across = numbersOf(form.across);
  const share = (r, c) => computed(1 / (form.divisor || down[3 * r + 2] * across[3 * c + 2]), module);
  return { high, wide, rows, columns, down, across, share };
}

function averageRow(form, k, context) {
  const { high, wide, rows, columns, down, across, share } = averageSizes(form, context), found = [];
  const c = k % columns, r = Math.floor(k / columns) % rows, plane = Math.floor(k / (rows * columns));
  for (let i = down[3 * r]; i < down[3 * r + 1]; i++) {
    for (let j = across[3 * c]; j < across[3 * c + 1]; j++) found.push([(plane * high + i) * wide + j, share(r, c)]);
  }
  return found;
}

function averageColumn(form, i, context) {
  const { high, wide, rows, columns, down, across, share } = averageSizes(form, context), found = [];
  const b = i % wide, a = Math.floor(i / wide) % high, plane = Math.floor(i / (high * wide));
  for (let r = 0; r < rows; r++) {
    if (a < down[3 * r] || a >= down[3 * r + 1]) continue;
    for (let c = 0; c < columns; c++) {
      if (b >= across[3 * c] && b < across[3 * c + 1]) found.push([(plane * rows + r) * columns + c, share(r, c)]);
    }
  }
  return found;
}
