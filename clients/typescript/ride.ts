// One ride by a generated client, from token to receipt: node ride.js http://127.0.0.1:8080
//
// The service has to be a demo without drivers of its own (`ridematch demo --drivers 0`), so that ours is the nearest.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import createClient, { type Client } from "openapi-fetch";

import type { components, paths } from "./schema.js";

type Role = components["schemas"]["Role"];

const baseUrl = process.argv[2] ?? "http://127.0.0.1:8080";
const PATIENCE_MS = 20_000;

const pickup = { lat: 40.7501, lon: -73.98 };
const dropoff = { lat: 40.77, lon: -73.96 };

/** What came back, which has to be what was hoped for. */
function ok<T>({ data, error, response }: { data?: T; error?: unknown; response: Response }): T {
  assert.ok(data !== undefined, `${response.status}: ${JSON.stringify(error)}`);
  return data;
}

/** Looks again and again until there is something to see. */
async function until<T>(what: string, look: () => Promise<T | null | undefined | false>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const found = await look();
    if (found) return found;
    await sleep(100);
  }
  throw new Error(`waited ${PATIENCE_MS} ms in vain until ${what}`);
}

const anybody = createClient<paths>({ baseUrl });

async function somebody(role: Role): Promise<Client<paths>> {
  const { token } = ok(await anybody.POST("/v1/sandbox/tokens", { body: { role } }));
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
}

/** A command may be repeated under its key; nothing happens twice. */
const keyed = () => ({ "Idempotency-Key": randomUUID() });

const [rider, driver, ops] = [await somebody("rider"), await somebody("driver"), await somebody("ops")];

// The driver goes online, and says where the car is, in domain time.
const vehicle = { available: true, name: "Dora", class: "standard", plate: "RM 1" } as const;
assert.equal(ok(await driver.PUT("/v1/drivers/me/availability", { body: vehicle })).availability, "online");

async function atThePickup(): Promise<boolean> {
  const { domain } = ok(await anybody.GET("/v1/sandbox/clock"));
  const body = { position: pickup, recorded_at: domain };
  return ok(await driver.PUT("/v1/drivers/me/location", { body })).verdict === "accepted";
}

await until("the driver's position counts", atThePickup);

// The rider asks for the price, and takes it; what is asked for twice under one key is had once.
const quote = ok(await rider.POST("/v1/quotes", { body: { pickup, dropoff } }));
console.log(`a ride of ${quote.distance_m} m costs ${(quote.price.amount / 100).toFixed(2)} ${quote.price.currency}`);
const wish = { body: { quote_id: quote.id, payment_method: "pm_card_visa" }, params: { header: keyed() } };
const trip = ok(await rider.POST("/v1/trips", wish));
const again = await rider.POST("/v1/trips", wish);
assert.deepEqual(again.data, trip);
assert.equal(again.response.headers.get("Idempotent-Replayed"), "true");
assert.ok(trip.pin, "the rider sees the PIN");

// The driver is asked, accepts, arrives, hears the PIN, and drives.
const offer = await until("the driver has an offer", async () => ok(await driver.GET("/v1/drivers/me")).offer);
assert.equal(offer.trip_id, trip.id);
const answer = { params: { path: { offer_id: offer.id }, header: keyed() } };
assert.equal(ok(await driver.POST("/v1/offers/{offer_id}/accept", answer)).trip.state, "assigned");
assert.ok(await atThePickup());
const command = () => ({ params: { path: { trip_id: trip.id }, header: keyed() } });
assert.equal(ok(await driver.POST("/v1/trips/{trip_id}/arrive", command())).state, "arrived");
const told = { ...command(), body: { pin: trip.pin } };
assert.equal(ok(await driver.POST("/v1/trips/{trip_id}/start", told)).state, "in_progress");
assert.equal(ok(await driver.POST("/v1/trips/{trip_id}/complete", command())).state, "completed");

// The money moves by itself.
const payment = { path: { payment_id: trip.payment_id } };
await until(
  "the fare is captured",
  async () => ok(await rider.GET("/v1/payments/{payment_id}", { params: payment })).state === "captured",
);
const back = { amount: 100, currency: quote.price.currency };
ok(
  await ops.POST("/v1/payments/{payment_id}/refunds", {
    params: { ...payment, header: keyed() },
    body: { amount: back },
  }),
);
const receipt = await until("the refund is on the receipt", async () => {
  const seen = ok(await rider.GET("/v1/trips/{trip_id}/receipt", { params: { path: { trip_id: trip.id } } }));
  return typeof seen === "object" && seen.refunded.amount > 0 && seen; // people may have it as text
});
assert.deepEqual([receipt.total, receipt.captured, receipt.due.amount], [quote.price, quote.price, 0]);
assert.deepEqual(receipt.refunded, back);
const ledger = ok(await ops.GET("/v1/ops/ledger", { params: { query: { trip_id: trip.id } } }));
const sum = ledger.accounts.reduce((sum, account) => sum + account.balance, 0);
assert.ok(ledger.accounts.length > 0 && sum === 0, "every posting sums to zero");
const [captured, refunded] = [receipt.captured.amount, receipt.refunded.amount];
console.log(`${trip.id} is completed: ${captured} captured, ${refunded} refunded, the books balance`);
