// The actors of an experiment: riders and drivers of its own, far from the city's cars.

import { call } from "./api.js";
import { domainNow } from "./domain.js";

/** A place that the city's cars do not reach. Rides end 1.5 km away. */
const CORNER = { lat: 30, lon: -40 };
const NUDGE = 0.02;
const RIDE = 0.01;
const LOOK_EVERY_MS = 150;

/** A call failed that the experiment depends on. */
export class ExperimentFailed extends Error {}

/** Returns a random place near the corner. */
export function place() {
  const nudged = (degrees) => Math.round((degrees + (Math.random() - 0.5) * NUDGE) * 1e6) / 1e6;
  return { lat: nudged(CORNER.lat), lon: nudged(CORNER.lon) };
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

/** A new rider. */
export class Rider {
  static async new() {
    const rider = new Rider();
    rider.id = await newcomer("rider");
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
    const quote = await this.ask("POST", "/v1/quotes", { body: { pickup, dropoff }, why: "Request a quote" });
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

  /** Cancels the trip if it can be cancelled. */
  async leave(id) {
    if (id) await this.call("POST", `/v1/trips/${id}/cancel`, { body: {}, quiet: true });
  }
}

/** A driver at a given place. */
export class Driver {
  static async at(where) {
    const driver = new Driver();
    driver.id = await newcomer("driver");
    const vehicle = { available: true, name: "Dora", class: "standard", plate: "LAB 1" };
    await driver.ask("PUT", "/v1/drivers/me/availability", { body: vehicle, why: "A driver goes online" });
    await driver.stand(where);
    return driver;
  }

  ask(method, path, more = {}) {
    return ask({ as: "driver", subject: this.id, method, path, ...more });
  }

  /** Sends the position until it is accepted: the index learns of a new driver a moment later. */
  stand(position) {
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
    return this.ask("POST", `/v1/offers/${offer.id}/accept`, { body: {}, why: "Accept the offer" });
  }

  act(trip, what, body = {}) {
    return this.ask("POST", `/v1/trips/${trip}/${what}`, { body, why: `the driver: ${what}` });
  }

  async leave() {
    const path = "/v1/drivers/me/availability";
    await call({ as: "driver", subject: this.id, method: "PUT", path, body: { available: false }, quiet: true });
  }
}

/** Starts a ride and returns `{rider, driver, trip, dropoff}`. */
export async function underWay() {
  const pickup = place();
  const [rider, driver] = [await Rider.new(), await Driver.at(pickup)];
  const trip = await rider.ask("POST", "/v1/trips", { body: await rider.order(pickup), why: "Request a ride" });
  await driver.accept(await driver.untilOffered(trip.id));
  await driver.stand(pickup);
  await driver.act(trip.id, "arrive");
  await driver.act(trip.id, "start", { pin: trip.pin });
  return { rider, driver, trip, dropoff: trip.dropoff };
}

/** The faults of the provider. */
export const provider = {
  inject: (fault) =>
    ask({ as: null, method: "POST", path: "/v1/sandbox/provider/faults", body: { faults: [fault] }, why: "Inject a provider fault" }),
  clear: () => call({ as: null, method: "DELETE", path: "/v1/sandbox/provider/faults", quiet: true }),
  view: (payment) => ask({ as: null, path: `/v1/sandbox/provider/payment_intents/${payment}`, why: "the provider's view" }),
  untilInjected: () =>
    until("the fault was injected", async () => {
      const plan = await ask({ as: null, path: "/v1/sandbox/provider/faults", quiet: true });
      return plan.faults[0]?.injected > 0;
    }),
};

/** Returns the number of violations in the audit. */
export async function violations() {
  const audit = await ask({ as: "ops", path: "/v1/ops/audit", why: "the audit" });
  return Object.values(audit.violations).reduce((sum, n) => sum + n, 0);
}
