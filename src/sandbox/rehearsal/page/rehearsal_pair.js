// What both pages of a session for two show: whether the other is there, the gap between the marks, and the swap.

import { h, words } from "/console/dom.js";
import { call, say } from "./rehearsal_connection.js";
import { section } from "./rehearsal_texts.js";

/** Says in the page's line for it whether the other person is there. */
export function showPresence(isPresent, texts) {
  const line = document.getElementById("rehearsal-pair");
  const text = isPresent === null ? "" : isPresent ? texts.here : texts.away;
  if (line.textContent !== text) line.textContent = text;
  line.dataset.present = isPresent;
}

/** Where the two marks differ. */
export function gapSection({ observables, agreed, dimensions, percent, passes, communication, communication_text, note }, own) {
  const cell = (value) => h("td", {}, value === null ? "–" : String(value));
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...["dimension", "candidate", "partner"].map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, ...dimensions.map((one) => h("tr", {}, h("th", { scope: "row" }, one.title), cell(one.candidate), cell(one.partner)))));
  const line = ({ claim, falsehood, candidate, partner, evidence }) =>
    h("li", {}, claim, falsehood && " (wrong)", " ", h("strong", {}, `Candidate: ${words(candidate)}. Partner: ${words(partner)}.`), evidence && ` (${evidence})`);
  return h("section.card.gap", {}, h("h2", {}, "The gap between your marks"),
    h("p", {}, `By the candidate's marks ${own.percent} of 100, by the partner's ${percent}: ${own.passes === passes ? "the same verdict" : "another verdict"}. The same mark on ${agreed} of ${agreed + observables.length} lines.`),
    communication !== null && h("p", {}, `Communication: ${communication} of 4. ${communication_text}`),
    note && h("p", {}, h("span.muted", {}, "The partner adds: "), note),
    h("div.wide", {}, table),
    observables.length > 0 && h("ul", {}, ...observables.map(line)));
}

/**
 * The next session with the roles swapped. The same request makes it and leads to it, so that a service that was killed in between
 * leaves no link to nothing. `isSwapped` says that the other has pressed already.
 */
export function swapSection(base, isSwapped, role) {
  const swap = async (event) => {
    event.target.disabled = true;
    try {
      location.assign((await call(`${base}/swap`, {})).path);
    } catch (error) {
      event.target.disabled = false;
      say(error.status ? error.message : "The service does not answer. Press again when it is back.");
    }
  };
  const button = (id, text) => h("p.actions", {}, h("button.primary", { type: "button", id, onclick: swap }, text));
  if (isSwapped) return section("The roles are swapped", h("p", {}, `The session with the other cut waits for you. You are the ${role} now.`), button("swapped", "Go to the new session"));
  return section("Swap the roles", h("p", {}, `A new session, with another cut. You will be the ${role}.`), button("swap", "Swap the roles"));
}
