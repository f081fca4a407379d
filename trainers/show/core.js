// The data of the page, elements made of text that is never read as HTML, and the state in the URL's fragment.

const DATA = JSON.parse(document.getElementById("data").textContent);

function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return element;
}

function button(text, action, attributes) {
  return h("button", { type: "button", onclick: action, ...attributes }, text);
}

// For elements with the role of a button: Enter and space press it.
function pressed(action) {
  return (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    action();
  };
}

// -- numbers as text -------------------------------------------------------------------------------------------------

function format(x, digits = 4) {
  if (x === null || x === undefined) return "–";
  if (typeof x === "string") return x;
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return String(x).replace("-", "−");
  if (!Number.isFinite(x)) return String(x).replace("-", "−");
  const size = Math.abs(x);
  const text = size >= 1e5 || size < 1e-4 ? x.toExponential(digits - 1) : x.toPrecision(digits);
  return text.replace("e+", "e").replaceAll("-", "−");
}

function formatTick(x) {
  const text = Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential() : String(Number(x.toPrecision(6)));
  return text.replace("e+", "e").replaceAll("-", "−");
}

function formatShape(shape) {
  return shape.length ? "(" + shape.join(", ") + (shape.length === 1 ? ",)" : ")") : "a number";
}

// -- the state, which is the URL's fragment: a link shows the same thing -----------------------------------------------

const STATE = { pane: "walk", step: "0", line: "", pick: "", weight: "", frame: "", play: "", theme: "", ...readFragment() };
const listeners = [];

function readFragment() {
  const found = {};
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value] = part.split("=");
    try {
      if (name && value !== undefined) found[decodeURIComponent(name)] = decodeURIComponent(value);
    } catch (error) { /* a fragment that somebody cut */ }
  }
  return found;
}

// `quietly`: whoever calls has drawn the change already.
function setState(changes, quietly = false) {
  Object.assign(STATE, changes);
  const text = Object.entries(STATE).filter(([, value]) => value !== "")
    .map(([name, value]) => encodeURIComponent(name) + "=" + encodeURIComponent(value)).join("&");
  try {
    history.replaceState(null, "", "#" + text);
  } catch (error) { /* in a notebook's frame there is no history */ }
  if (!quietly) listeners.forEach((listener) => listener());
}

function wholeNumber(text, low, high, otherwise) {
  const number = Number.parseInt(text, 10);
  return Number.isInteger(number) ? Math.min(Math.max(number, low), high) : otherwise;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}
