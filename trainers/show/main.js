// The frame of the page: title, tabs, keys, themes.

const PRINT = matchMedia("print"), STILL = matchMedia("(prefers-reduced-motion: reduce)");

const PANES = { walk: ["Walk", drawWalk], weight: ["One weight", drawWeight], net: ["Net", drawNet], learning: ["Learning", drawLearning], play: ["Play", drawPlay] };

function facts() {
  const sample = DATA.sample, parts = [];
  if (sample.row !== null) parts.push(`sample ${sample.row} of the ${sample.part} part`);
  if (sample.label !== null) parts.push(`target ${sample.label}`);
  parts.push(`loss ${format(DATA.loss, 6)}`, DATA.dtype, DATA.training ? "training mode" : "evaluation mode");
  return parts.join(" · ");
}

function frame() {
  const tabs = Object.entries(PANES).map(([name, [title]]) => button(title, () => setState({ pane: name }), { role: "tab", id: `tab-${name}`, "aria-controls": "pane" }));
  const tablist = h("div", { role: "tablist", "aria-label": "panes", class: "tabs" }, tabs);
  tablist.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const names = Object.keys(PANES), next = names[(names.indexOf(STATE.pane) + by + names.length) % names.length];
    setState({ pane: next });
    document.getElementById(`tab-${next}`).focus();
  });
  const theme = button("◐", () => setState({ theme: isDark() ? "light" : "dark" }), { "aria-label": "dark or light", class: "theme" });
  const config = DATA.config ? h("details", { class: "config" }, h("summary", {}, "config"), h("pre", {}, DATA.config)) : null;
  return [h("header", {}, h("div", { class: "heading" }, h("h1", {}, DATA.title), theme), h("p", { class: "dim" }, facts()),
    DATA.notes.length ? h("ul", { class: "notes" }, DATA.notes.map((note) => h("li", {}, note))) : null, config), tablist,
  h("main", {}, h("div", { id: "pane", role: "tabpanel" })), h("div", { id: "said", role: "status", class: "said" }),
  h("footer", { class: "dim" }, "Arrow keys left and right: from method to method; with shift: from line to line. In an array, arrow keys move and Enter picks a number. The address of the page keeps the place.")];
}

let drawn = "";

function render() {
  if (!PANES[STATE.pane]) STATE.pane = "walk";
  document.documentElement.dataset.theme = ["dark", "light"].includes(STATE.theme) ? STATE.theme : "";
  for (const name of Object.keys(PANES)) {
    const tab = document.getElementById(`tab-${name}`);
    tab.setAttribute("aria-selected", name === STATE.pane);
    tab.tabIndex = name === STATE.pane ? 0 : -1;
  }
  const pane = document.getElementById("pane"), focus = document.activeElement && document.activeElement.id;
  const scrolled = [...pane.querySelectorAll(".steps, .scroll")].map((each) => [each.scrollLeft, each.scrollTop]);
  pane.setAttribute("aria-labelledby", `tab-${STATE.pane}`);
  pane.replaceChildren(PANES[STATE.pane][1]());
  if (drawn === STATE.pane) [...pane.querySelectorAll(".steps, .scroll")].forEach((each, k) => scrolled[k] && each.scrollTo(...scrolled[k]));
  drawn = STATE.pane;
  const same = focus && document.getElementById(focus);
  if (same && same !== document.activeElement) same.focus({ preventScroll: true });
  if (PRINT.matches) pane.querySelectorAll("details").forEach((each) => { each.open = true; });
  const now = pane.querySelector(".steps [aria-current]");
  if (now) keepInSight(now);
}

function keepInSight(item) {
  const list = item.closest(".steps"), box = item.getBoundingClientRect(), frame = list.getBoundingClientRect();
  if (box.top < frame.top) list.scrollTop += box.top - frame.top - 8;
  if (box.bottom > frame.bottom) list.scrollTop += box.bottom - frame.bottom + 8;
}

document.addEventListener("keydown", (event) => {
  if (STATE.pane !== "walk" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  if (event.shiftKey) goLine(by);
  else go(currentStep() + by);
});

window.addEventListener("hashchange", () => {
  const found = readFragment();
  for (const name of Object.keys(STATE)) STATE[name] = found[name] ?? "";
  render();
});

document.getElementById("page").append(...frame());
listeners.push(render);
render();
for (const query of [matchMedia("(prefers-color-scheme: dark)"), PRINT]) query.addEventListener("change", render);
document.documentElement.dataset.ready = "yes";
