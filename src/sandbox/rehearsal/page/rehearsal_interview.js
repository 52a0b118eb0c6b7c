// The interview: clock, phases, question, cards, follow-ups, bet and curveball.

import { h, update } from "/console/dom.js";
import { elapsedS, send } from "./rehearsal.js";
import { say } from "./rehearsal_connection.js";
import { keepDrafts, showCards } from "./rehearsal_cards.js";
import { recorder } from "./rehearsal_recording.js";
import { clock } from "./rehearsal_texts.js";

const part = (name) => h(`div.${name}`, { id: `interview-${name}` });
let parts = null;
let shown = null;

/** Shows a session that has not started or whose clock is running. */
export function showInterview(main, view) {
  shown = view;
  if (!parts?.clock.isConnected) {
    parts = Object.fromEntries(["clock", "phases", "question", "ask", "curveball", "cards", "prompts", "bet", "next"].map((name) => [name, part(name)]));
    const { clock: time, phases, question, ...rest } = parts;
    main.replaceChildren(h("aside.course", {}, h("section.card", {}, time, phases), h("section.card", {}, question)), h("div.work", {}, ...Object.values(rest)));
    showTime();
  }
  const { now } = view;
  update(parts.question, [view.question], () => question(view));
  update(parts.phases, [view.phases, now?.phase], () => phases(view));
  if (!now) return update(parts.ask, ["ready"], () => ready(view));
  update(parts.ask, [now.phase], () => [h("h1", {}, now.title), h("p.ask", {}, now.ask)]);
  const balls = [now.curveball, ...(view.pair?.thrown ?? []).filter((ball) => ball.phase === now.phase)].filter(Boolean);
  update(parts.curveball, [now.phase, balls], () => balls.map(curveball));
  showCards(parts.cards, view);
  update(parts.prompts, [now.phase, view.prompts, now.why_no_prompt, view.pair?.is_present], () => prompts(view));
  update(parts.bet, [now.phase, now.bet], () => bet(now));
  update(parts.next, [now.phase], () => next(now));
}

function question({ question, brief, constraint, given, cut, level }) {
  return [
    h("p.small.muted", {}, `${cut} · ${level}`),
    h("blockquote", {}, question),
    h("p", {}, brief),
    constraint && h("p.constraint", {}, h("strong", {}, `Constraint: ${constraint.title}. `), constraint.text),
    h("details", {}, h("summary", {}, "If you ask about the scale"), h("ul", {}, ...given.map((line) => h("li", {}, line)))),
  ];
}

const curveball = ({ title, text, at_s }) => h("section.card.ball", { role: "status" }, h("h2", {}, at_s === undefined ? `Curveball: ${title}` : `Curveball of your partner at ${clock(at_s)}: ${title}`), h("p", {}, text));

function phases({ phases, now }) {
  return h("ol.phases", {}, ...phases.map(({ title, seconds }, index) =>
    h("li", { "aria-current": now?.phase === index ? "step" : null }, h("span", {}, title), h("span.number", {}, clock(seconds)))));
}

/** The link for the partner, and what it reaches. */
function invitation({ path, base }) {
  const link = (base ?? location.origin) + path;
  const isLocal = base === null && /^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);
  const field = h("input", { id: "link", readonly: true, value: link, "aria-label": "Link for your partner", onfocus: (event) => event.target.select() });
  const copy = async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(link);
      say("The link is copied.");
    } catch {
      say("Copy the selected link.");
    }
  };
  return h("section.card.invitation", {}, h("h2", {}, "Your partner opens this link"), h("div.actions", {}, field, h("button", { type: "button", onclick: copy }, "Copy")),
    h("p.small.muted", {}, "They install nothing. The link is for one partner: it shows your cards, and takes their ticks, curveballs and marks."),
    isLocal && h("p.small", {}, "It works on this machine only. For a partner on another machine, start with ", h("code", {}, "cargo rehearse --partner-listen 0.0.0.0:8090"), "."));
}

function ready({ total_s, setup, pair }) {
  return [
    h("h1", {}, "Ready"),
    h("p.ask", {}, `The clock runs for ${total_s / 60} minutes while this page is open. If you close it, or the service stops, the clock waits for you. Read the question, and start when you would say "Let me begin".`),
    pair && (pair.path ? invitation(pair) : h("p.muted", {}, "Your partner has the other page of this session. The line above says when they open it.")),
    setup.speed > 1 && h("p.muted", {}, `On fast-forward: ${setup.speed} times.`),
    h("div.actions", {}, h("button.primary", { id: "start", onclick: () => send({ do: "start" }) }, "Start the clock"), recorder()),
  ];
}

function prompts({ now, prompts, pair }) {
  const isAsked = Boolean(pair?.is_present);
  const ofPhase = prompts.filter((one) => one.phase === now.phase);
  const isOpen = ofPhase.length > 0 && ofPhase.at(-1).answered_s === null;
  const rest = now.planned_prompts - ofPhase.length;
  const more = rest > 0 ? `${rest} planned` : "the planned ones are done";
  return h("section.follow-ups", { "aria-label": "Follow-ups" },
    h("ol", {}, ...ofPhase.map(({ prompt, asked_s, answered_s }) => h("li", { "data-open": String(answered_s === null) }, h("p.said", {}, prompt), h("p.small.muted", {}, answered_s === null ? `asked at ${clock(asked_s)}` : `${clock(asked_s)} to ${clock(answered_s)}`)))),
    h("div.actions", {},
      isOpen && h("button", { "data-focus": "answered", id: "answered", onclick: () => send({ do: "answered" }) }, "Answered"),
      !now.why_no_prompt && !isAsked && h("button", { "data-focus": "ask", id: "ask", onclick: () => send({ do: "ask" }) }, "Ask me"),
      h("span.muted.small", {}, now.why_no_prompt ?? (isAsked ? "Your partner asks." : more))));
}

function bet({ bet }) {
  if (!bet) return null;
  const input = h("input", { name: "value", type: "number", step: "any", min: bet.min, max: bet.max, required: true, "aria-label": `Prediction, ${bet.unit}` });
  const place = (event) => {
    event.preventDefault();
    send({ do: "bet", value: input.valueAsNumber });
  };
  return h("section.card.bet", { "data-placed": String(bet.placed !== null) }, h("h2", {}, "Predict"), h("p", {}, bet.question),
    bet.placed === null
      ? h("form.actions", { onsubmit: place }, input, h("span.muted", {}, bet.unit), h("button", {}, "Bet"))
      : h("p", {}, h("strong", {}, `${bet.placed} ${bet.unit}. `), h("span.muted", {}, "A lab settles it after the session.")));
}

function next({ is_last }) {
  const go = async () => {
    await keepDrafts(parts.cards);
    await send({ do: "next" });
    scrollTo(0, 0);
  };
  return h("div.actions", {}, h("button.primary", { id: "next", onclick: go }, is_last ? "End the interview" : "Next phase"), h("span.muted.small", {}, "Open cards are locked as they are."));
}

/** The clock is drawn by the page, five times a second, without asking. */
function showTime() {
  if (!parts.clock.isConnected) return;
  const { now, total_s, stage } = shown;
  const elapsed = elapsedS();
  const left = total_s - elapsed;
  const inPhase = now ? elapsed - now.entered_s : 0;
  const over = now ? inPhase - now.seconds : 0;
  parts.clock.replaceChildren(
    h("p.time", { "data-late": String(left < 300) }, clock(left), h("span.unseen", {}, " left")),
    now && h("p.small", { "data-over": String(over > 0) }, over > 0 ? `${clock(over)} over in this phase` : `${clock(-over)} left in this phase`),
    now && h("progress", { max: now.seconds, value: Math.min(inPhase, now.seconds), "aria-label": "Time of this phase" }),
  );
  if (stage === "interview" || stage === "ready") setTimeout(showTime, 200);
}
