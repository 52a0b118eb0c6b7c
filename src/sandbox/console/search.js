// The search of the header: an id leads to the page of its object.

import { objectOf, pathOf } from "./address.js";
import { call } from "./api.js";
import { h } from "./dom.js";

const HELP = "An id starts with trip_, ofr_, drv_, rdr_, pay_, quo_ or rfd_; a trace id has 32 hexadecimal digits.";
/** A quote or a refund: it has no page of its own, and leads to its trip. */
const OF_A_TRIP = /^(quo|rfd)_[0-9a-z]{26}$/;

/** Returns the object that an id leads to; null if the id has the form of none, or belongs to no trip. */
async function find(id) {
  if (!OF_A_TRIP.test(id)) return objectOf(id);
  const answer = await call({ as: null, path: `/v1/sandbox/objects/${id}`, quiet: true });
  return answer.body?.trip_id ? { kind: "trip", id: answer.body.trip_id } : null;
}

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
  const search = async (event) => {
    event.preventDefault();
    const id = input.value.trim();
    const found = await find(id);
    if (id && !found) return (note.textContent = OF_A_TRIP.test(id) ? "No trip has it." : `“${id.slice(0, 40)}” is not an id. ${HELP}`);
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
  element.replaceChildren(h("form", { role: "search", "aria-label": "By id", onsubmit: search }, input, note));
}
