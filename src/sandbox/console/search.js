// The search of the header: an id leads to the page of its object.

import { objectOf, pathOf } from "./address.js";
import { h } from "./dom.js";

const HELP = "An id starts with trip_, drv_, rdr_ or pay_; a trace id has 32 hexadecimal digits.";

/** Makes the search field. */
export function createSearch(element) {
  if (!element) return;
  const input = h("input", {
    type: "search",
    id: "search-id",
    "aria-label": "Find by id",
    placeholder: "Find by id",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "search-note",
  });
  const note = h("p", { id: "search-note", role: "status" });
  const find = (event) => {
    event.preventDefault();
    const id = input.value.trim();
    const found = objectOf(id);
    if (id && !found) return (note.textContent = `“${id.slice(0, 40)}” is not an id. ${HELP}`);
    note.textContent = "";
    if (!found) return;
    input.value = "";
    // A link and not an assignment: the city's page shows it without loading again.
    const link = h("a", { href: pathOf(found), hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
  };
  input.addEventListener("input", () => (note.textContent = ""));
  input.addEventListener("blur", () => (note.textContent = ""));
  element.replaceChildren(h("form", { role: "search", onsubmit: find }, input, note));
}
