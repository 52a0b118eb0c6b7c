// The candidate's marking: two canned answers first, then one's own session.

import { h, update } from "/console/dom.js";
import { send } from "./rehearsal.js";
import { answers, marksForm } from "./rehearsal_marks.js";

/** Shows the next canned answer. */
export function showCanned(main, { canned }) {
  if (!canned) return;
  update(main, ["canned", canned.id], () => {
    const box = ({ id, claim }) => h("label.choice", {}, h("input", { type: "checkbox", name: "tick", value: id }), h("span", {}, claim));
    const verdict = (value, text) => h("label.choice", {}, h("input", { type: "radio", name: "passes", value, required: true }), h("span", {}, text));
    const mark = (event) => {
      event.preventDefault();
      const chosen = new FormData(event.target);
      send({ do: "mark_canned", id: canned.id, ticks: chosen.getAll("tick"), passes: chosen.get("passes") === "yes" });
    };
    return [
      h("section.intro", {}, h("h1", {}, `First, mark another answer (${canned.number} of ${canned.of})`), h("p", {}, "Tick what it shows, whether or not it is right. The report says how your marks differ from the right ones.")),
      h("section.card.canned", {}, h("h2", {}, canned.title), ...canned.text.trim().split("\n\n").map((text) => h("p", {}, text))),
      h("form.card", { id: "canned", onsubmit: mark },
        h("fieldset", {}, h("legend", {}, "It shows"), ...canned.observables.map(box)),
        h("fieldset", {}, h("legend", {}, "Would you pass it?"), verdict("yes", "It passes"), verdict("no", "It does not pass")),
        h("div.actions", {}, h("button.primary", {}, "Mark it"))),
    ];
  });
}

/** Shows the observables of one's own session. The form is drawn once; it holds what is chosen. */
export function showMarking(main, view) {
  const { marking, cards } = view;
  const finish = { label: view.pair ? "Hand in your marks" : "Finish and write the report", hint: "It takes eight minutes to do it well." };
  update(main, ["marking", view.id], () => [
    h("section.intro", {}, h("h1", {}, "Now mark your own"), h("p", {}, "Mark what you said or wrote, as you said it. Some lines sound right and are wrong: ticking one costs. Missed is the default, and a tick needs a card or a time."),
      view.pair && h("p", {}, "Your partner marks at the same time. You see each other's marks when both are handed in.")),
    h("details.card.mine", {}, h("summary", {}, "My cards and the follow-ups"), ...answers(view)),
    marksForm({ marking, cards, finish, save: (ticks) => send({ do: "mark", ticks }), end: () => send({ do: "finish" }) }),
  ]);
}

/** Shows that the marks are handed in, and those of the partner are not. */
export function showWaiting(main, { id, pair }) {
  update(main, ["waiting", id, pair.is_present], () => [
    h("section.intro", {}, h("h1", {}, "Your marks are handed in"), h("p", {}, pair.is_present ? "Your partner is still marking. The report is written when they have handed in." : "Your partner is away, and has not handed in. Their ticks are kept; the report can wait for them.")),
    h("section.card", {}, h("h2", {}, "Without your partner's marks"), h("p", {}, "The report is written now, without a comparison. Your partner cannot hand in any more."),
      h("div.actions", {}, h("button", { id: "alone", "data-focus": "alone", onclick: () => send({ do: "finish_alone" }) }, "Do not wait"))),
  ]);
}
