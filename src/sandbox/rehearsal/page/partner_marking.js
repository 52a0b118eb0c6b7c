// Before and after the interview, as the partner sees it: what to know, the marks, the gap.

import { h, update } from "/console/dom.js";
import { base, send } from "./partner.js";
import { answers, marksForm } from "./rehearsal_marks.js";
import { gapSection, swapSection } from "./rehearsal_pair.js";
import { place, section } from "./rehearsal_texts.js";

/** What a partner reads before the clock starts. */
export function showBriefing(main, { cut, level, setup, question, constraint, given, briefing }) {
  update(main, ["briefing"], () => [
    h("section.intro", {}, h("h1", {}, "You are the partner"), h("p.muted", {}, `${cut} · ${level} · ${setup.minutes} minutes`), h("ol.briefing", {}, ...briefing.map((text) => h("li", {}, text)))),
    section("Read aloud to begin", h("blockquote", {}, question), constraint && h("p.constraint", {}, h("strong", {}, `Constraint: ${constraint.title}. `), constraint.text),
      h("h3", {}, "If they ask about the scale"), h("ul", {}, ...given.map((line) => h("li", {}, line)))),
    h("p.muted", {}, "The candidate starts the clock. This page follows by itself."),
  ]);
}

/** The marks, which begin with what was ticked. The form is drawn once; it holds what is chosen. */
export function showPartnerMarking(main, view) {
  const { marking, cards, communication, note } = view;
  update(main, ["marking"], () => {
    const level = ({ points, text }) => h("label.choice", {}, h("input", { type: "radio", name: "communication", value: points, checked: communication.points === points }), h("span", {}, h("strong", {}, `${points}. `), text));
    const area = h("textarea", { name: "note", rows: 3, maxlength: note.chars_max, id: "note" });
    area.value = note.text;
    const extra = [
      h("fieldset", {}, h("legend", {}, "How did they speak? Only you can say."), ...communication.levels.map(level)),
      h("label.note", {}, h("span", {}, "One thing to keep, one thing to change"), area),
    ];
    const save = (ticks, form) => {
      const chosen = new FormData(form);
      const points = chosen.get("communication");
      return send({ do: "mark", ticks, communication: points === null ? null : Number(points), note: chosen.get("note") });
    };
    return [
      h("section.intro", {}, h("h1", {}, "Now mark what you noticed"), h("p", {}, "Your ticks are here, with their times. Look through the lines once more: mark what was said, as it was said, right or wrong. The candidate marks at the same time. You see each other's marks when both are handed in.")),
      h("details.card.mine", {}, h("summary", {}, "The cards and the follow-ups"), ...answers(view)),
      marksForm({ marking, cards, extra, save, finish: { label: "Hand in your marks", hint: "They are final then." }, end: () => send({ do: "hand_in" }) }),
    ];
  });
}

/** The marks are handed in, and the candidate's are not. */
export function showPartnerWaiting(main) {
  update(main, ["waiting"], () => h("section.intro", {}, h("h1", {}, "Your marks are handed in"), h("p", {}, "The candidate is still marking. This page shows the gap when they have handed in. You can close it, and open the link again.")));
}

/** The gap, what the candidate is to say next time, and the swap. */
export function showPartnerResult(main, { stage, is_swapped, result }) {
  update(main, ["result", stage, is_swapped], () => {
    if (stage === "closed") return [h("section.intro", {}, h("h1", {}, "The session is closed"), h("p", {}, "The candidate did not wait for your marks. Your ticks are kept with the session.")), swapSection(base, is_swapped, "candidate")];
    const { marks, gap, advice } = result;
    const line = ({ say, missed, link }) => h("li", {}, h("p.said", {}, say), h("p", {}, missed), h("p.small", {}, "Read ", place(link)));
    return [
      h("section.intro", { "data-passes": String(marks.passes) }, h("h1", {}, `${marks.percent} of 100 by the candidate's marks, ${gap.percent} by yours`)),
      gapSection(gap, marks),
      section("What the candidate says next time", h("ol.advice", {}, ...advice.map(line))),
      swapSection(base, is_swapped, "candidate"),
    ];
  });
}
