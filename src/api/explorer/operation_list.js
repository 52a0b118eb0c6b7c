// The list of operations: first those of a ride, step by step, then the others by tag; with a search over names and texts.

import { el } from "./elements.js";
import { RIDE } from "./ride_steps.js";

/** Returns the groups of the list: `{name, description, isOrdered, operations}`. */
export function groups(api) {
  const ride = RIDE.map((id) => api.byId.get(id)).filter(Boolean);
  const others = (api.json.tags ?? []).map(({ name, description }) => ({
    name,
    description,
    operations: api.operations.filter((operation) => operation.tag === name && !ride.includes(operation)),
  }));
  const first = {
    name: "a ride",
    description: "From the price to the tip, step by step.",
    isOrdered: true,
    operations: ride,
  };
  return [first, ...others].filter(({ operations }) => operations.length > 0);
}

/** Everything that the search reads of an operation. */
function searchable({ id, method, path, tag, summary, description, parameters, responses }) {
  const texts = parameters.flatMap((one) => [one.name, one.description]).concat(responses.map((one) => one.description));
  return [id, method, path, tag, summary, description, ...texts].join(" ").toLowerCase();
}

/** Returns the list: `{element, select}`. `select` marks the operation that is shown. */
export function operationList(api) {
  const entries = [];
  const sections = groups(api).map((group) => {
    const items = group.operations.map((operation) => {
      const link = el(
        "a",
        { href: `#${operation.id}` },
        el("span", { class: `method ${operation.method.toLowerCase()}` }, operation.method),
        el("span", {}, operation.summary),
      );
      const item = el("li", {}, link);
      entries.push({ operation, link, item, text: searchable(operation) });
      return item;
    });
    const heading = el("h2", {}, group.name);
    const note = el("p", { class: "muted small" }, group.description);
    return el("section", {}, heading, note, el(group.isOrdered ? "ol" : "ul", {}, ...items));
  });
  const count = el("p", { class: "muted small", role: "status" });
  const search = el("input", {
    type: "search",
    id: "search-operations",
    placeholder: "Search names and texts",
    "aria-keyshortcuts": "/",
    autocomplete: "off",
    spellcheck: "false",
  });

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { item, text } of entries) item.hidden = !words.every((word) => text.includes(word));
    for (const section of sections) section.hidden = section.querySelector("li:not([hidden])") === null;
    const found = entries.filter(({ item }) => !item.hidden).length;
    count.textContent = words.length === 0 ? `${entries.length} operations` : `${found} of ${entries.length} operations`;
  }
  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const first = entries.find(({ item }) => !item.hidden);
    if (first) location.hash = first.operation.id;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, textarea, select")) return;
    event.preventDefault();
    search.focus();
  });
  filter();

  function select(operation) {
    for (const entry of entries) {
      if (entry.operation === operation) entry.link.setAttribute("aria-current", "page");
      else entry.link.removeAttribute("aria-current");
    }
    entries.find((entry) => entry.operation === operation)?.link.scrollIntoView({ block: "nearest" });
  }

  const label = el("label", { for: search.id, class: "unseen" }, "Search the operations");
  return { element: [label, search, count, ...sections], select };
}
