// Shared by the panels: state badges, list rows, and a subscription to one trip with its events.

import { pathOf } from "./address.js";
import { call, stream } from "./api.js";
import { h, money, short, words } from "./dom.js";
import { domainTime } from "./domain.js";
import { isOver } from "./states.js";

const LOOKS = {
  good: ["completed", "captured", "accepted", "succeeded", "online"],
  warn: ["requested", "searching", "offered", "pending", "authorizing", "capturing", "voiding"],
  bad: ["no_driver", "payment_failed", "aborted", "no_show", "declined", "capture_failed", "auth_expired", "failed"],
  plain: ["cancelled", "voided", "expired", "withdrawn", "offline"],
};

/** Shows a state as a colored badge; one that is over has no color, because nothing waits there any more. */
export function badge(state, { isPast = false } = {}) {
  const look = isPast ? "plain" : Object.keys(LOOKS).find((look) => LOOKS[look].includes(state));
  return h(look ? `span.state.${look}` : "span.state", {}, words(state));
}

/** A link to an object. */
export const link = (kind, id) =>
  id ? h("a.mono", { href: pathOf({ kind, id }), title: id, "data-focus": id }, short(id)) : "–";

/** A trip as a list row. */
export function tripRow(trip) {
  return h(
    "li",
    {},
    h(
      "a.item",
      { href: pathOf({ kind: "trip", id: trip.id }), "data-focus": trip.id },
      h("span.mono", {}, short(trip.id)),
      badge(trip.state),
      h("span.muted", {}, domainTime(trip.requested_at)),
      h("span.amount", {}, money(trip.fare ?? trip.price)),
    ),
  );
}

/**
 * Follows a trip until it ends: `onTrip(trip, events)` after each transition, `onPosition(position, eta_s)` while a driver drives. The
 * PIN is included when read as the rider. Returns a function that stops it.
 */
export function followTrip(id, { as, subject, onTrip, onPosition = () => {} }) {
  const events = [];
  let latest = 0;
  const read = async (wanted) => {
    const answer = await call({ as, subject, path: `/v1/trips/${id}`, quiet: true });
    // Ignore a response that arrives after a newer one.
    if (answer.ok && wanted === latest) onTrip(answer.body, [...events]);
  };
  return stream({
    as,
    subject,
    path: `/v1/trips/${id}/events`,
    onEvent(type, data) {
      if (type === "driver_position") {
        onPosition(data.position, data.eta_s);
        return true;
      }
      events.push(data);
      read(++latest);
      return !isOver(data.to);
    },
  });
}
