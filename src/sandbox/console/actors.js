// The actors of an experiment: riders and drivers of its own, beyond the reach of the city's cars. What they made is left standing: a
// driver keeps sending positions for some minutes, then completes the ride and goes offline.

import { call } from "./api.js";
import { emit } from "./bus.js";
import { domainNow, scale } from "./domain.js";
import { riderInCar } from "./states.js";

/** Where experiments happen without a city. */
const NOWHERE = { north: 40.75, west: -74.2 };
/** From the city's northern edge, degrees: six kilometers. A driver is considered for a pickup within 4.8 km beside the streets. */
const BEYOND = 0.055;
/** Between the places of two experiments, degrees: more than that, too. */
const APART = 0.12;
const NUDGE = 0.004;
const RIDE = 0.008;
/** How long a driver stays after an experiment. */
const STAY_MS = 180_000;
/** A driver whose position is older than 30 s of domain time gets no offers; after three minutes the trip is taken away. */
const BEAT_DOMAIN_MS = 8000;
const BEAT_MS_MIN = 250;
const LOOK_EVERY_MS = 150;

/** A call failed that the experiment depends on. */
export class ExperimentFailed extends Error {}

/** Returns a random place for the experiment with this number, and shows it on the map. */
export async function place(number) {
  const { north, west } = await edge();
  const nudged = (degrees) => Math.round((degrees + (Math.random() - 0.5) * NUDGE) * 1e6) / 1e6;
  const found = { lat: nudged(north + BEYOND), lon: nudged(west + number * APART) };
  emit("reveal", found);
  return found;
}

/** Returns the northern and western edge of the city's streets. */
async function edge() {
  const answer = await call({ as: null, path: "/v1/sandbox/streets", quiet: true });
  let [north, west] = [-Infinity, Infinity];
  for (const line of answer.body?.coordinates ?? []) {
    for (const [lon, lat] of line) [north, west] = [Math.max(north, lat), Math.min(west, lon)];
  }
  return north > -Infinity ? { north, west } : NOWHERE;
}

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
    const dropoff = { lat: pickup.lat + RIDE, lon: pickup.lon + RIDE };
    const quote = await this.ask("POST", "/v1/quotes", { body: { pickup, dropoff }, why: "asks for a price" });
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
    const vehicle = { available: true, name: "Dora", class: "standard", plate: "LAB 1" };
    await driver.ask("PUT", "/v1/drivers/me/availability", { body: vehicle, why: "goes online" });
    await driver.stand(where);
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
