// The start page: the choices of a new session, the sessions so far, and the plan for 14 days.

import { h, words } from "/console/dom.js";
import { call, say } from "./rehearsal_connection.js";

const SPEED = Number(new URLSearchParams(location.search).get("speed") ?? 1);
const SEED = new URLSearchParams(location.search).get("seed");

/** Shows the start page. `?speed=60` fast-forwards a new session, `?seed=7` repeats the draws of another one. */
export function showStart(main, choices, { sessions, unreadable }) {
  main.replaceChildren(intro(choices), form(choices), list(sessions, unreadable), plan(choices.plan));
}

function intro({ question, questions, phases, lengths }) {
  const minutes = phases.map(({ title, minutes }) => `${title.toLowerCase()} ${minutes[lengths.indexOf(45)]}`).join(", ");
  return h("section.intro", {},
    h("h1", {}, "Rehearse the interview"),
    h("blockquote", {}, question),
    h("p", {}, "You speak; the page asks, as an interviewer does, and keeps the time. You type only requirements, three numbers, endpoints, tables, and one card for each decision. Cards lock before a follow-up is asked."),
    h("p.muted", {}, `45 minutes: ${minutes}. There are ${questions} follow-ups. Then eight minutes of marking, with evidence, and a report of one page.`));
}

function form({ cuts, lengths, levels }) {
  const radio = (name, value, isChecked, title, text) =>
    h("label.choice", {}, h("input", { type: "radio", name, value, checked: isChecked }), h("span", {}, h("strong", {}, title), text && h("span.muted", {}, ` ${text}`)));
  const group = (title, ...choices) => h("fieldset", {}, h("legend", {}, title), ...choices);
  const start = h("button.primary", { id: "begin" }, "Begin");
  return h("form.card.setup", { onsubmit: (event) => begin(event, start) },
    group("Cut", ...cuts.map((cut, index) => radio("cut", cut.id, index === 0, cut.title, `${cut.where}. ${cut.brief}`))),
    group("Level", ...levels.map((level) => radio("level", level.id, level.id === "senior", level.title, `${level.dives} deep dives; breadth ${level.breadth}, depth ${level.depth}`))),
    group("Minutes", ...lengths.map((length) => radio("minutes", length, length === 45, String(length)))),
    group("Interviewer",
      radio("partner", "no", true, "This page", "It asks the follow-ups; you mark yourself"),
      radio("partner", "yes", false, "A partner", "They get a link, read what the page gives them, and mark as well. They need not know the subject")),
    h("div.actions", {}, start, SPEED > 1 && h("span.muted", {}, `On fast-forward: ${SPEED} times.`)));
}

async function begin(event, button) {
  event.preventDefault();
  const chosen = new FormData(event.target);
  button.disabled = true;
  try {
    const body = { cut: chosen.get("cut"), level: chosen.get("level"), minutes: Number(chosen.get("minutes")), speed: SPEED, partner: chosen.get("partner") === "yes" };
    if (SEED !== null) body.seed = Number(SEED);
    const { id } = await call("/sessions", body);
    location.assign(`/rehearse/sessions/${id}`);
  } catch (error) {
    button.disabled = false;
    say(error.message);
  }
}

function list(sessions, unreadable) {
  const line = ({ path, created_at, cut, level, minutes, stage, percent, is_guest }) =>
    h("li", {}, h("a", { href: path }, `${created_at.slice(0, 16).replace("T", " ")} · ${cut} · ${level} · ${minutes} min`),
      is_guest && h("span.muted", {}, " you ask, your partner answers;"),
      h("span.muted", {}, percent === null ? ` ${words(stage)}: open it to continue` : ` ${percent} of 100`));
  return h("section", { "aria-labelledby": "sessions-title" },
    h("h2", { id: "sessions-title" }, "Your sessions"),
    sessions.length ? h("ol.sessions", {}, ...sessions.map(line)) : h("p.muted", {}, "None yet."),
    ...unreadable.map((text) => h("p.unreadable", { role: "alert" }, text)));
}

function plan(days) {
  return h("details.plan", {}, h("summary", {}, "A plan for 14 days"),
    h("ol", {}, ...days.map(({ day, title, what, run }) => h("li", {}, h("strong", {}, `Day ${day}: ${title}.`), ` ${what} `, run && h("code", {}, run)))));
}
