// Completes one ride with a generated client: node ride.js http://127.0.0.1:8080
//
// Requires a demo without simulated drivers (`ridematch demo --drivers 0`), so that this driver is the nearest.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import createClient, { type Client } from "openapi-fetch";

import type { components, paths } from "./schema.js";

type Role = components["schemas"]["Role"];

const baseUrl = process.argv[2] ?? "http://127.0.0.1:8080";
const TIMEOUT_MS = 20_000;

const pickup = { lat: 40.7501, lon: -73.98 };
const dropoff = { lat: 40.77, lon: -73.96 };

/** Returns the data, or fails. */
function ok<T>({ data, error, response }: { data?: T; error?: unknown; response: Response }): T {
  assert.ok(data !== undefined, `${response.status}: ${JSON.stringify(error)}`);
  return data;
}

/** Polls until the result is truthy. */
async function until<T>(what: string, poll: () => Promise<T | null | undefined | false>): Promise<T> {
  const deadline = performance.now() + TIMEOUT_MS;
  while (performance.now() < deadline) {
    const found = await poll();
    if (found) return found;
    await sleep(100);
  }
  throw new Error(`timed out after ${TIMEOUT_MS} ms waiting until ${what}`);
}

const anonymous = createClient<paths>({ baseUrl });

async function newClient(role: Role): Promise<Client<paths>> {
  const { token } = ok(await anonymous.POST("/v1/sandbox/tokens", { body: { role } }));
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
}

/** A header with a new idempotency key, which makes a command safe to repeat. */
const keyed = () => ({ "Idempotency-Key": randomUUID() });

const [rider, driver, ops] = [await newClient("rider"), await newClient("driver"), await newClient("ops")];

// Go online, and report a location in domain time.
const vehicle = { available: true, name: "Dora", class: "standard", plate: "RM 1" } as const;
assert.equal(ok(await driver.PUT("/v1/drivers/me/availability", { body: vehicle })).availability, "online");

async function atThePickup(): Promise<boolean> {
  const { domain } = ok(await anonymous.GET("/v1/sandbox/clock"));
  const body = { position: pickup, recorded_at: domain };
  return ok(await driver.PUT("/v1/drivers/me/location", { body })).verdict === "accepted";
}

await until("the driver's position is accepted", atThePickup);

// Request a trip twice with one key: the second response is a replay.
const quote = ok(await rider.POST("/v1/quotes", { body: { pickup, dropoff } }));
console.log(`a ride of ${quote.distance_m} m costs ${(quote.price.amount / 100).toFixed(2)} ${quote.price.currency}`);
const request = { body: { quote_id: quote.id, payment_method: "pm_card_visa" }, params: { header: keyed() } };
const trip = ok(await rider.POST("/v1/trips", request));
const again = await rider.POST("/v1/trips", request);
assert.deepEqual(again.data, trip);
assert.equal(again.response.headers.get("Idempotent-Replayed"), "true");
assert.ok(trip.pin, "the rider sees the PIN");

// Accept, arrive, start with the PIN, and complete.
const offer = await until("the driver has an offer", async () => ok(await driver.GET("/v1/drivers/me")).offer);
assert.equal(offer.trip_id, trip.id);
const accept = { params: { path: { offer_id: offer.id }, header: keyed() } };
assert.equal(ok(await driver.POST("/v1/offers/{offer_id}/accept", accept)).trip.state, "assigned");
assert.ok(await atThePickup());
const command = () => ({ params: { path: { trip_id: trip.id }, header: keyed() } });
assert.equal(ok(await driver.POST("/v1/trips/{trip_id}/arrive", command())).state, "arrived");
const start = { ...command(), body: { pin: trip.pin } };
assert.equal(ok(await driver.POST("/v1/trips/{trip_id}/start", start)).state, "in_progress");
assert.equal(ok(await driver.POST("/v1/trips/{trip_id}/complete", command())).state, "completed");

// The capture follows; then refund one dollar.
const payment = { path: { payment_id: trip.payment_id } };
await until(
  "the fare is captured",
  async () => ok(await rider.GET("/v1/payments/{payment_id}", { params: payment })).state === "captured",
);
const refund = { amount: 100, currency: quote.price.currency };
ok(
  await ops.POST("/v1/payments/{payment_id}/refunds", {
    params: { ...payment, header: keyed() },
    body: { amount: refund },
  }),
);
const receipt = await until("the refund is on the receipt", async () => {
  const found = ok(await rider.GET("/v1/trips/{trip_id}/receipt", { params: { path: { trip_id: trip.id } } }));
  return typeof found === "object" && found.refunded.amount > 0 && found; // not the text form
});
assert.deepEqual([receipt.total, receipt.captured, receipt.due.amount], [quote.price, quote.price, 0]);
assert.deepEqual(receipt.refunded, refund);
const ledger = ok(await ops.GET("/v1/ops/ledger", { params: { query: { trip_id: trip.id } } }));
const sum = ledger.accounts.reduce((sum, account) => sum + account.balance, 0);
assert.ok(ledger.accounts.length > 0 && sum === 0, "every posting sums to zero");
const [captured, refunded] = [receipt.captured.amount, receipt.refunded.amount];
console.log(`${trip.id} is completed: ${captured} captured, ${refunded} refunded, the ledger balances`);
