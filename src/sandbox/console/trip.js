// A trip, looked into.

import { call } from "./api.js";
import { h, metres, money, seconds, time, words } from "./dom.js";
import { draw, machines } from "./machine.js";
import { ledgerSection, paymentSection, providerSection, receiptSection } from "./money.js";
import { absent, facts, head, section, table } from "./panel.js";
import { myRider } from "./session.js";
import { OVER, badge, followTrip, link } from "./trips.js";

/** Money is on its way for a moment after a trip is over. */
const MONEY_EVERY_MS = 1500;

/** Shows a trip as it goes on; returns a function that stops it. */
export function inspectTrip(element, id) {
  let trip = null;
  let events = [];
  const badges = h("span");
  const about = h("div");
  const parts = [
    section("State", async (body) => {
      const { trip: machine } = await machines();
      if (machine && events.length > 0) body.replaceChildren(draw(machine, events.map((event) => event.to)));
    }, { open: true }),
    section("History", async (body, note) => {
      note.textContent = `${events.length} events`;
      body.replaceChildren(history(events));
    }, { open: true }),
    section("Why this driver", (body, note) => explain(id, body, note), { open: true }),
  ];
  const purse = () => trip?.payment_id;
  const money = [paymentSection(purse, { open: true }), ledgerSection(id), providerSection(purse), receiptSection(id)];
  element.append(head("trip", id, badges), about, ...parts.concat(money).map((part) => part.details));

  const show = (now, all) => {
    [trip, events] = [now, all];
    badges.replaceChildren(badge(trip.state));
    about.replaceChildren(summary(trip));
    for (const part of [...parts, ...money]) part.refresh();
  };
  const timer = setInterval(() => trip && money.forEach((part) => part.refresh()), MONEY_EVERY_MS);
  let stopFollowing = () => {};
  let isStopped = false;
  (async () => {
    const [first, me] = [await call({ as: "ops", path: `/v1/trips/${id}`, quiet: true }), await myRider()];
    if (isStopped) return;
    if (!first.ok) return absent(about, first, "There is no such trip.");
    // Only its own rider sees a trip's PIN.
    const as = first.body.rider_id === me ? "rider" : "ops";
    stopFollowing = followTrip(id, { as, onTrip: show });
  })();
  return () => {
    isStopped = true;
    clearInterval(timer);
    stopFollowing();
  };
}

function summary(trip) {
  const place = ({ lat, lon }) => h("span.number", {}, `${lat.toFixed(5)}, ${lon.toFixed(5)}`);
  return facts([
    ["Rider", link("rider", trip.rider_id)],
    ["Driver", trip.driver_id && link("driver", trip.driver_id)],
    ["PIN", trip.pin && !OVER.includes(trip.state) && h("strong.mono", {}, trip.pin)],
    ["From", place(trip.pickup)],
    ["To", place(trip.dropoff)],
    ["Price", `${money(trip.price)}, ${trip.class}`],
    ["Charged", trip.fare && money(trip.fare)],
    ["Drivers asked", trip.offers_made],
    ["Called off by", trip.cancelled_by],
  ]);
}

function history(events) {
  const row = (event) => ({
    cells: [event.seq, time(event.at), words(event.data?.command ?? event.type), badge(event.to), event.actor],
  });
  return table("History of the trip", ["#", "Time", "Step", "State", "By"], events.map(row));
}

async function explain(id, body, note) {
  const answer = await call({ as: "ops", path: `/v1/trips/${id}/explain`, quiet: true });
  if (!answer.ok) return absent(body, answer, "There is no such trip.");
  const { rounds } = answer.body;
  note.textContent = rounds.length === 1 ? "1 round" : `${rounds.length} rounds`;
  if (rounds.length === 0) return body.replaceChildren(h("p.muted", {}, "Nobody has been looked for yet."));
  body.replaceChildren(...rounds.flatMap((round) => [
    h("p.small.muted", {}, `Round ${round.round + 1}, ${time(round.decided_at)}: ${round.considered} considered within ${metres(round.radius_m)}.`),
    round.candidates.length > 0 && table(`Candidates of round ${round.round + 1}`, ["Driver", "Away", "Drive", "Position", "Verdict"], round.candidates.map(candidate), ["Away", "Drive", "Position"]),
  ].filter(Boolean)));
}

function candidate({ driver_id, distance_m, eta_s, position_age_ms, verdict }) {
  const age = `${(position_age_ms / 1000).toFixed(1)} s old`;
  return { mark: verdict === "chosen" ? "chosen" : null, cells: [link("driver", driver_id), metres(distance_m), seconds(eta_s), age, words(verdict)] };
}
