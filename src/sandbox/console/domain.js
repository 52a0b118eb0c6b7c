// The domain clock, cached between two readings; how its times are shown; and its speed.

import { call } from "./api.js";
import { emit, on } from "./bus.js";
import { h, time } from "./dom.js";

const PATH = "/v1/sandbox/clock";
/** Another client may set the clock without this page knowing: it is read again after this time. */
const STALE_MS = 2000;
/** The speeds to choose from, domain seconds per second. */
const SPEEDS = [1, 5, 20, 60, 200];
let read = null;

function keep(clock) {
  const limit = clock.sustainable_scale ?? SPEEDS.at(-1);
  read = { domain: Date.parse(clock.domain), scale: clock.scale, limit, at: performance.now() };
}
on("clock", keep);

/** Returns the current domain time in milliseconds since 1970; machine time if the service does not answer. */
export async function domainNow() {
  if (!read || performance.now() - read.at > STALE_MS) {
    const answer = await call({ as: null, path: PATH, quiet: true });
    if (answer.ok) keep(answer.body);
  }
  return domainLast();
}

/** The same by the last reading, without a call. */
export const domainLast = () => (read ? read.domain + (performance.now() - read.at) * read.scale : Date.now());

/** Discards the cached reading, because the clock may have been set. */
export const forgetClock = () => (read = null);

/** Domain seconds per second. */
export const scale = () => read?.scale ?? 1;

/** The speeds that the service keeps up with on this machine, as it measures while it runs. */
export const speeds = () => SPEEDS.filter((speed) => speed <= (read?.limit ?? SPEEDS.at(-1)));

/** Sets the clock, and returns the answer. */
export async function setClock(body, why) {
  const answer = await call({ as: null, method: "POST", path: PATH, body, why });
  if (answer.ok) emit("clock", answer.body);
  return answer;
}

const EXPLAINED = "Domain time: the clock of rides, offers and deadlines. It can run faster than your clock, and jump.";

/** A domain time, labelled. Every domain time on the page is shown by this, or below a heading that says so. */
export const domainTime = (stamp) =>
  h("time.domain", { title: EXPLAINED, datetime: stamp ?? false }, time(stamp), h("small.domain-label", {}, " domain"));

/** The same as text. */
export const domainText = (stamp) => `${time(stamp)} domain time`;
