// The interview as the partner sees it: clock, silence, follow-ups to read aloud, ticks, curveballs, and the candidate's cards.

import { h, update, words } from "/console/dom.js";
import { elapsedS, send } from "./partner.js";
import { TITLES, clock, texts } from "./rehearsal_texts.js";

const part = (name) => h(`div.${name}`, { id: `partner-${name}` });
let parts = null;
let shown = null;
// When the candidate last spoke or wrote, by the page's clock, and what was there then.
let lastWordAt = performance.now();
let lastSeen = "";

/** They speak: the silence begins anew. */
const speaks = () => (lastWordAt = performance.now());

/** A button with its key. Every key is one of these, so that mouse and touch can do the same. */
function keyed(name, { key, does, focus = key, ...properties }, ...children) {
  return h(name, { type: "button", "data-key": key, "data-focus": `key-${focus}`, "aria-keyshortcuts": key, onclick: does, ...properties }, h("kbd", {}, key), h("span", {}, ...children));
}

/** Shows a session whose clock is running. */
export function showPartnerInterview(main, view) {
  shown = view;
  if (!parts?.clock.isConnected) {
    parts = Object.fromEntries(["clock", "silence", "phase", "prompt", "curveballs", "ticks", "cards", "legend"].map((name) => [name, part(name)]));
    const { clock: time, silence, phase, prompt, ticks, curveballs, cards, legend } = parts;
    main.replaceChildren(h("aside.course", {}, h("section.card", {}, time, silence, phase), h("section.card", {}, legend)), h("div.work", {}, prompt, ticks, curveballs, cards));
    speaks();
    showTime();
  }
  const { now, cards, prompts, observables, curveballs, phases, silence } = view;
  const seen = JSON.stringify([cards, prompts, now.phase, now.bet?.placed]);
  if (seen !== lastSeen) speaks();
  lastSeen = seen;
  update(parts.phase, [now.phase, now.bet], () => phase(now, phases));
  update(parts.prompt, [now.phase, now.choices, now.why_no_prompt, prompts], () => prompt(view));
  update(parts.ticks, [observables], () => ticks(observables));
  update(parts.curveballs, [now.phase, now.curveball, curveballs], () => balls(view));
  update(parts.cards, [now.phase, cards], () => mirrored(view));
  update(parts.legend, ["legend"], () => legend(main));
  if (!parts.silence.firstChild) parts.silence.replaceChildren(h("p.quiet-s", { "aria-hidden": "true" }), h("p.small", { role: "status" }, silence[0].advice), keyed("button.speaks", { key: "y", does: speaks }, "They speak"));
}

function phase({ title, ask, bet }, phases) {
  return [
    h("h1", {}, title),
    h("p.small.muted", {}, `The candidate reads: ${ask}`),
    bet && h("p.small", {}, h("span.muted", {}, "They predict: "), bet.question, bet.placed === null ? "" : h("strong", {}, ` ${bet.placed} ${bet.unit}`)),
    h("p.small.muted", {}, `${phases.filter(({ entered_s }) => entered_s !== null).length} of ${phases.length} parts`),
  ];
}

/** The follow-up that is open, or the one to read next. */
function prompt({ now, prompts }) {
  const open = prompts.at(-1)?.answered_s === null ? prompts.at(-1) : null;
  if (open) return h("section.card.read", {}, h("h2", {}, `Asked at ${clock(open.asked_s)}`), h("p.said", {}, open.prompt), good(open.good), h("div.actions", {}, keyed("button.primary", { key: "z", focus: "answered", does: () => send({ do: "answered" }) }, "They have answered")));
  if (now.why_no_prompt) return h("section.card.read", {}, h("h2", {}, "No follow-up now"), h("p", {}, now.why_no_prompt.replace("Lock the cards of this phase first", "Wait until the candidate has locked the cards")));
  const ask = (id) => send({ do: "ask", question: id });
  const [first, ...others] = now.choices;
  return h("section.card.read", {}, h("h2", {}, "Read aloud"), h("p.said", {}, first.prompt), good(first.good),
    h("div.actions", {}, keyed("button.primary", { key: "z", focus: `ask-${first.id}`, does: () => ask(first.id) }, "I have asked it")),
    others.length > 0 && h("details", {}, h("summary", {}, "Another one instead"), ...others.map((one) =>
      h("div.other", {}, h("p.said", {}, one.prompt), good(one.good), h("button", { type: "button", "data-focus": `ask-${one.id}`, onclick: () => ask(one.id) }, "I have asked this one")))));
}

const good = (text) => h("p.good", {}, h("span.muted", {}, "Good sounds like: "), text);

function ticks(observables) {
  const tick = ({ id, key, claim, shown, at_s, probed_s }) => {
    const how = shown ? `${clock(at_s)} ${words(shown)}` : probed_s === null ? "" : `asked at ${clock(probed_s)}`;
    return h("li", {}, keyed("button.tick", { key, focus: id, "aria-pressed": String(Boolean(shown)), does: () => (shown ? send({ do: "untick", observable: id }) : (speaks(), send({ do: "tick", observable: id }))) }, claim, h("span.small.muted", {}, ` ${how}`)));
  };
  const list = (title, of) => of.length > 0 && [h("h3", {}, title), h("ul.ticks", {}, ...of.map(tick))];
  return h("section.card", {}, h("h2", {}, "Tick what they say or write"), ...[list("In this part", observables.filter((one) => one.is_of_now)), list("At any time", observables.filter((one) => !one.is_of_now))].filter(Boolean).flat());
}

function balls({ now, curveballs }) {
  const used = ({ key, title, text, good: answer, at_s }) => h("li.used", {}, h("p", {}, h("kbd", {}, key), ` ${title}, at ${clock(at_s)}: ${text}`), good(answer));
  const ball = (one) => one.at_s !== null ? used(one) : h("li", {}, keyed("button.tick", { key: one.key, focus: one.id, disabled: !one.can_be_used, does: () => (speaks(), send({ do: "throw", curveball: one.id })) }, h("strong", {}, `${one.title}. `), one.text));
  return h("section.card", {}, h("h2", {}, "Curveballs"), now.curveball && h("p", {}, `The candidate has one now: ${now.curveball.text}`), now.curveball && good(now.curveball.good),
    curveballs.length > 0 && h("p.small.muted", {}, "Press, and read it aloud. The candidate sees it within seconds."), h("ul.ticks", {}, ...curveballs.map(ball)));
}

/** The candidate's cards, newest first. */
function mirrored({ now, cards, numbers }) {
  const card = ({ kind, number, phase, fields, locked_s }) =>
    h("article.card.locked", { "data-kind": kind }, h("h3", {}, `${TITLES[kind]} · card ${number + 1} · ${locked_s === null ? "being written" : `locked at ${clock(locked_s)}`}`), ...texts(kind, fields, numbers), phase === now.phase && h("span.unseen", {}, "of this part"));
  return h("section.card", {}, h("h2", {}, "What they have written"), cards.length > 0 ? [...cards].reverse().map(card) : h("p.muted", {}, "Nothing yet."));
}

function legend(main) {
  const set = (event) => (main.dataset.keys = event.target.checked ? "on" : "off");
  const line = (keys, text) => [h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, text)];
  return [
    h("h2", {}, "Keys"),
    h("dl.keys", {}, ...line(["a", "…", "x"], "tick a line, or take the tick back"), ...line(["1", "…", "9"], "a curveball"), ...line(["z"], "the follow-up is asked, or answered"), ...line(["y"], "they speak: the silence begins anew")),
    h("label.choice", {}, h("input", { type: "checkbox", id: "keys", checked: main.dataset.keys !== "off", onchange: set }), h("span", {}, "Keys are on. Each is a button as well.")),
  ];
}

/** Clock and silence are drawn by the page, five times a second, without asking. */
function showTime() {
  if (!parts.clock.isConnected) return;
  const { now, total_s, setup, silence, candidate_is_present } = shown;
  const elapsed = elapsedS();
  const over = elapsed - now.entered_s - now.seconds;
  parts.clock.replaceChildren(
    h("p.time", { "data-late": String(total_s - elapsed < 300) }, clock(total_s - elapsed), h("span.unseen", {}, " left")),
    h("p.small", { "data-over": String(over > 0) }, over > 0 ? `${clock(over)} over in this part` : `${clock(-over)} left in this part`),
  );
  if (!candidate_is_present) speaks();
  const quiet = ((performance.now() - lastWordAt) / 1000) * setup.speed;
  const [count, advice] = parts.silence.children;
  if (advice) {
    count.textContent = `Silence ${clock(quiet)}`;
    const { advice: text } = silence.findLast((one) => one.after_s <= quiet);
    if (advice.textContent !== text) advice.textContent = text;
  }
  setTimeout(showTime, 200);
}
