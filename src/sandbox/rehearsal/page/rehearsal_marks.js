// The form of marks, for the candidate and for the partner. Missed is the default, and a tick needs a card or a time.

import { h } from "/console/dom.js";
import { say } from "./rehearsal_connection.js";
import { clock, texts } from "./rehearsal_texts.js";

const SHOWN = [["missed", "missed"], ["unprompted", "unprompted"], ["probed", "after a follow-up"]];

/** Cards and follow-ups, to look at while marking. */
export function answers({ cards, prompts, numbers }) {
  return [
    ...cards.map(({ number, kind, fields, begun_s }) => h("article", {}, h("h3", {}, `Card ${number + 1} · ${kind} · ${clock(begun_s)}`), ...texts(kind, fields, numbers))),
    ...prompts.map(({ prompt, asked_s, good }) => h("article", {}, h("h3", {}, `Follow-up at ${clock(asked_s)}`), h("p.said", {}, prompt), h("p", {}, h("span.muted", {}, "Good: "), good))),
  ];
}

/**
 * A form of marks. `save(ticks, form)` sends them, and says whether they were accepted; `finish()` ends the marking. `extra` are further
 * fieldsets of it.
 */
export function marksForm({ marking, cards, extra = [], finish: { label, hint }, save, end }) {
  const form = h("form.marks", { id: "marks" });
  const send = () => keep(form, save);
  const rows = marking.observables.map((observable, index) => {
    const isFirst = observable.phase !== marking.observables[index - 1]?.phase;
    return [isFirst && h("h2", {}, observable.phase), row(observable, marking.ticks.find((tick) => tick.observable === observable.id), cards)];
  });
  form.append(...rows.flat().filter(Boolean), ...extra, h("div.actions", {}, h("button.primary", { id: "finish" }, label), h("span.muted.small", {}, hint)));
  form.addEventListener("change", send);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await send()) end();
  });
  return form;
}

function row({ id, claim, probe, probed_s }, tick, cards) {
  const radios = SHOWN.map(([value, text]) => h("label", {}, h("input", { type: "radio", name: `shown-${id}`, value, checked: (tick?.shown ?? "missed") === value }), ` ${text}`));
  const option = ({ number, kind, begun_s }) => h("option", { value: number, selected: tick?.card === number }, `card ${number + 1}, ${kind}, ${clock(begun_s)}`);
  const card = h("select", { name: `card-${id}`, "aria-label": "Card that shows it" }, h("option", { value: "" }, "which card?"), ...cards.map(option));
  const time = h("input", { name: `at-${id}`, placeholder: "or mm:ss", size: 7, value: tick?.at_s != null ? clock(tick.at_s) : "", "aria-label": "Time at which it was said", pattern: "\\d{1,2}:\\d{2}" });
  const asked = probed_s === null ? "Its follow-up was not asked." : `Asked at ${clock(probed_s)}: ${probe}`;
  return h("fieldset.observable", { "data-id": id }, h("legend", {}, claim), h("p.small.muted", {}, asked), h("div.actions", {}, ...radios, card, time), h("p.why", { role: "alert" }));
}

/** Saves the marks that have evidence. Returns whether every mark has, and was accepted. */
async function keep(form, save) {
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
  return (await save(ticks, form)) && isComplete;
}
