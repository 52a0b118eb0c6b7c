// The cards: what is typed, kept while it is typed, and locked.

import { h, update } from "/console/dom.js";
import { send } from "./rehearsal.js";
import { DECISION, TITLES, clock, texts } from "./rehearsal_texts.js";

const DRAFT_MS = 800;

const HINTS = {
  requirements: "One a line. What it does, what it must never do, what is left out.",
  endpoints: "POST /v1/trips   Idempotency-Key   → 201 trip",
  tables: "trips (id primary key, rider_id, state, …)",
  prediction: "The rider sees … The driver sees … The operator sees … Afterwards …",
};

/** Shows the cards of the current phase. They are drawn anew only when one is locked, never while one is typed. */
export function showCards(element, view) {
  const { now, cards } = view;
  const ofPhase = cards.filter((card) => card.phase === now.phase);
  const locked = ofPhase.filter((card) => card.locked_s !== null);
  update(element, [now.phase, locked], () => {
    const needed = now.cards.filter((kind) => kind === "decision" || !locked.some((card) => card.kind === kind));
    const draft = (kind) => ofPhase.find((card) => card.kind === kind && card.locked_s === null);
    return [...locked.map((card) => lockedCard(card, now)), ...needed.map((kind) => openCard(kind, draft(kind), now, locked))];
  });
}

function lockedCard({ kind, number, fields, locked_s }, now) {
  return h("article.card.locked", { "data-kind": kind }, h("h2", {}, `${TITLES[kind]} · card ${number + 1} · locked at ${clock(locked_s)}`), ...texts(kind, fields, now.numbers));
}

function openCard(kind, card, now, locked) {
  const isSecond = locked.some((other) => other.kind === kind);
  const form = h("form.card.open", { "data-kind": kind, onsubmit: (event) => lock(event, kind) });
  form.append(h("h2", {}, isSecond ? "Another decision, if you like" : TITLES[kind]), ...inputs(kind, card?.fields ?? {}, now), h("div.actions", {}, h("button", { "data-focus": `lock-${kind}` }, "Lock"), h("span.muted.small", {}, "It cannot be changed afterwards.")));
  let waiting = null;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => form.isConnected && send({ do: "draft", kind, fields: read(form) }), DRAFT_MS);
  });
  form.stopDraft = () => clearTimeout(waiting);
  return form;
}

function inputs(kind, fields, now) {
  const field = (name, label, input) => h("label", {}, h("span", {}, label), input);
  const text = (name, properties) => {
    const area = h("textarea", { name, rows: 2, maxlength: 6000, "data-focus": `${now.phase}-${kind}-${name}`, ...properties });
    area.value = fields[name] ?? "";
    return area;
  };
  if (kind === "decision") return DECISION.map(([name, label]) => field(name, label, text(name)));
  if (kind === "numbers") return now.numbers.map(({ id, ask, unit }) => field(id, `${ask} (${unit})`, h("input", { name: id, value: fields[id] ?? "", maxlength: 80, autocomplete: "off", inputmode: "decimal", "data-focus": `${now.phase}-${id}` })));
  return [field("text", HINTS[kind], text("text", { rows: 7 }))];
}

const read = (form) => Object.fromEntries(new FormData(form));

async function lock(event, kind) {
  event.preventDefault();
  // The other open card is drawn anew as well, so what is typed there is kept first.
  await keepDrafts(event.target.parentElement);
  await send({ do: "lock", kind });
}

/** Sends what is typed on the open cards. */
export async function keepDrafts(element) {
  for (const form of element.querySelectorAll("form.open")) {
    form.stopDraft();
    const fields = read(form);
    if (Object.values(fields).some((text) => text.trim())) await send({ do: "draft", kind: form.dataset.kind, fields });
  }
}
