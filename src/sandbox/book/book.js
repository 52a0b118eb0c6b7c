// The search of the book: "/" starts it, the arrow keys choose a section, Escape ends it.

import { h } from "/console/dom.js";
import { excerpt, find } from "./find.js";

const place = document.getElementById("book-search");
const input = h("input", {
  type: "search",
  "aria-label": "Search the book",
  "aria-describedby": "book-search-note",
  placeholder: "Search the book ( / )",
  autocomplete: "off",
  spellcheck: "false",
});
const note = h("p", { id: "book-search-note", role: "status" });
const list = h("ul.found", { "aria-label": "Sections found" });

let sections = null;

/** Reads the text of the book once, when it is first needed. */
function load() {
  sections ??= fetch("/book/index.json").then((response) => (response.ok ? response.json() : Promise.reject(new Error(`status ${response.status}`))));
  // The next search tries again.
  sections.catch(() => (sections = null));
  return sections;
}

async function search() {
  const query = input.value.trim();
  if (!query) return show([], "");
  try {
    const found = find(await load(), query);
    if (query !== input.value.trim()) return;
    show(found.map((section) => item(section, query)), found.length === 0 ? "No section has all of these words." : `${found.length} section${found.length === 1 ? "" : "s"}`);
  } catch {
    show([], "The service does not respond.");
  }
}

function show(items, text) {
  list.replaceChildren(...items);
  note.textContent = text;
}

const item = ({ path, chapter, section, text }, query) =>
  h(
    "li",
    {},
    h(
      "a",
      { href: path, onclick: clear },
      h("strong", {}, section ? `${chapter}: ${section}` : chapter),
      excerpt(text, query).map((piece) => (piece.isMatch ? h("mark", {}, piece.text) : piece.text)),
    ),
  );

function clear() {
  input.value = "";
  show([], "");
}

function onKey(event) {
  const links = [...list.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "Escape") {
    clear();
    input.focus();
  } else if (event.key === "ArrowDown") {
    links[Math.min(at + 1, links.length - 1)]?.focus();
  } else if (event.key === "ArrowUp") {
    (links[at - 1] ?? input).focus();
  } else {
    return;
  }
  event.preventDefault();
}

if (place) {
  const form = h("form", { role: "search", "aria-label": "In the book", onsubmit: (event) => (event.preventDefault(), list.querySelector("a")?.click()) }, input, note, list);
  form.addEventListener("keydown", onKey);
  input.addEventListener("input", search);
  input.addEventListener("focus", () => load().catch(() => {}));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
  place.replaceChildren(form);
}
