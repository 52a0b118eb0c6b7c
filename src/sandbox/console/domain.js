// The domain clock, kept between two readings: offers, deadlines and positions go by it.

import { call } from "./api.js";
import { on } from "./bus.js";

/** Whoever else sets the clock does not tell this page: it is read again after so long. */
const STALE_MS = 2000;
let read = null;

function keep(clock) {
  read = { domain: Date.parse(clock.domain), scale: clock.scale, at: performance.now() };
}
on("clock", keep);

/** Domain time now, milliseconds since 1970; the machine's if the service does not say. */
export async function domainNow() {
  if (!read || performance.now() - read.at > STALE_MS) {
    const answer = await call({ as: null, path: "/v1/sandbox/clock", quiet: true });
    if (answer.ok) keep(answer.body);
  }
  return read ? read.domain + (performance.now() - read.at) * read.scale : Date.now();
}

/** The clock was set, it seems: what was read of it is worth nothing. */
export const forgetClock = () => (read = null);

/** Domain seconds per second. */
export const scale = () => read?.scale ?? 1;
