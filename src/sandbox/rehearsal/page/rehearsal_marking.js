// Marking: two canned answers first, then one's own session. Missed is the default, and a tick needs a card or a time.

import { h, update } from "/console/dom.js";
import { say, send } from "./rehearsal.js";
import { clock, texts } from "./rehearsal_cards.js";

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

const SHOWN = [["missed", "missed"], ["unprompted", "unprompted"], ["probed", "after a follow-up"]];

/** Shows the observables of one's own session. The form is drawn once; it holds what is chosen. */
export function showMarking(main, view) {
  update(main, ["marking", view.id], () => [
    h("section.intro", {}, h("h1", {}, "Now mark your own"), h("p", {}, "Mark what you said or wrote, as you said it. Some lines sound right and are wrong: ticking one costs. Missed is the default, and a tick needs a card or a time.")),
    h("details.card.mine", {}, h("summary", {}, "My cards and the follow-ups"), ...mine(view)),
    marks(view),
  ]);
}

function mine({ cards, prompts }) {
  return [
    ...cards.map(({ number, kind, fields, begun_s }) => h("article", {}, h("h3", {}, `Card ${number + 1} · ${kind} · ${clock(begun_s)}`), ...texts(kind, fields))),
    ...prompts.map(({ prompt, asked_s, good }) => h("article", {}, h("h3", {}, `Follow-up at ${clock(asked_s)}`), h("p.said", {}, prompt), h("p", {}, h("span.muted", {}, "Good: "), good))),
  ];
}

function marks({ marking, cards }) {
  const form = h("form.marks", { id: "marks" });
  const save = () => keep(form);
  const rows = marking.observables.map((observable, index) => {
    const isFirst = observable.phase !== marking.observables[index - 1]?.phase;
    return [isFirst && h("h2", {}, observable.phase), row(observable, marking.ticks.find((tick) => tick.observable === observable.id), cards, save)];
  });
  form.append(...rows.flat().filter(Boolean), h("div.actions", {}, h("button.primary", { id: "finish" }, "Finish and write the report"), h("span.muted.small", {}, "It takes eight minutes to do it well.")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await keep(form)) send({ do: "finish" });
  });
  return form;
}

function row({ id, claim, probe, probed_s }, tick, cards, save) {
  const radios = SHOWN.map(([value, text]) => h("label", {}, h("input", { type: "radio", name: `shown-${id}`, value, checked: (tick?.shown ?? "missed") === value }), ` ${text}`));
  const option = ({ number, kind, begun_s }) => h("option", { value: number, selected: tick?.card === number }, `card ${number + 1}, ${kind}, ${clock(begun_s)}`);
  const card = h("select", { name: `card-${id}`, "aria-label": "Card that shows it" }, h("option", { value: "" }, "which card?"), ...cards.map(option));
  const time = h("input", { name: `at-${id}`, placeholder: "or mm:ss", size: 7, value: tick?.at_s != null ? clock(tick.at_s) : "", "aria-label": "Time at which you said it", pattern: "\\d{1,2}:\\d{2}" });
  const asked = probed_s === null ? "Its follow-up was not asked." : `Asked at ${clock(probed_s)}: ${probe}`;
  return h("fieldset.observable", { "data-id": id, onchange: save }, h("legend", {}, claim), h("p.small.muted", {}, asked), h("div.actions", {}, ...radios, card, time), h("p.why", { role: "alert" }));
}

/** Sends the marks that have evidence. Returns whether every mark has. */
async function keep(form) {
  const chosen = new FormData(form);
  const ticks = [];
  let isComplete = true;
  for (const field of form.querySelectorAll(".observable")) {
    const { id } = field.dataset;
    const [shown, card, at] = ["shown", "card", "at"].map((name) => chosen.get(`${name}-${id}`));
    const [minutes, seconds] = /^\d{1,2}:\d{2}$/.test(at) ? at.split(":").map(Number) : [];
    const has = card !== "" || minutes !== undefined;
    const lacks = shown !== "missed" && !has;
    field.querySelector(".why").textContent = lacks ? "A tick needs a card or a time." : "";
    if (lacks) isComplete = false;
    else if (shown !== "missed") ticks.push({ observable: id, shown, card: card === "" ? null : Number(card), at_s: card === "" ? minutes * 60 + seconds : null });
  }
  say("");
  return (await send({ do: "mark", ticks })) && isComplete;
}
