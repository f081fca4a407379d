// Views of arrays: numbers where they are few, an image where they are many; each can be picked, by mouse or keys.

const FEW = 160, WIDE = 10, TALL = 40;

// Rows and columns of an array: the last axis is a row, the one before it gives the rows, all others are tiles.
function layOut(shape) {
  const axes = shape.filter((size, axis) => size > 1 || axis >= shape.length - 1);
  const columns = axes.length ? axes[axes.length - 1] : 1;
  const rows = axes.length > 1 ? axes[axes.length - 2] : 1;
  return { columns, rows, tiles: sizeOf(axes.slice(0, -2)), group: axes.length > 2 ? axes[axes.length - 3] : 1 };
}

const asked = new Map(); // by the number of a value: whether it is shown as numbers, where that was chosen
const zooms = new Map(); // by how much an image is larger than at first
const MOST_ZOOM = 16, MOST_PIXELS = 8000; // along a side

function arrayView(id, title, options = {}) {
  const value = DATA.values[id], numbers = numbersOf(id), kept = numbers.length;
  const stats = range(numbers);
  const sizes = kept > 1 ? `${format(stats.low)} to ${format(stats.high)}, rms ${format(stats.rms)}` : "";
  const head = h("figcaption", {}, h("b", {}, title), " ", formatShape(value.shape), " ", h("span", { class: "dim" }, sizes));
  const readout = h("div", { class: "readout", "aria-live": "off" });
  const figure = h("figure", { class: "array" }, head);
  const layout = layOut(value.shape);
  const few = kept <= FEW && layout.columns <= WIDE && layout.rows <= TALL;
  const view = { id, layout, numbers, stats, readout, options, title, shape: value.shape };
  const draw = () => {
    const asNumbers = asked.get(id) ?? few;
    figure.replaceChildren(head, asNumbers ? numberTable(view) : image(view), readout);
    const small = (text, name, action, label) => button(text, () => {
      action();
      draw();
      const same = document.getElementById(`${name}-${id}`);
      if (same) same.focus();
    }, { class: "small", id: `${name}-${id}`, "aria-label": label });
    const buttons = kept > 1 && kept <= 4096 ? [" ", small(asNumbers ? "image" : "numbers", "kind", () => asked.set(id, !asNumbers), `show ${title} as ${asNumbers ? "an image" : "numbers"}`)] : [];
    if (!asNumbers && kept > 1) buttons.push(" ", small("−", "smaller", () => zoom(view, 1 / 2), `image of ${title} smaller`), " ", small("+", "larger", () => zoom(view, 2), `image of ${title} larger`));
    head.replaceChildren(...[...head.childNodes].slice(0, 5), ...buttons);
  };
  view.draw = draw;
  draw();
  if (value.kept) figure.append(h("p", { class: "cut" }, `Cut off: the page keeps the first ${value.kept.toLocaleString("en")} of these ${sizeOf(value.shape).toLocaleString("en")} numbers; the range and the rms are of these.`));
  const known = termsKnown(id);
  if (known) figure.append(h("p", { class: "dim" }, known));
  return figure;
}

// Twice or half as large; the image is at least as large as it was at first.
function zoom(view, by) {
  const { wide, high, zoom: first } = arrange(view.layout, sizeOf(view.shape)), now = (zooms.get(view.id) || 1) * by;
  if (now >= 1 && now <= MOST_ZOOM && Math.max(wide, high) * first * now <= MOST_PIXELS) zooms.set(view.id, now);
}

function show(view, index) {
  const cut = cutOff({ value: view.id, index });
  view.readout.textContent = cut ? `${nameOf({ value: view.id, index })}: ${cut}` : `${nameOf({ value: view.id, index })} = ${format(view.numbers[index], 7)}${tokenOf(view.id, view.numbers[index])}`;
}

// The text of a token, of the whole numbers that go into the model and of its targets.
function tokenOf(id, number) {
  const { tokens } = DATA.sample, isToken = DATA.values[id].type === "i4" && (id === DATA.target || DATA.steps[0].inputs.includes(id));
  return tokens && isToken && tokens[number] !== undefined ? `, the token ${JSON.stringify(tokens[number])}` : "";
}

function pick(view, index) {
  const ref = resolve({ value: view.id, index });
  setState({ pick: `${ref.value}:${ref.index}` });
  say(cutOff(ref) ? `${nameOf(ref)}: ${cutOff(ref)}` : `${nameOf(ref)} is ${format(view.numbers[index], 7)}`);
}

function moved(key, index, layout, count) {
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: layout.columns, ArrowUp: -layout.columns }[key];
  return by === undefined || index + by < 0 || index + by >= count ? index : index + by;
}

function numberTable(view) {
  const { layout, numbers } = view;
  const body = h("tbody", {});
  for (let row = 0; row * layout.columns < numbers.length; row++) {
    const cells = [];
    for (let k = row * layout.columns; k < Math.min((row + 1) * layout.columns, numbers.length); k++) {
      cells.push(h("td", { "data-index": k, id: `cell-${view.id}-${k}`, tabindex: k ? -1 : 0, class: picked(view.id, k) ? "picked" : null }, format(numbers[k])));
    }
    body.append(h("tr", { class: row && row % layout.rows === 0 ? "tile" : null }, cells));
  }
  const table = h("table", { class: "numbers", role: "grid", "aria-readonly": "true", "aria-label": `${view.title}, ${formatShape(view.shape)}` }, body);
  const at = (event) => (event.target.dataset.index === undefined ? null : Number(event.target.dataset.index));
  table.addEventListener("pointerover", (event) => at(event) !== null && show(view, at(event)));
  table.addEventListener("focusin", (event) => at(event) !== null && show(view, at(event)));
  table.addEventListener("click", (event) => at(event) !== null && pick(view, at(event)));
  table.addEventListener("keydown", (event) => {
    const index = at(event);
    if (index === null || event.shiftKey) return;
    if (event.key === "Enter") pick(view, index);
    const next = moved(event.key, index, layout, numbers.length);
    if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      event.stopPropagation();
      table.querySelector(`[data-index="${next}"]`).focus();
    }
  });
  return h("div", { class: "scroll" }, table);
}

function picked(id, index) {
  return STATE.pick === `${resolve({ value: id, index }).value}:${index}`;
}

// -- images --------------------------------------------------------------------------------------------------------------

// Tiles side by side in as many columns as fit; a vector is folded into rows.
function arrange(layout, count) {
  let { columns, rows, tiles } = layout;
  const folded = rows === 1 && tiles === 1 && columns > 32;
  if (folded) {
    const side = Math.ceil(Math.sqrt(columns));
    rows = Math.ceil(columns / side);
    columns = side;
  }
  let across = Math.max(1, Math.min(tiles, Math.floor(560 / ((columns + 1) * Math.max(2, Math.min(8, Math.floor(48 / columns)))))));
  if (across > layout.group) across -= across % layout.group;
  const wide = across * (columns + 1) - 1, high = Math.ceil(tiles / across) * (rows + 1) - 1;
  const zoom = Math.max(1, Math.min(16, Math.floor(Math.min(560 / wide, 320 / Math.min(high, 320)))));
  const place = (index) => {
    const tile = folded ? 0 : Math.floor(index / (columns * rows));
    const inside = folded ? index : index % (columns * rows);
    return [(tile % across) * (columns + 1) + (inside % columns),
      Math.floor(tile / across) * (rows + 1) + Math.floor(inside / columns)];
  };
  const find = (x, y) => {
    const column = Math.floor(x / (columns + 1)), row = Math.floor(y / (rows + 1));
    if (x % (columns + 1) === columns || y % (rows + 1) === rows || column >= across) return null;
    const index = (row * across + column) * columns * rows + (y % (rows + 1)) * columns + (x % (columns + 1));
    return index < count ? index : null;
  };
  return { wide, high, zoom, place, find };
}

const cursors = new Map(); // where the keys have moved in each image

function image(view) {
  const { numbers, stats } = view;
  const plan = arrange(view.layout, sizeOf(view.shape)), times = zooms.get(view.id) || 1; // of an array that is cut off, the rest is empty
  plan.zoom *= times;
  const label = `image of ${view.title}, ${formatShape(view.shape)}, from ${format(stats.low)} to ${format(stats.high)}; `
    + "arrow keys move, Enter picks a number, plus and minus change its size";
  const canvas = h("canvas", { width: plan.wide * plan.zoom, height: plan.high * plan.zoom, id: `canvas-${view.id}`, tabindex: 0, class: times > 1 ? "zoomed" : null, role: "application", "aria-roledescription": "image of numbers", "aria-label": label });
  let cursor = cursors.get(view.id) ?? -1;
  const paint = () => {
    paintImage(canvas, numbers, stats, plan);
    const chosen = STATE.pick.split(":");
    const marks = [cursor, Number(chosen[0]) === resolve({ value: view.id, index: 0 }).value ? Number(chosen[1]) : -1];
    const context = canvas.getContext("2d");
    context.strokeStyle = colour("text");
    context.lineWidth = 2;
    for (const index of marks.filter((each) => each >= 0 && each < numbers.length)) {
      const [x, y] = plan.place(index);
      context.strokeRect(x * plan.zoom - 1, y * plan.zoom - 1, plan.zoom + 2, plan.zoom + 2);
    }
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left) / box.width * plan.wide);
    return plan.find(x, Math.floor((event.clientY - box.top) / box.height * plan.high));
  };
  canvas.addEventListener("pointermove", (event) => at(event) !== null && show(view, at(event)));
  canvas.addEventListener("click", (event) => at(event) !== null && pick(view, at(event)));
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && cursor >= 0) pick(view, cursor);
    if (event.key === "+" || event.key === "-") {
      zoom(view, event.key === "+" ? 2 : 1 / 2);
      view.draw();
      document.getElementById(`canvas-${view.id}`).focus();
    }
    if (!event.key.startsWith("Arrow") || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    cursor = cursor < 0 ? 0 : moved(event.key, cursor, view.layout, numbers.length);
    cursors.set(view.id, cursor);
    show(view, cursor);
    say(view.readout.textContent);
    paint();
  });
  paint();
  return h("div", { class: "scroll" }, canvas);
}

// Blue below zero, vermilion above, as Okabe and Ito's palette; zero is the ground.
function signedColour(share, dark) {
  const end = share < 0 ? [0, 114, 178] : [213, 94, 0], ground = dark ? 30 : 255, t = Math.min(1, Math.abs(share));
  return end.map((part) => Math.round(ground + (part + (dark ? 40 * t : 0) - ground) * t));
}

function isDark() {
  return !PRINT.matches && colour("dark") === "1";
}

function paintImage(canvas, numbers, stats, plan) {
  const context = canvas.getContext("2d"), dark = isDark();
  const small = document.createElement("canvas");
  small.width = plan.wide;
  small.height = plan.high;
  const pixels = small.getContext("2d").createImageData(plan.wide, plan.high);
  const top = Math.max(Math.abs(stats.low), Math.abs(stats.high)) || 1;
  for (let index = 0; index < numbers.length; index++) {
    const [x, y] = plan.place(index);
    pixels.data.set([...signedColour(numbers[index] / top, dark), 255], 4 * (y * plan.wide + x));
  }
  small.getContext("2d").putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}
