// A link to an object: a plain address that can be opened in another tab, and within the page an event.

import { emit } from "./bus.js";
import { h, short } from "./dom.js";

const narrow = matchMedia("(max-width: 820px)");
const isPlain = (event) => event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;

/** Makes a link to a trip, offer, driver, rider or payment. */
export function objectLink(kind, id, text = short(id)) {
  const onclick = (event) => {
    if (!isPlain(event)) return;
    event.preventDefault();
    emit("select", { kind, id });
    // On a phone the inspector is above or below.
    if (narrow.matches) document.getElementById("inspector")?.scrollIntoView({ block: "nearest" });
  };
  return h("a.mono", { href: `/city/${kind}s/${id}`, title: id, "data-focus": id, onclick }, text);
}
