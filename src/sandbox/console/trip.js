// A trip, looked into.

import { call } from "./api.js";
import { metresBetween } from "./car.js";
import { h, metres, money, seconds, time, update, words } from "./dom.js";
import { draw, machines } from "./machine.js";
import { ledgerSection, paymentSection, providerSection, receiptSection } from "./money.js";
import { absent, apology, facts, head, section, table } from "./panel.js";
import { myRider } from "./session.js";
import { OVER, badge, followTrip, link } from "./trips.js";

/** Money is on its way for a moment after a trip is over; for how long depends on the provider. */
const MONEY_EVERY_MS = 1500;
const MONEY_TIMES_MAX = 80;

/** Shows a trip as it goes on; returns a function that stops it. */
export function inspectTrip(element, id) {
  let trip = null;
  let events = [];
  const badges = h("span");
  const about = h("div");
  const away = h("span.number");
  let car = null;
  const purse = () => trip?.payment_id;
  const parts = [
    section("State", () => picture(events), { open: true }),
    section(
      "History",
      () => events.length > 0 && { news: events, note: `${events.length} events`, show: () => history(events) },
      { open: true },
    ),
    section("Why this driver", () => explain(id), { open: true }),
  ];
  const money = [paymentSection(purse, { open: true }), ledgerSection(id), providerSection(purse), receiptSection(id)];
  element.append(head("trip", id, badges), about, ...[...parts, ...money].map((part) => part.details));

  function show(now, all) {
    [trip, events] = [now, all];
    update(badges, trip.state, () => badge(trip.state));
    update(about, [trip, car], () => summary(trip, car, away));
    if (trip.driver_id !== (car?.driver_id ?? null) && !OVER.includes(trip.state)) readCar();
    for (const part of [...parts, ...money]) part.refresh();
  }

  async function readCar() {
    const answer = trip.driver_id ? await call({ as: "ops", path: `/v1/trips/${id}/driver`, quiet: true }) : null;
    car = answer?.ok ? answer.body : null;
    update(about, [trip, car], () => summary(trip, car, away));
  }

  function showAway(position) {
    const isRiding = trip?.state === "in_progress";
    if (trip)
      away.textContent = `${metres(metresBetween(position, isRiding ? trip.dropoff : trip.pickup))} from the ${isRiding ? "drop-off" : "pickup"}`;
  }

  let left = MONEY_TIMES_MAX;
  const timer = setInterval(() => {
    if (!trip) return;
    if (OVER.includes(trip.state) && left-- === 0) clearInterval(timer);
    for (const part of money) part.refresh();
  }, MONEY_EVERY_MS);
  let stopFollowing = () => {};
  let isStopped = false;
  (async () => {
    const [first, me] = [await call({ as: "ops", path: `/v1/trips/${id}`, quiet: true }), await myRider()];
    if (isStopped) return;
    if (!first.ok) return about.replaceChildren(apology(first, "There is no such trip."));
    show(first.body, []);
    // Only its own rider sees a trip's PIN.
    const as = first.body.rider_id === me ? "rider" : "ops";
    stopFollowing = followTrip(id, { as, onTrip: show, onPosition: showAway });
  })();
  return () => {
    isStopped = true;
    clearInterval(timer);
    stopFollowing();
  };
}

async function picture(events) {
  const { trip: machine } = await machines();
  if (!machine || events.length === 0) return null;
  const path = events.map((event) => event.to);
  return { news: path, show: () => draw(machine, path) };
}

function summary(trip, car, away) {
  const place = ({ lat, lon }) => h("span.number", {}, `${lat.toFixed(5)}, ${lon.toFixed(5)}`);
  return facts([
    ["Rider", link("rider", trip.rider_id)],
    ["Driver", trip.driver_id && link("driver", trip.driver_id)],
    ["Car", car && `${car.name}, ${car.plate}`],
    ["Is now", car && !OVER.includes(trip.state) && away],
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

async function explain(id) {
  const answer = await call({ as: "ops", path: `/v1/trips/${id}/explain`, quiet: true });
  if (!answer.ok) return absent(answer, "There is no such trip.");
  const { rounds } = answer.body;
  if (rounds.length === 0) return { news: 0, show: () => h("p.muted", {}, "Nobody has been looked for yet.") };
  return {
    news: rounds,
    note: rounds.length === 1 ? "1 round" : `${rounds.length} rounds`,
    show: () => rounds.flatMap(round),
  };
}

function round({ round, decided_at, considered, radius_m, candidates }) {
  const title = `Round ${round + 1}`;
  return [
    h("p.small.muted", {}, `${title}, ${time(decided_at)}: ${considered} considered within ${metres(radius_m)}.`),
    candidates.length > 0 &&
      table(
        `Candidates of round ${round + 1}`,
        ["Driver", "Away", "Drive", "Position", "Verdict"],
        candidates.map(candidate),
        ["Away", "Drive", "Position"],
      ),
  ];
}

function candidate({ driver_id, distance_m, eta_s, position_age_ms, verdict }) {
  const age = `${(position_age_ms / 1000).toFixed(1)} s old`;
  return {
    mark: verdict === "chosen" ? "chosen" : null,
    cells: [link("driver", driver_id), metres(distance_m), seconds(eta_s), age, words(verdict)],
  };
}
