// What the inspector's panels are built of: a head, facts, and sections that read their content when they are open.

import { emit } from "./bus.js";
import { h, update } from "./dom.js";

/** The head of a panel. `badges` is replaced by whoever shows news. */
export function head(kind, id, badges) {
  const copy = h("button.quiet.small", { type: "button", onclick: () => copied(copy, id) }, "Copy id");
  return h(
    "header.head",
    {},
    h("button.quiet.back", { type: "button", onclick: () => emit("select", null) }, "← Latest trips"),
    h("div.row", {}, h("h2", {}, kind[0].toUpperCase() + kind.slice(1)), badges),
    h("div.row", {}, h("code.id", {}, id), copy),
  );
}

async function copied(button, text) {
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy id"), 1500);
}

/** Pairs of a name and a value; those without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== false);
  return h(
    "dl.facts",
    {},
    known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

/**
 * A part of a panel that opens. `read()` is asked when it opens, and whenever `refresh` is called while it is open. It returns
 * `{news, note, show}`: what it has found, a few words for its head, and a function that makes the content of it; or null.
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
    update(body, found.news, found.show);
  };
  details.addEventListener("toggle", refresh);
  return { details, refresh };
}

/** What a section shows when the service has answered with a refusal. */
export const absent = (answer, sentence) => ({ news: answer.status, show: () => apology(answer, sentence) });

/** Says why something is not there. */
export function apology(answer, sentence) {
  return h("p.muted", {}, answer.status === 404 ? sentence : (answer.body?.detail ?? "The service does not answer."));
}

/** A table; cells of the columns named in `amounts` are at the right. */
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
