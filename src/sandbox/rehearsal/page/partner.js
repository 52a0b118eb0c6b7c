// The partner's page: shows the mirrored session, and sends ticks, curveballs, follow-ups and marks, one after the other. What is not
// sent yet is kept in the browser, so that neither a restart of the service nor of the page loses it.

import { h } from "/console/dom.js";
import { call, connected, isOutage, pause, say } from "./rehearsal_connection.js";
import { showPartnerInterview } from "./partner_interview.js";
import { showBriefing, showPartnerMarking, showPartnerResult, showPartnerWaiting } from "./partner_marking.js";
import { showPresence } from "./rehearsal_pair.js";

const POLL_MS = 2000;
const AGAIN_MS = 1000;
const WAITING_MAX = 200;

const CANDIDATE = {
  here: "The candidate is here.",
  away: "The candidate is away: their page is closed, or offline. The clock waits for them, and what you did is kept.",
};

const main = document.getElementById("rehearsal");
const token = /^\/rehearse\/partner\/([\w-]+)/.exec(location.pathname)?.[1];

/** The session's path below the API. */
export const base = `/partner/${token}`;

/** The name of this page, which a reload keeps: a session has one partner's page. */
function pageName() {
  const kept = sessionStorage.getItem("rehearsal.page");
  if (kept) return kept;
  const name = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  sessionStorage.setItem("rehearsal.page", name);
  return name;
}

const path = `${base}?page=${pageName()}`;
const store = `rehearsal.waiting.${token}`;
// Commands that are not sent yet, and what waits for their answers.
const waiting = JSON.parse(localStorage.getItem(store) ?? "[]");
const answered = [];
let wake = () => {};
let view = null;
let receivedAt = 0;

function keepWaiting() {
  if (waiting.length > 0) localStorage.setItem(store, JSON.stringify(waiting));
  else localStorage.removeItem(store);
}

/** Sends a command after those before it. Returns whether it was accepted. */
export function send(command) {
  if (waiting.length >= WAITING_MAX) {
    say("The service has not answered for too long: this was not noted.");
    return Promise.resolve(false);
  }
  return new Promise((resolve) => {
    waiting.push(command);
    answered[waiting.length - 1] = resolve;
    keepWaiting();
    wake();
  });
}

/** The first command has its answer. */
function settle(isAccepted) {
  waiting.shift();
  keepWaiting();
  answered.shift()?.(isAccepted);
}

/** Sends the first command that waits, or asks for the session. Returns whether to go on, and whether at once. */
async function exchange() {
  const command = waiting[0];
  try {
    const next = await call(path, command);
    connected();
    if (command) settle(true);
    // A form that is drawn once begins with every tick: those that wait come first.
    if (waiting.length === 0 || next.stage === main.dataset.stage) show(next);
    return { after: waiting.length > 0 ? 0 : POLL_MS / Math.min(next.setup.speed, 5) };
  } catch (error) {
    if (isOutage(error)) {
      const count = waiting.length === 0 ? "" : ` ${waiting.length} of your entries are kept in this browser, and sent when it is back.`;
      connected(error, `The service does not answer.${count}`);
      return { after: AGAIN_MS };
    }
    if (!command || error.status === 404 || error.field === "page") {
      stop(error);
      return null;
    }
    settle(false);
    say(error.message);
    return { after: 0 };
  }
}

/** The link is unknown, or another page has it. */
function stop(error) {
  showPresence(null, CANDIDATE);
  main.dataset.stage = "stopped";
  main.replaceChildren(h("section.card", {}, h("h1", {}, error.field === "page" ? "Another page has this link" : "No session"), h("p", {}, error.message),
    h("div.actions", {}, h("button", { id: "again", onclick: () => location.reload() }, "Try again"))));
}

async function run() {
  for (let next = await exchange(); next; next = await exchange()) {
    // A command may have come with the answer to the one before it, as handing in does after saving.
    const isIdle = waiting.length === 0 || main.dataset.connection === "lost";
    if (next.after > 0 && isIdle) await Promise.race([pause(next.after), new Promise((resolve) => (wake = resolve))]);
    // While the service does not answer, a command waits like the rest.
    if (main.dataset.connection === "lost") await pause(AGAIN_MS / 2);
  }
}

/** The second of the interview by the page's own clock, which the service corrects with each answer. */
export function elapsedS() {
  const isRunning = view.stage === "interview" && view.candidate_is_present && main.dataset.connection !== "lost";
  const since = isRunning ? (performance.now() - receivedAt) * view.setup.speed : 0;
  return Math.min((view.elapsed_ms + since) / 1000, view.total_s);
}

const STAGES = { ready: showBriefing, interview: showPartnerInterview, marking: showPartnerMarking, waiting: showPartnerWaiting, done: showPartnerResult, closed: showPartnerResult };

function show(next) {
  view = next;
  receivedAt = performance.now();
  if (main.dataset.stage !== view.stage) {
    main.replaceChildren();
    say("");
    scrollTo(0, 0);
  }
  main.dataset.stage = view.stage;
  const isOver = view.stage === "done" || view.stage === "closed";
  showPresence(isOver ? null : view.candidate_is_present, CANDIDATE);
  STAGES[view.stage](main, view);
}

/** Presses the button whose key it is. A key does nothing in a field, with a modifier, or when keys are switched off. */
function onKey(event) {
  const isTyping = event.target.closest?.("textarea, select, input:not([type=checkbox]):not([type=radio])");
  if (isTyping || event.repeat || event.ctrlKey || event.altKey || event.metaKey || main.dataset.keys === "off") return;
  const button = main.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button || button.disabled) return;
  event.preventDefault();
  button.click();
}

document.addEventListener("keydown", onKey);
run();
