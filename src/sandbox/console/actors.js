// The actors of an experiment: riders and drivers of its own, in the city and of a class of cars that the city does not have. So its
// drivers get none of these trips, and none of its riders get these drivers. What they made is left standing: a driver keeps sending
// positions for some minutes, then completes the ride and goes offline.

import { call } from "./api.js";
import { emit } from "./bus.js";
import { domainNow, scale } from "./domain.js";
import { riderInCar } from "./states.js";
import { corners } from "./streets.js";

/** The class of cars that only experiments have. */
const CLASS = "xl";
/** Where experiments happen without a city. */
const NOWHERE = { lat: 40.75, lon: -73.98 };
/** From the middle of the city to the places of the experiments, which lie around it, degrees of latitude: 1 km. */
const AROUND = 0.009;
const NUDGE = 0.004;
/** The length of a ride to the north and to the east, degrees. */
const RIDE = 0.008;
/** As long as a new driver has had no offer, there is none: a match cycle starts at once. */
const QUIET_MS = 1200;
/** How long a driver stays after an experiment. */
const STAY_MS = 180_000;
/** A driver whose position is older than 30 s of domain time gets no offers; after three minutes the trip is taken away. */
const BEAT_DOMAIN_MS = 8000;
const BEAT_MS_MIN = 250;
const LOOK_EVERY_MS = 150;

/** A call failed that the experiment depends on. */
export class ExperimentFailed extends Error {}

/** Returns a random street corner for the experiment with this number, in the middle of the city, and shows it on the map. */
export async function place(number) {
  const angle = (number * Math.PI) / 3;
  const nudge = () => (Math.random() - 0.5) * NUDGE;
  const { lat, lon } = middle();
  const found = onCorner({ lat: lat + AROUND * Math.sin(angle) + nudge(), lon: lon + AROUND * Math.cos(angle) + nudge() });
  emit("experiment", { place: found, end: dropoffOf(found), for_ms: STAY_MS });
  return found;
}

const dropoffOf = (pickup) => onCorner({ lat: pickup.lat + RIDE, lon: pickup.lon + RIDE });

/** Returns the mean of all street corners: streets are dense where the city's center is. */
function middle() {
  const all = corners();
  if (all.length === 0) return NOWHERE;
  const mean = (axis) => all.reduce((sum, corner) => sum + corner[axis], 0) / all.length;
  return { lat: mean("lat"), lon: mean("lon") };
}

/** Returns the street corner nearest to a place; the place itself without a city. */
function onCorner(place) {
  const apart = ({ lat, lon }) => (lat - place.lat) ** 2 + (lon - place.lon) ** 2;
  return corners().reduce((best, corner) => (apart(corner) < apart(best ?? FAR_AWAY) ? corner : best), null) ?? place;
}

const FAR_AWAY = { lat: Infinity, lon: Infinity };

/** Makes a call and throws unless it succeeds. */
export async function ask(request) {
  const answer = await call(request);
  if (answer.ok) return answer.body;
  const what = `${request.method ?? "GET"} ${request.path}`;
  throw new ExperimentFailed(answer.status === 0 ? `${what}: no answer` : `${what}: ${answer.status} ${answer.body?.detail ?? ""}`);
}

/** Waits until `look` returns a value; throws after `withinMs`. */
export async function until(what, look, withinMs = 20_000) {
  const end = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > end) throw new ExperimentFailed(`timed out after ${withinMs / 1000} s: ${what}`);
    await pause(LOOK_EVERY_MS);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function newcomer(role) {
  return (await ask({ as: null, method: "POST", path: "/v1/sandbox/tokens", body: { role }, quiet: true })).subject;
}

/** A new rider; `report` tells of what they do. */
export class Rider {
  static async new(report, label = "Rider") {
    const rider = new Rider();
    rider.id = await newcomer("rider");
    report.actor(rider, label);
    return rider;
  }

  call(method, path, more = {}) {
    return call({ as: "rider", subject: this.id, method, path, ...more });
  }

  ask(method, path, more = {}) {
    return ask({ as: "rider", subject: this.id, method, path, ...more });
  }

  /** Returns the body of a trip request from `pickup`. */
  async order(pickup) {
    const body = { pickup, dropoff: dropoffOf(pickup), class: CLASS };
    const quote = await this.ask("POST", "/v1/quotes", { body, why: "asks for a price" });
    return { quote_id: quote.id, payment_method: "pm_card_visa" };
  }

  async trip(id) {
    return this.ask("GET", `/v1/trips/${id}`, { quiet: true });
  }

  untilTrip(id, ...states) {
    return until(`the trip is ${states.join(" or ")}`, async () => {
      const trip = await this.trip(id);
      return states.includes(trip.state) && trip;
    });
  }

  untilPayment(id, state) {
    return until(`the payment is ${state}`, async () => {
      const payment = await this.ask("GET", `/v1/payments/${id}`, { quiet: true });
      return payment.state === state && payment;
    }, 40_000);
  }

  /** Ends what was left standing: a trip that is still searched for. One that has a driver is completed by the driver. */
  async leave() {
    const trips = await this.call("GET", "/v1/trips", { quiet: true });
    const waiting = (trips.body?.items ?? []).filter((trip) => trip.state === "searching");
    await Promise.all(waiting.map((trip) => this.call("POST", `/v1/trips/${trip.id}/cancel`, { body: {}, quiet: true })));
  }
}

/** A driver at a given place. */
export class Driver {
  static async at(where, report) {
    const driver = new Driver();
    driver.id = await newcomer("driver");
    report.actor(driver, "Driver");
    const vehicle = { available: true, name: "Dora", class: CLASS, plate: "LAB 1" };
    await driver.ask("PUT", "/v1/drivers/me/availability", { body: vehicle, why: "goes online" });
    await driver.stand(where);
    await driver.#declineOthers();
    return driver;
  }

  ask(method, path, more = {}) {
    return ask({ as: "driver", subject: this.id, method, path, ...more });
  }

  /** Sends the position until it is accepted: the index learns of a new driver a moment later. */
  stand(position) {
    this.position = position;
    return until("the driver's position is accepted", async () => {
      const recorded_at = new Date(await domainNow()).toISOString();
      const taken = await this.ask("PUT", "/v1/drivers/me/location", { body: { position, recorded_at }, quiet: true });
      return taken.verdict === "accepted";
    });
  }

  /** Declines what other experiments have left waiting, so that it has no part in this one. */
  async #declineOthers() {
    for (let quietSince = performance.now(); performance.now() - quietSince < QUIET_MS; await pause(LOOK_EVERY_MS)) {
      const { offer } = await this.ask("GET", "/v1/drivers/me", { quiet: true });
      if (!offer) continue;
      await this.call("POST", `/v1/offers/${offer.id}/decline`);
      quietSince = performance.now();
    }
  }

  untilOffered(...trips) {
    return until("the driver has an offer", async () => {
      const { offer } = await this.ask("GET", "/v1/drivers/me", { quiet: true });
      if (!offer) return null;
      if (trips.includes(offer.trip_id)) return offer;
      await this.ask("POST", `/v1/offers/${offer.id}/decline`, { why: "Decline another trip" });
      return null;
    });
  }

  accept(offer) {
    return this.ask("POST", `/v1/offers/${offer.id}/accept`, { body: {}, why: "accepts the offer" });
  }

  act(trip, what, body = {}) {
    return this.ask("POST", `/v1/trips/${trip}/${what}`, { body, why: { arrive: "is at the pickup", start: "starts the trip", complete: "completes the trip" }[what] });
  }

  /** Keeps sending the position for some minutes, so that the trip stays as it is; then leaves. */
  stay() {
    const until = performance.now() + STAY_MS;
    const beat = async () => {
      if (performance.now() > until) return this.leave();
      const recorded_at = new Date(await domainNow()).toISOString();
      await this.call("PUT", "/v1/drivers/me/location", { body: { position: this.position, recorded_at } });
      if (!this.hasLeft) this.timer = setTimeout(beat, Math.max(BEAT_MS_MIN, BEAT_DOMAIN_MS / scale()));
    };
    beat();
  }

  /** Completes the ride if there is one, and goes offline. */
  async leave() {
    if (this.hasLeft) return;
    this.hasLeft = true;
    clearTimeout(this.timer);
    const profile = (await this.call("GET", "/v1/drivers/me")).body;
    if (profile?.offer) await this.call("POST", `/v1/offers/${profile.offer.id}/decline`);
    if (profile?.trip) await this.#finish(profile.trip);
    await this.call("PUT", "/v1/drivers/me/availability", { body: { available: false } });
  }

  async #finish({ id }) {
    const trip = (await call({ as: "ops", path: `/v1/trips/${id}`, quiet: true })).body;
    const seen = trip && (await call({ as: "rider", subject: trip.rider_id, path: `/v1/trips/${id}`, quiet: true }));
    if (!seen?.ok) return;
    const step = (what, body = {}) => this.call("POST", `/v1/trips/${id}/${what}`, { body });
    if (!riderInCar(trip.state)) {
      await this.stand(trip.pickup);
      await step("arrive");
      await step("start", { pin: seen.body.pin });
    }
    await this.stand(trip.dropoff);
    await step("complete");
  }

  /** Makes a quiet call and does not judge its answer. */
  call(method, path, more = {}) {
    return call({ as: "driver", subject: this.id, method, path, quiet: true, ...more });
  }
}

/** Starts a ride and returns `{rider, driver, trip, dropoff}`. */
export async function underWay(report, number) {
  const pickup = await place(number);
  const [rider, driver] = [await Rider.new(report), await Driver.at(pickup, report)];
  const trip = await rider.ask("POST", "/v1/trips", { body: await rider.order(pickup), why: "requests a ride" });
  await driver.accept(await driver.untilOffered(trip.id));
  await driver.stand(pickup);
  await driver.act(trip.id, "arrive");
  await driver.act(trip.id, "start", { pin: trip.pin });
  return { rider, driver, trip, dropoff: trip.dropoff };
}

/** The faults of the provider. */
export const provider = {
  inject: (fault) =>
    ask({ as: null, method: "POST", path: "/v1/sandbox/provider/faults", body: { faults: [fault] }, why: "injects the fault" }),
  clear: () => call({ as: null, method: "DELETE", path: "/v1/sandbox/provider/faults", quiet: true }),
  view: (payment) => ask({ as: null, path: `/v1/sandbox/provider/payment_intents/${payment}`, why: "the provider's view" }),
  untilInjected: () =>
    until("the fault was injected", async () => {
      const plan = await ask({ as: null, path: "/v1/sandbox/provider/faults", quiet: true });
      return plan.faults[0]?.injected ?? 0;
    }),
};

/** Returns the number of violations in the audit. */
export async function violations() {
  const audit = await ask({ as: "ops", path: "/v1/ops/audit", why: "the audit" });
  return Object.values(audit.violations).reduce((sum, n) => sum + n, 0);
}
