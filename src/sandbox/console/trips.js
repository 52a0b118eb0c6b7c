// Trips as the panels share them: how a state looks, a row of a list, and one stream of a trip's events with all that is known.

import { call, stream } from "./api.js";
import { emit } from "./bus.js";
import { h, money, short, time, words } from "./dom.js";

/** The states in which nothing happens to a trip any more. */
export const OVER = ["completed", "cancelled", "no_show", "no_driver", "payment_failed", "aborted"];

const LOOKS = {
  good: ["completed", "captured", "accepted", "succeeded", "online"],
  warn: ["requested", "searching", "offered", "pending", "authorizing", "capturing", "voiding"],
  bad: ["no_driver", "payment_failed", "aborted", "no_show", "declined", "capture_failed", "auth_expired", "failed"],
  plain: ["cancelled", "voided", "expired", "withdrawn", "offline"],
};

/** A state as a word with a colour. */
export function badge(state) {
  const look = Object.keys(LOOKS).find((look) => LOOKS[look].includes(state));
  return h(look ? `span.state.${look}` : "span.state", {}, words(state));
}

/** An id that selects what it names. */
export const link = (kind, id) =>
  id
    ? h(
        "button.link.mono",
        { type: "button", title: id, "data-focus": id, onclick: () => emit("select", { kind, id }) },
        short(id),
      )
    : "–";

/** A trip in a list. */
export function tripRow(trip) {
  return h(
    "li",
    {},
    h(
      "button.item",
      { type: "button", "data-focus": trip.id, onclick: () => emit("select", { kind: "trip", id: trip.id }) },
      h("span.mono", {}, short(trip.id)),
      badge(trip.state),
      h("span.muted", {}, time(trip.requested_at)),
      h("span.amount", {}, money(trip.fare ?? trip.price)),
    ),
  );
}

/**
 * Follows a trip until it is over: `onTrip(trip, events)` after each step, `onPosition(position)` while a driver comes. Whoever
 * looks as the rider sees the PIN. Returns a function that stops it.
 */
export function followTrip(id, { as, subject, onTrip, onPosition = () => {} }) {
  const events = [];
  let latest = 0;
  const read = async (wanted) => {
    const answer = await call({ as, subject, path: `/v1/trips/${id}`, quiet: true });
    // A slower answer to an earlier question is no news.
    if (answer.ok && wanted === latest) onTrip(answer.body, [...events]);
  };
  return stream({
    as,
    subject,
    path: `/v1/trips/${id}/events`,
    onEvent(type, data) {
      if (type === "driver_position") {
        onPosition(data.position);
        return true;
      }
      events.push(data);
      read(++latest);
      return !OVER.includes(data.to);
    },
  });
}
