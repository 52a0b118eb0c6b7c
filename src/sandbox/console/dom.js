// Helpers for elements, and the formats of numbers.

/**
 * Makes an element: `h("p.note", {id: "x", onclick: f}, "text", child, …)`. Properties that start with "on" are listeners,
 * `null` and `false` are left out, `true` is an empty attribute. Children that are null or false are left out as well.
 * Text stays text: input never becomes markup.
 */
export function h(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElement(tag), classes, properties, children);
}

/** The same for SVG. */
export function svg(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), classes, properties, children);
}

function fill(element, classes, properties, children) {
  if (classes.length > 0) element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const shownKeys = new WeakMap();

/**
 * Shows what `make` returns in an element if `data` differs from the previous value, so that a poll without changes does not
 * disturb a selection or the focus. The focus stays on the element with the same `data-focus`.
 */
export function update(element, data, make) {
  const key = JSON.stringify(data);
  if (shownKeys.get(element) === key) return;
  shownKeys.set(element, key);
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  element.replaceChildren(...[make()].flat().filter(Boolean));
  if (focused) element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

const minorUnits = { JPY: 0, KRW: 0, VND: 0, CLP: 0, ISK: 0 };

/** `{amount: 1234, currency: "USD"}` as "$12.34". */
export function money(value) {
  if (!value) return "–";
  const digits = minorUnits[value.currency] ?? 2;
  const format = new Intl.NumberFormat("en-US", { style: "currency", currency: value.currency });
  return format.format(value.amount / 10 ** digits);
}

/** What a person does to choose something: fingers do not click. */
export const CLICK = matchMedia("(pointer: coarse)").matches ? "Tap" : "Click";

/** Meters as "850 m" or "3.2 km". */
export const meters = (m) => (m < 1000 ? `${Math.round(m)} m` : `${(m / 1000).toFixed(1)} km`);

/** Seconds as "45 s", "8 min" or "2 h 05". */
export function seconds(s) {
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${String(Math.round((s % 3600) / 60)).padStart(2, "0")}`;
}

/** A time stamp as "14:03:27". */
export const time = (stamp) => (stamp ? stamp.slice(11, 19) : "–");

/** `in_progress` as "in progress". */
export const words = (name) => String(name ?? "–").replaceAll("_", " ");

/** Returns the end of an id: ids begin with their time of creation, so only the end differs. */
export const short = (id) => (id ? `${id.slice(0, id.indexOf("_"))}…${id.slice(-5)}` : "–");
