// The trip panel.

import { call } from "./api.js";
import { metersBetween } from "./car.js";
import { h, meters, money, seconds, time, update, words } from "./dom.js";
import { explainSection } from "./explain.js";
import { draw, machines } from "./state_machine.js";
import { ledgerSection, paymentSection, providerSection, receiptSection } from "./money.js";
import { apology, facts, head, section, table } from "./panel.js";
import { myRider } from "./session.js";
import { isOver, riderInCar } from "./states.js";
import { timelineSection } from "./timeline.js";
import { badge, followTrip, link } from "./trips.js";

/** Payments settle a moment after a trip ends; how long depends on the provider. */
const MONEY_EVERY_MS = 1500;
const MONEY_TIMES_MAX = 80;

/** Shows a trip with live updates; returns a function that stops it. */
export function inspectTrip(element, id) {
  let trip = null;
  let events = [];
  const badges = h("span");
  const whose = h("p.whose.small.muted");
  const about = h("div");
  const away = h("span.number");
  let car = null;
  const purse = () => trip?.payment_id;
  const why = explainSection(() => trip, () => car?.name ?? null);
  const parts = [
    section("State", () => picture(events), { open: true }),
    section(
      "History",
      () => events.length > 0 && { data: events, note: `${events.length} events`, show: () => history(events) },
      { open: true },
    ),
    why,
  ];
  const money = [
    timelineSection(() => id),
    paymentSection(purse, { open: true }),
    ledgerSection(id),
    providerSection(purse),
    receiptSection(id),
  ];
  element.append(head("trip", id, badges), whose, about, ...[...parts, ...money].map((part) => part.details));

  function show(now, all) {
    [trip, events] = [now, all];
    update(badges, trip.state, () => badge(trip.state));
    update(about, [trip, car], () => summary(trip, car, away));
    if (trip.driver_id !== (car?.driver_id ?? null) && !isOver(trip.state)) readCar();
    for (const part of [...parts, ...money]) part.refresh();
  }

  async function readCar() {
    const answer = trip.driver_id ? await call({ as: "ops", path: `/v1/trips/${id}/driver`, quiet: true }) : null;
    car = answer?.ok ? answer.body : null;
    update(about, [trip, car], () => summary(trip, car, away));
  }

  function showAway(position, eta_s) {
    const isRiding = riderInCar(trip?.state);
    if (!trip) return;
    const distance = meters(metersBetween(position, isRiding ? trip.dropoff : trip.pickup));
    const drive = eta_s === undefined ? "" : `, ${seconds(eta_s)} of driving`;
    away.textContent = `${distance} from the ${isRiding ? "drop-off" : "pickup"}${drive}`;
  }

  let left = MONEY_TIMES_MAX;
  const timer = setInterval(() => {
    if (!trip) return;
    if (isOver(trip.state) && left-- === 0) clearInterval(timer);
    for (const part of money) part.refresh();
  }, MONEY_EVERY_MS);
  let stopFollowing = () => {};
  let isStopped = false;
  (async () => {
    const [first, me] = [await call({ as: "ops", path: `/v1/trips/${id}`, quiet: true }), await myRider()];
    if (isStopped) return;
    if (!first.ok) return about.replaceChildren(apology(first, "Trip not found."));
    show(first.body, []);
    whose.textContent = first.body.rider_id === me ? "Your own ride" : "A ride of another rider";
    // Only its own rider sees a trip's PIN.
    const as = first.body.rider_id === me ? "rider" : "ops";
    stopFollowing = followTrip(id, { as, onTrip: show, onPosition: showAway });
  })();
  return () => {
    isStopped = true;
    clearInterval(timer);
    stopFollowing();
    why.stop();
  };
}

async function picture(events) {
  const { trip: machine } = await machines();
  if (!machine || events.length === 0) return null;
  const path = events.map((event) => event.to);
  return { data: path, show: () => draw(machine, path) };
}

function summary(trip, car, away) {
  const place = ({ lat, lon }) => h("span.number", {}, `${lat.toFixed(5)}, ${lon.toFixed(5)}`);
  return facts([
    ["Rider", link("rider", trip.rider_id)],
    ["Driver", trip.driver_id && link("driver", trip.driver_id)],
    ["Car", car && `${car.name}, ${car.plate}`],
    ["Distance", car && !isOver(trip.state) && away],
    ["PIN", trip.pin && !isOver(trip.state) && h("strong.mono", {}, trip.pin)],
    ["From", place(trip.pickup)],
    ["To", place(trip.dropoff)],
    ["Price", `${money(trip.price)}, ${trip.class}`],
    ["Charged", trip.fare && money(trip.fare)],
    ["Offers made", trip.offers_made],
    ["Cancelled by", trip.cancelled_by],
  ]);
}

function history(events) {
  const row = (event, index) => ({
    cells: [event.seq, time(event.at), words(event.data?.command ?? event.type), badge(event.to, { isPast: index < events.length - 1 }), event.actor],
  });
  return table("History of the trip", ["#", "Domain time", "Step", "State", "By"], events.map(row));
}
