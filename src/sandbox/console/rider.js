// The rider panel: their trips.

import { call } from "./api.js";
import { h, update } from "./dom.js";
import { apology, head } from "./panel.js";
import { myRider } from "./session.js";
import { isOver } from "./states.js";
import { badge, tripRow } from "./trips.js";

const EVERY_MS = 3000;

/** Shows a rider's trips, `me` for this browser's own; returns a function that stops it. */
export function inspectRider(element, id) {
  const subject = id === "me" ? undefined : id;
  const badges = h("span");
  const list = h("ul.list");
  async function refresh() {
    const answer = await call({ as: "rider", subject, path: "/v1/trips?limit=50", quiet: true });
    if (!answer.ok) return list.replaceChildren(h("li", {}, apology(answer, "Rider not found.")));
    const trips = answer.body.items;
    const active = trips.find((trip) => !isOver(trip.state));
    update(badges, active?.state ?? null, () =>
      active ? badge(active.state) : h("span.muted", {}, "no active trip"),
    );
    update(list, trips, () => (trips.length > 0 ? trips.map(tripRow) : h("li.muted", {}, "No trips yet.")));
  }
  (async () => element.prepend(head("rider", subject ?? (await myRider()) ?? "–", badges)))();
  element.append(h("h3.apart", {}, "Trips"), list);
  const timer = setInterval(refresh, EVERY_MS);
  refresh();
  return () => clearInterval(timer);
}
