// The domain clock, cached between two readings.

import { call } from "./api.js";
import { on } from "./bus.js";

/** Another client may set the clock without this page knowing: it is read again after this time. */
const STALE_MS = 2000;
let read = null;

function keep(clock) {
  read = { domain: Date.parse(clock.domain), scale: clock.scale, at: performance.now() };
}
on("clock", keep);

/** Returns the current domain time in milliseconds since 1970; machine time if the service does not answer. */
export async function domainNow() {
  if (!read || performance.now() - read.at > STALE_MS) {
    const answer = await call({ as: null, path: "/v1/sandbox/clock", quiet: true });
    if (answer.ok) keep(answer.body);
  }
  return read ? read.domain + (performance.now() - read.at) * read.scale : Date.now();
}

/** Discards the cached reading, because the clock may have been set. */
export const forgetClock = () => (read = null);

/** Domain seconds per second. */
export const scale = () => read?.scale ?? 1;
