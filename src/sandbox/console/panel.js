// Parts of the inspector's panels: a head, facts, and sections that load their content when opened.

import { emit } from "./bus.js";
import { h, update } from "./dom.js";

/** The head of a panel. Each update replaces `badges`. */
export function head(kind, id, badges) {
  const copy = h("button.quiet.small", { type: "button", onclick: () => copied(copy, id) }, "Copy id");
  return h(
    "header.head",
    {},
    h("button.quiet.back", { type: "button", onclick: () => emit("select", null) }, "← Latest trips"),
    h("div.row", {}, h("h2", {}, kind[0].toUpperCase() + kind.slice(1)), badges),
    id && h("div.row", {}, h("code.id", {}, id), copy),
  );
}

async function copied(button, text) {
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy id"), 1500);
}

/** Pairs of a name and a value; pairs without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== false);
  return h(
    "dl.facts",
    {},
    known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

/**
 * An expandable section. `read()` is called when it opens, and when `refresh` is called while it is open. It returns
 * `{data, note, show}`: the data, a short text for its head, and a function that makes its content; or null.
 */
export function section(title, read, { open = false } = {}) {
  const note = h("span.note");
  const body = h("div.body");
  const details = h("details", { open }, h("summary", {}, title, note), body);
  let isReading = false;
  const refresh = async () => {
    if (!details.open || isReading) return;
    isReading = true;
    const found = await read();
    isReading = false;
    if (!found) return;
    note.textContent = found.note ?? "";
    update(body, found.data, found.show);
  };
  details.addEventListener("toggle", refresh);
  return { details, refresh };
}

/** What a section shows when the service refuses the request. */
export const absent = (answer, sentence) => ({ data: answer.status, show: () => apology(answer, sentence) });

/** Explains why an object is not shown. */
export function apology(answer, sentence) {
  return h("p.muted", {}, answer.status === 404 ? sentence : (answer.body?.detail ?? "The service is not responding."));
}

/** A table; the columns named in `amounts` are right-aligned. */
export function table(caption, columns, rows, amounts = []) {
  const cell = (name) => (value, index) =>
    h(amounts.includes(columns[index]) ? `${name}.amount` : name, name === "th" ? { scope: "col" } : {}, value);
  return h(
    "div.scroll",
    { tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, columns.map(cell("th")))),
      h(
        "tbody",
        {},
        rows.map(({ cells, mark }) => h(mark ? `tr.${mark}` : "tr", {}, cells.map(cell("td")))),
      ),
    ),
  );
}
