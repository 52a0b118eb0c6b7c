// The trip panel.

import { call } from "./api.js";
import { metersBetween } from "./car.js";
import { h, meters, money, seconds, time, update, words } from "./dom.js";
import { draw, machines } from "./state_machine.js";
import { ledgerSection, paymentSection, providerSection, receiptSection } from "./money.js";
import { absent, apology, facts, head, section, table } from "./panel.js";
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
  const about = h("div");
  const away = h("span.number");
  let car = null;
  const purse = () => trip?.payment_id;
  const parts = [
    section("State", () => picture(events), { open: true }),
    section(
      "History",
      () => events.length > 0 && { data: events, note: `${events.length} events`, show: () => history(events) },
      { open: true },
    ),
    section("Why this driver", () => explain(id), { open: true }),
  ];
  const money = [
    timelineSection(() => id),
    paymentSection(purse, { open: true }),
    ledgerSection(id),
    providerSection(purse),
    receiptSection(id),
  ];
  element.append(head("trip", id, badges), about, ...[...parts, ...money].map((part) => part.details));

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
  const row = (event) => ({
    cells: [event.seq, time(event.at), words(event.data?.command ?? event.type), badge(event.to), event.actor],
  });
  return table("History of the trip", ["#", "Time", "Step", "State", "By"], events.map(row));
}

async function explain(id) {
  const answer = await call({ as: "ops", path: `/v1/trips/${id}/explain`, quiet: true });
  if (!answer.ok) return absent(answer, "Trip not found.");
  const cycles = answer.body.match_cycles;
  if (cycles.length === 0) return { data: 0, show: () => h("p.muted", {}, "No match cycle has looked at this trip yet.") };
  return {
    data: cycles,
    note: cycles.length === 1 ? "1 match cycle" : `${cycles.length} match cycles`,
    show: () => cycles.flatMap(matchCycle),
  };
}

function matchCycle({ offers_before, decided_at, considered, candidates, cycle, waited_ms, skip_cost_ms, search_time }) {
  const title = `Match cycle ${offers_before + 1}`;
  return [
    h("p.small.muted", {}, `${title}, ${time(decided_at)}: ${considered} considered.`),
    cycle && h("p.small", {}, cycleInWords(cycle, waited_ms, skip_cost_ms)),
    search_time && h("p.small", {}, searchInWords(search_time)),
    candidates.length > 0 &&
      table(
        `Candidates of match cycle ${offers_before + 1}`,
        ["Driver", "Away", "Drive", "Position", "Verdict"],
        candidates.map(candidate),
        ["Away", "Drive", "Position"],
      ),
    ...candidates.filter((one) => one.exchange).slice(0, 3).map(exchangeInWords),
  ];
}

const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function cycleInWords({ policy, trips, drivers, edges, computed_us }, waited_ms, skip_cost_ms) {
  const size = `${counted(trips, "trip")} and ${counted(drivers, "driver")}, ${counted(edges, "pair")}`;
  const cost = `this trip had waited ${seconds(waited_ms / 1000)}; leaving it out costs ${seconds(skip_cost_ms / 1000)}`;
  return `${words(policy)}: ${size}, computed in ${(computed_us / 1000).toFixed(1)} ms; ${cost}.`;
}

function searchInWords({ for_driver_ms, for_service_ms }) {
  return `Waited ${seconds(for_driver_ms / 1000)} for a driver and ${for_service_ms} ms for the service.`;
}

function exchangeInWords({ driver_id, eta_s, taken_by, exchange }) {
  const { eta_s: other_eta_s, cost_ms, exchanged_cost_ms } = exchange;
  const costs = `Together both trips cost ${seconds(cost_ms / 1000)}; with the drivers exchanged, ${seconds(exchanged_cost_ms / 1000)}.`;
  return h(
    "p.small",
    {},
    link("driver", driver_id),
    `, ${seconds(eta_s)} from here, goes to `,
    link("trip", taken_by),
    `, ${seconds(other_eta_s)} from there. ${costs}`,
  );
}

function candidate({ driver_id, distance_m, eta_s, eta_source, position_age_ms, verdict }) {
  const age = `${(position_age_ms / 1000).toFixed(1)} s old`;
  const drive = `${seconds(eta_s)}${eta_source === "streets" ? "" : " (estimate)"}`;
  return {
    mark: verdict === "chosen" ? "chosen" : null,
    cells: [link("driver", driver_id), meters(distance_m), drive, age, words(verdict)],
  };
}
