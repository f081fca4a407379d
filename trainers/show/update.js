// The update of one weight: the statements of the optimizer's loops, in their order, with the numbers of this weight.

function updateStep() {
  return DATA.steps.find((step) => step.kind === "update");
}

// { rows: [{ head } or { text, filled, value }], change } of weight `index` of parameter k; change is null where a number is not known.
function updateTerms(k, index) {
  const { optimizer } = updateStep(), parameter = DATA.parameters[k], place = parameter.first + index;
  const w = numberAt({ value: parameter.value, index }), gradient = numberAt({ value: parameter.gradient, index });
  const memory = new Map([["parameters", w], ["gradients", gradient]]), rows = [{ text: "gradients[i]", filled: "", value: gradient }];
  if (optimizer.direction !== undefined) {
    const d = numbersOf(optimizer.direction)[place];
    rows.push({ text: "direction[i]", filled: "", value: d }, { text: "a, the step that the line search has found", filled: `of ${optimizer.tried.length} points tried`, value: optimizer.length });
    return { rows: [...rows, { text: "a * direction[i]", filled: `${format(optimizer.length, 6)} × ${format(d, 6)}`, value: optimizer.length * d }], change: optimizer.length * d };
  }
  let known = optimizer.runs.length > 0;
  for (const run of optimizer.runs) {
    if (place < run.base || place >= run.base + run.count) continue;
    const loop = optimizer.loops[run.loop], i = place - run.base;
    const e = run.slots.map((slot) => readSlot(slot, i, place, run, memory, optimizer));
    const missing = run.slots.filter((slot, n) => e[n] === undefined && (slot.root !== undefined || slot.number === undefined) && isRead(loop.statements, n));
    rows.push({ head: `${loop.name}, line ${loop.first}${run.runs > 1 ? `, the last of ${run.runs} times` : ""}` });
    if (missing.some((slot) => slot.root !== undefined)) {
      rows.push({ head: `${missing.map((slot) => slot.name).join(", ")}: too many numbers for this page` });
      known = false;
      continue;
    }
    runStatements(loop.statements, UPDATE_CODE[run.loop], run.slots, e, rows, (slot, value) => memory.set(keyOf(slot, place, run), value));
  }
  if (!known) for (const name of Object.keys(optimizer.before)) rows.push(...stateRows(optimizer, name, place));
  return { rows, change: known ? memory.get("parameters") - w : null };
}

// A vector with a number for each weight is known by its name, another one by the place in it, too.
function keyOf(slot, place, run) {
  return slot.offset === run.base ? slot.root : `${slot.root} ${slot.offset + place - run.base}`;
}

function readSlot(slot, i, place, run, memory, optimizer) {
  if (slot.root === undefined && slot.value === undefined) return typeof slot.number === "string" ? Number(slot.number.replace("inf", "Infinity")) : slot.number;
  if (slot.value !== undefined) return numbersOf(slot.value)[i]; // as it is when the loop begins
  if (memory.has(keyOf(slot, place, run))) return memory.get(keyOf(slot, place, run));
  const before = optimizer.before[slot.root];
  return before === undefined ? undefined : numbersOf(before)[slot.offset + i];
}

// Whether statements read a slot before they write it.
function isRead(statements, n) {
  for (const each of statements) {
    if (each.filled.includes(n) || (each.target === n && each.sign !== "=")) return true;
    if (each.then && (isRead(each.then, n) || isRead(each.otherwise, n))) return true;
    if (each.target === n) return false;
  }
  return false;
}

// A number without zeros at its end: 0.9.
function shorten(x) {
  if (!Number.isFinite(x)) return String(x).replace("-", "−").replace("Infinity", "∞");
  const text = x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e5) ? String(x.toPrecision(5)) : x.toExponential(4);
  return (text.includes(".") ? text.replace(/\.?0*(e|$)/, "$1") : text).replace("e+", "e").replaceAll("-", "−");
}

function runStatements(statements, code, slots, e, rows, write) {
  for (const each of statements) {
    const filled = each.filled.map((part) => (typeof part === "number" ? shorten(Number(e[part])) : part.replaceAll("*", "×").replaceAll("-", "−"))).join("");
    const found = code[each.code](e);
    if (each.then) {
      rows.push({ text: each.text, filled, value: found ? "yes" : "no" });
      runStatements(found ? each.then : each.otherwise, code, slots, e, rows, write);
      continue;
    }
    const own = e[each.target], value = { "=": found, "+=": own + found, "-=": own - found, "*=": own * found, "/=": own / found }[each.sign];
    rows.push({ text: each.text, filled: each.sign === "=" ? filled : `${shorten(Number(own))} ${each.sign[0].replace("*", "×").replace("-", "−")} ${/^[\w.]+$/.test(filled) ? filled : `(${filled})`}`, value: Number(value) });
    e[each.target] = value;
    if (slots[each.target].root !== undefined) write(slots[each.target], value);
  }
}

// For an update that has no loops over elements: what its vectors were before it, and are after it.
function stateRows(optimizer, name, place) {
  const rows = [{ text: `${name} before`, filled: "", value: numbersOf(optimizer.before[name])[place] }];
  if (name in optimizer.after) rows.push({ text: `${name} after`, filled: "", value: numbersOf(optimizer.after[name])[place] });
  return rows;
}

function updateView(k, index) {
  const change = numberAt({ value: DATA.parameters[k].change, index });
  if (!updateStep()) return h("section", {}, h("h3", {}, "Update"), h("p", { class: "dim" }, "no optimizer was given"));
  const { optimizer } = updateStep(), update = updateTerms(k, index);
  const rows = update.rows.map((row) => (row.head ? h("tr", {}, h("th", { colspan: 3, scope: "rowgroup" }, row.head))
    : h("tr", {}, h("td", { class: "value" }, typeof row.value === "string" ? row.value : format(row.value, 6)), h("td", {}, h("code", {}, row.text)), h("td", { class: "dim" }, row.filled))));
  const total = (value, text, attributes) => h("tr", { class: "total" }, h("td", { class: "value", ...attributes }, format(value, 6)), h("td", { colspan: 2 }, text));
  if (update.change !== null) rows.push(total(update.change, "the change by these lines", { "data-update": update.change }));
  rows.push(total(change, "the change that update has made, in " + DATA.dtype));
  return h("section", { class: "update" }, h("h3", {}, "Update by ", optimizer.label),
    h("p", { class: "dim" }, "The lines of its source that change this weight, number i of all, and what they make; the pane Walk shows them in their place. "),
    h("div", { class: "scroll wide" }, h("table", { class: "terms" }, h("thead", {}, h("tr", {}, h("th", {}, "number"), h("th", {}, "line"), h("th", {}, "with the numbers"))), h("tbody", {}, rows))));
}
