// Small charts as SVG: lines with axes, bars, points.

const SERIES = ["s0", "s1", "s2", "s3", "s4", "s5"], DASHES = [null, "5 3", "2 2", "8 2 2 2"]; // the seventh line has the first colour, dashed

function ticks(low, high, count = 5) {
  const step0 = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(step0));
  const step = [1, 2, 5, 10].map((k) => k * power).find((each) => each >= step0) || 10 * power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9 && found.length < 12; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

function logTicks(low, high) {
  if (high / low < 20) return ticks(low, high).filter((each) => each > 0);
  const found = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) found.push(10 ** k);
  const thin = Math.ceil(found.length / 6);
  return found.filter((each, k) => k % thin === 0 && each >= low / 1.01 && each <= high * 1.01);
}

// series: [{ name, x, y, dash, colour }], colour by default the place in the list; options: { log, logX, xName, title, mark }
function lineChart(series, options = {}) {
  const width = 420, height = 230, left = 58, right = 14, top = 14, bottom = 34;
  const good = (y) => y !== null && Number.isFinite(y) && (!options.log || y > 0);
  const points = series.map((each) => each.y.map((y, k) => [each.x[k], y]).filter(([x, y]) => good(y) && Number.isFinite(x)));
  const all = points.flat();
  if (!all.length) return h("p", { class: "dim" }, `${options.title}: no numbers`);
  const spread = (values, log) => {
    let low = Math.min(...values), high = Math.max(...values);
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) / 2 || 1), high + (Math.abs(high) / 2 || 1)];
    return [low, high];
  };
  const [x0, x1] = spread(all.map(([x]) => x), options.logX), [y0, y1] = spread(all.map(([, y]) => y), options.log);
  const scale = (at, low, high, from, to, log) => {
    const t = log ? Math.log(at / low) / Math.log(high / low) : (at - low) / (high - low);
    return from + (to - from) * t;
  };
  const px = (x) => scale(x, x0, x1, left, width - right, options.logX), py = (y) => scale(y, y0, y1, height - bottom, top, options.log);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart", "aria-label": describe(series, options) });
  for (const y of options.log ? logTicks(y0, y1) : ticks(y0, y1)) {
    chart.append(svg("line", { x1: left, x2: width - right, y1: py(y), y2: py(y), class: "grid" }),
      svg("text", { x: left - 6, y: py(y) + 4, "text-anchor": "end" }, formatTick(y)));
  }
  for (const x of options.logX ? logTicks(x0, x1) : ticks(x0, x1)) {
    chart.append(svg("text", { x: px(x), y: height - bottom + 16, "text-anchor": "middle" }, formatTick(x)));
  }
  if (options.mark !== undefined) chart.append(svg("line", { x1: left, x2: width - right, y1: py(options.mark), y2: py(options.mark), class: "mark" }));
  const colourOf = (k) => series[k].colour ?? k, dashOf = (k) => (series[k].dash ? DASHES[1] : DASHES[Math.floor(colourOf(k) / 6) % 4]);
  points.forEach((line, k) => {
    const path = line.map(([x, y], n) => `${n ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
    chart.append(svg("path", { d: path, class: `line ${SERIES[colourOf(k) % 6]}`, "stroke-dasharray": dashOf(k) }));
    if (line.length < 16) line.forEach(([x, y]) => chart.append(svg("circle", { cx: px(x), cy: py(y), r: 3, class: `dot ${SERIES[colourOf(k) % 6]}` }, svg("title", {}, `${series[k].name}: ${format(y)} at ${format(x)}`))));
  });
  chart.append(svg("text", { x: (left + width - right) / 2, y: height - 2, "text-anchor": "middle", class: "axis" }, options.xName || ""));
  const swatch = (k) => svg("svg", { viewBox: "0 0 22 4", class: "swatch", "aria-hidden": "true" }, svg("path", { d: "M0 2H22", class: `line ${SERIES[colourOf(k) % 6]}`, "stroke-dasharray": dashOf(k) }));
  const legend = series.length > 1 || series[0].colour ? h("div", { class: "legend" }, series.map((each, k) => h("span", { class: "key" }, swatch(k), each.name))) : null;
  return h("figure", { class: "chartbox" }, h("figcaption", {}, h("b", {}, options.title || "")), chart, legend);
}

function describe(series, options) {
  const parts = series.map((each) => `${each.name} from ${format(each.y[0])} to ${format(each.y[each.y.length - 1])}`);
  return `chart of ${options.title || "numbers"} by ${options.xName || "x"}: ${parts.join("; ")}`;
}

function barChart(bins, title) {
  const width = 190, height = 84, high = Math.max(...bins.counts, 1), wide = width / bins.counts.length;
  const label = `histogram of ${title}, from ${format(bins.low)} to ${format(bins.high)}`;
  return svg("svg", { viewBox: `0 0 ${width} ${height + 16}`, class: "bars", role: "img", "aria-label": label },
    bins.counts.map((count, k) => svg("rect", { x: k * wide, width: Math.max(wide - 0.6, 0.5), y: height - height * count / high, height: height * count / high }, svg("title", {}, `${count} numbers`))),
    svg("text", { x: 0, y: height + 13 }, format(bins.low, 2)), svg("text", { x: width, y: height + 13, "text-anchor": "end" }, format(bins.high, 2)));
}

function scatterChart(x, y, options) {
  const size = 320, edge = 40, low = Math.min(...x, ...y), high = Math.max(...x, ...y), span = high - low || 1;
  const place = (each) => edge + (size - edge - 10) * (each - low) / span;
  const chart = svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "chart", role: "img", "aria-label": `${x.length} points: ${options.title}` });
  chart.append(svg("line", { x1: edge, y1: size - edge, x2: size - 10, y2: 10, class: "mark" }));
  for (const each of ticks(low, high, 4)) {
    chart.append(svg("text", { x: place(each), y: size - edge + 16, "text-anchor": "middle" }, formatTick(each)),
      svg("text", { x: edge - 5, y: size - place(each) + 4, "text-anchor": "end" }, formatTick(each)));
  }
  Array.from(x, (each, k) => chart.append(svg("circle", { cx: place(each), cy: size - place(y[k]), r: 2.5, class: "point s0" })));
  chart.append(svg("text", { x: size / 2, y: size - 6, "text-anchor": "middle", class: "axis" }, options.xName));
  return h("figure", { class: "chartbox" }, h("figcaption", {}, h("b", {}, options.title)), chart);
}
