// The candidate's page: asks the service for the session, shows the part that is going on, and sends what the candidate does.

import { h } from "/console/dom.js";
import { insist, say } from "./rehearsal_connection.js";
import { showInterview } from "./rehearsal_interview.js";
import { showCanned, showMarking, showWaiting } from "./rehearsal_marking.js";
import { showPresence } from "./rehearsal_pair.js";
import { showReport } from "./rehearsal_report.js";
import { showStart } from "./rehearsal_start.js";

const TICK_MS = 5000;
// With a partner, whose curveballs and follow-ups are to be seen as they are read aloud.
const PAIR_TICK_MS = 2000;

const PARTNER = {
  here: "Your partner is here.",
  away: "Your partner is away: their page is closed, or offline. Go on: you can ask yourself, and what they did is kept.",
};

const main = document.getElementById("rehearsal");
const address = /^\/rehearse\/(sessions|candidate)\/([\w-]+)/.exec(location.pathname);

/** Whether the page is of the machine's user, and not of a candidate who came by a link. */
export const isOwner = address?.[1] !== "candidate";

/** The session's path below the API. */
export const base = address && `/${address[1]}/${address[2]}`;

let sent = Promise.resolve();
let view = null;
let receivedAt = 0;

/** Runs an exchange after those before it, and returns its result. */
function inTurn(exchange) {
  const running = sent.then(exchange);
  sent = running.catch((error) => say(`The page cannot be shown: ${error.message}`));
  return running;
}

/** Sends a command after those before it, and shows the session that results. Returns whether it was accepted. */
export function send(command) {
  return inTurn(async () => {
    try {
      show(await insist(base, command));
      return true;
    } catch (error) {
      say(error.message);
      show(await insist(base));
      return false;
    }
  });
}

/** The second of the interview by the page's own clock, which the service corrects with each answer. */
export function elapsedS() {
  const isRunning = view.stage === "interview" && main.dataset.connection !== "lost";
  const since = isRunning ? (performance.now() - receivedAt) * view.setup.speed : 0;
  return Math.min((view.elapsed_ms + since) / 1000, view.total_s);
}

const STAGES = { ready: showInterview, interview: showInterview, canned: showCanned, marking: showMarking, waiting: showWaiting, done: showReport };

function show(next) {
  view = next;
  receivedAt = performance.now();
  if (main.dataset.stage !== view.stage) {
    main.replaceChildren();
    say("");
    scrollTo(0, 0);
  }
  main.dataset.stage = view.stage;
  showPresence(view.pair && view.stage !== "done" ? view.pair.is_present : null, PARTNER);
  STAGES[view.stage](main, view);
}

/** A sign of life. With a partner there is one in every part, so that the partner knows whether this page is open. */
function sign() {
  if (main.dataset.connection === "lost") return;
  if (view.stage === "interview" || (view.pair && view.stage !== "done")) send({ do: "tick" });
  // The partner may swap the roles.
  else if (view.pair && !view.pair.is_swapped) inTurn(async () => show(await insist(base)));
}

async function begin() {
  if (!base) {
    main.dataset.stage = "start";
    const [choices, listed] = await Promise.all([insist("/choices"), insist("/sessions").catch((error) => ({ sessions: [], unreadable: [error.message] }))]);
    return showStart(main, choices, listed);
  }
  show(await insist(base));
  setInterval(sign, (view.pair ? PAIR_TICK_MS : TICK_MS) / Math.min(view.setup.speed, 10));
}

begin().catch((error) => main.replaceChildren(h("p.card", {}, error.message, " ", isOwner && h("a", { href: "/rehearse" }, "All rehearsals"))));
