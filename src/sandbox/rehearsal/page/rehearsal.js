// The page of rehearsals: asks the service for the session, shows the part that is going on, and sends what the candidate does.

import { h } from "/console/dom.js";
import { showInterview } from "./rehearsal_interview.js";
import { showCanned, showMarking } from "./rehearsal_marking.js";
import { showReport } from "./rehearsal_report.js";
import { showStart } from "./rehearsal_start.js";

const TICK_MS = 5000;
const AGAIN_MS = 1000;
const API = "/rehearse/api";

const main = document.getElementById("rehearsal");
const status = document.getElementById("rehearsal-status");
const id = location.pathname.match(/^\/rehearse\/sessions\/([\w-]+)/)?.[1];

/** Shows a line at the end of the page; an empty one hides it. */
export const say = (text) => (status.textContent = text);

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends a request and returns the body. A refusal is an error with the service's detail. */
export async function call(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(API + path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  const answer = await response.json();
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.detail ?? answer.title), { status: response.status });
}

/** A request that is sent again until the service answers: it may be restarting. */
async function insist(path, body) {
  for (;;) {
    try {
      const answer = await call(path, body);
      if (main.dataset.connection === "lost") say("");
      main.dataset.connection = "ok";
      return answer;
    } catch (error) {
      if (error.status && error.status < 500) throw error;
      main.dataset.connection = "lost";
      say(error.status ? error.message : "The service does not answer. What you type is kept on this page and sent when it is back.");
      await pause(AGAIN_MS);
    }
  }
}

let sent = Promise.resolve();
let view = null;
let receivedAt = 0;

/** Sends a command after those before it, and shows the session that results. Returns whether it was accepted. */
export function send(command) {
  const sending = sent.then(async () => {
    try {
      show(await insist(`/sessions/${id}`, command));
      return true;
    } catch (error) {
      say(error.message);
      show(await insist(`/sessions/${id}`));
      return false;
    }
  });
  sent = sending.catch((error) => say(`The page cannot be shown: ${error.message}`));
  return sending;
}

/** The second of the interview by the page's own clock, which the service corrects with each answer. */
export function elapsedS() {
  const isRunning = view.stage === "interview" && main.dataset.connection !== "lost";
  const since = isRunning ? (performance.now() - receivedAt) * view.setup.speed : 0;
  return Math.min((view.elapsed_ms + since) / 1000, view.total_s);
}

const STAGES = { ready: showInterview, interview: showInterview, canned: showCanned, marking: showMarking, done: showReport };

function show(next) {
  view = next;
  receivedAt = performance.now();
  if (main.dataset.stage !== view.stage) {
    main.replaceChildren();
    say("");
    scrollTo(0, 0);
  }
  main.dataset.stage = view.stage;
  STAGES[view.stage](main, view);
}

async function begin() {
  if (!id) {
    main.dataset.stage = "start";
    const [choices, listed] = await Promise.all([insist("/choices"), insist("/sessions").catch((error) => ({ sessions: [], unreadable: [error.message] }))]);
    return showStart(main, choices, listed);
  }
  show(await insist(`/sessions/${id}`));
  setInterval(() => {
    if (view.stage === "interview" && main.dataset.connection !== "lost") send({ do: "tick" });
  }, TICK_MS / Math.min(view.setup.speed, 10));
}

begin().catch((error) => main.replaceChildren(h("p.card", {}, error.message, " ", h("a", { href: "/rehearse" }, "All rehearsals"))));
