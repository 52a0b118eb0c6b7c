// The experiments: each causes a failure and checks the outcome. What it made is left standing.

import { call } from "./api.js";
import { money } from "./dom.js";
import { Driver, Rider, ask, pause, place, provider, underWay, until, violations } from "./actors.js";

const isReplayed = (answer) => answer.headers["idempotent-replayed"] === "true";
const tripsOf = async (rider) => (await rider.ask("GET", "/v1/trips", { quiet: true })).items.length;

/** How long a killed service may take to restart. */
const BACK_WITHIN_MS = 30_000;

async function sendTwice(report) {
  const rider = await Rider.new(report);
  const [key, body] = [crypto.randomUUID(), JSON.stringify(await rider.order(await place(0)))];
  report.begin();
  const send = (more) => rider.call("POST", "/v1/trips", { key, body, ...more });
  const lost = await send({ why: "the phone loses the network before it reads the answer", loseAnswer: true });
  report.expect("the phone got an answer", false, lost.ok);
  const second = await send({ why: "the same request, the same key" });
  const third = await send({ why: "and once more" });
  report.look("the trip", "trip", second.body?.id);
  report.expect("the answer to the second request", 201, second.status);
  report.expect("it is the stored answer of the first", true, isReplayed(second));
  report.expect("the third is the same, byte for byte", true, second.text === third.text);
  report.expect("trips of this rider", 1, await tripsOf(rider));
  const trip = await rider.untilTrip(second.body.id, "searching");
  report.story.payment(trip.payment_id);
  report.expect("the trip", "searching", trip.state);
}

async function sameKeyOtherBody(report) {
  const rider = await Rider.new(report);
  const [key, order] = [crypto.randomUUID(), await rider.order(await place(1))];
  report.begin();
  const first = await rider.call("POST", "/v1/trips", { key, body: order, why: "requests a ride" });
  report.expect("the first answer", 201, first.status);
  report.look("the trip", "trip", first.body?.id);
  const other = { ...order, payment_method: "pm_card_mastercard" };
  const second = await rider.call("POST", "/v1/trips", { key, body: other, why: "the same key, another card" });
  report.expect("the answer to another body", 422, second.status);
  report.expect("its code", "idempotency_key_reused", second.body?.code);
  report.expect("trips of this rider", 1, await tripsOf(rider));
}

async function twoRidersOneDriver(report) {
  const pickup = await place(2);
  const driver = await Driver.at(pickup, report);
  const riders = [await Rider.new(report, "Rider 1"), await Rider.new(report, "Rider 2")];
  const orders = await Promise.all(riders.map((rider) => rider.order(pickup)));
  report.begin();
  const request = (rider, n) => rider.ask("POST", "/v1/trips", { body: orders[n], why: "requests a ride at the same moment" });
  const trips = await Promise.all(riders.map(request));
  trips.forEach((trip, n) => report.story.trip(trip.id, `Trip ${n + 1}`));
  const offer = await driver.untilOffered(...trips.map((trip) => trip.id));
  const [won, lost] = trips[0].id === offer.trip_id ? [0, 1] : [1, 0];
  await riders[lost].untilTrip(trips[lost].id, "searching");
  const offers = (await driver.ask("GET", "/v1/offers", { quiet: true })).items.filter((one) => one.status === "pending");
  report.expect("the driver's offers", 1, offers.length);
  await driver.accept(offer);
  driver.stay();
  const again = { as: "driver", subject: driver.id, method: "POST", body: {}, why: "accepts again, under another key" };
  const repeated = await call({ ...again, path: `/v1/offers/${offer.id}/accept` });
  report.expect("accepting again", 200, repeated.status);
  report.look("the trip with the driver", "trip", trips[won].id);
  report.look("the trip without one", "trip", trips[lost].id);
  report.look("the driver", "driver", driver.id);
  const candidate = await until("the matcher explains why", async () => {
    const explained = await ask({ as: "ops", path: `/v1/trips/${trips[lost].id}/explain`, quiet: true });
    return explained.match_cycles.at(-1)?.candidates.find((one) => one.driver_id === driver.id);
  });
  report.expect("the matcher considered the driver for the other trip, and names the trip that has them", trips[won].id, candidate.taken_by);
  report.expect("one trip", "assigned", (await riders[won].trip(trips[won].id)).state);
  report.expect("the other trip", "searching", (await riders[lost].trip(trips[lost].id)).state);
}

async function chargedWithoutAnswer(report) {
  const { rider, driver, trip, dropoff } = await underWay(report, 3);
  report.look("the payment", "payment", trip.payment_id);
  report.look("the trip", "trip", trip.id);
  await driver.stand(dropoff);
  report.begin();
  try {
    await provider.inject({ on: "capture", kind: "reset_after", times: 1, payment_id: trip.payment_id });
    await driver.act(trip.id, "complete");
    await provider.untilInjected();
    report.story.trip(trip.id, "The trip");
    report.story.payment(trip.payment_id);
    const payment = await rider.untilPayment(trip.payment_id, "captured");
    const view = await provider.view(trip.payment_id);
    const captures = view.movements.filter((movement) => movement.type === "captured");
    report.expect("our record of the payment", "captured", payment.state);
    report.expect("captures at the provider", 1, captures.length);
    const taken = { ...payment.captured, amount: captures[0]?.amount };
    report.expect("what the provider took", money(payment.captured), money(taken));
    report.expect("violations in the audit", 0, await violations());
  } finally {
    await provider.clear();
    await driver.leave();
  }
}

async function webhookTwice(report) {
  const { rider, driver, trip, dropoff } = await underWay(report, 4);
  report.look("the payment", "payment", trip.payment_id);
  report.look("the trip", "trip", trip.id);
  await driver.stand(dropoff);
  report.begin();
  try {
    await provider.inject({ on: "webhook", kind: "doubled", times: 1, payment_id: trip.payment_id });
    await driver.act(trip.id, "complete");
    report.story.payment(trip.payment_id);
    const payment = await rider.untilPayment(trip.payment_id, "captured");
    const injected = await provider.untilInjected();
    const event = (await provider.view(trip.payment_id)).events.find((one) => one.type === "payment_intent.succeeded");
    for (let time = 0; time <= injected; time++) report.story.webhook(event, time);
    const receipt = await rider.ask("GET", `/v1/trips/${trip.id}/receipt`, { why: "asks for the receipt" });
    report.expect("what was captured is the receipt's total", money(receipt.total), money(payment.captured));
    const view = await provider.view(trip.payment_id);
    report.expect("captures at the provider", 1, view.movements.filter((movement) => movement.type === "captured").length);
    report.expect("violations in the audit", 0, await violations());
  } finally {
    await provider.clear();
    await driver.leave();
  }
}

async function killTheService(report) {
  const riders = [await Rider.new(report, "Rider 1"), await Rider.new(report, "Rider 2")];
  const keys = [crypto.randomUUID(), crypto.randomUUID()];
  const spot = await place(5);
  const bodies = await Promise.all(riders.map(async (rider) => JSON.stringify(await rider.order(spot))));
  report.begin();
  const send = (n, why) => riders[n].call("POST", "/v1/trips", { key: keys[n], body: bodies[n], why });
  const before = await send(0, "requests a ride");
  report.expect("the first request", 201, before.status);
  const dying = await ask({ as: null, method: "POST", path: "/v1/sandbox/kill", why: "kill -9" });
  await pause(40);
  const during = await send(1, "requests a ride from a dying process");
  await pause(200);
  const killedAt = performance.now();
  const back = await until("the service is back", async () => {
    const ready = await call({ as: null, path: "/readyz", quiet: true });
    return ready.ok && ready.body.matcher && ready;
  }, BACK_WITHIN_MS);
  const seconds = ((performance.now() - killedAt) / 1000).toFixed(1);
  report.story.note(`Process …${dying.process.slice(-6)} is dead. Another one is ready after ${seconds} s, and reads the trips from the database.`, `another process, after ${seconds} s`);
  report.expect("the new process is ready", 200, back.status);
  const again = await send(0, "the same request, the same key");
  report.look("the first trip", "trip", again.body?.id);
  report.expect("the first request, sent again", 201, again.status);
  report.expect("it is the stored answer", true, isReplayed(again));
  report.expect("both are the same, byte for byte", true, again.text === before.text);
  const repeated = await send(1, "the same request, the same key");
  report.look("the second trip", "trip", repeated.body?.id);
  report.expect("the second request, sent again", 201, repeated.status);
  if (during.ok) report.expect("it had an answer, which is the stored one", true, isReplayed(repeated));
  report.expect("trips of the second rider", 1, await tripsOf(riders[1]));
  report.expect("violations in the audit", 0, await violations());
}

/**
 * `name` is for tests, `what` describes the experiment, `without` says what would happen without the guard, `guard` names it: each part is
 * a name in the migrations or a condition in the code.
 */
export const EXPERIMENTS = [
  {
    name: "send-twice",
    title: "Send it twice",
    what: "A phone requests a ride, loses the network before it reads the answer, and sends the same request again with the same key.",
    without: "The second request would be a new one. With luck it is refused, because the quote is used and the rider has an active trip, and the phone never learns of the ride it has. If the key were stored in a transaction of its own, a crash between the two would run the request twice.",
    guard: ["idempotency_keys_scope", "unique (role, subject, key), written in the transaction of the trip"],
    run: sendTwice,
  },
  {
    name: "other-body",
    title: "Same key, different body",
    what: "A client reuses a key for a different request. A key belongs to one request, so this one is refused.",
    without: "The client would get the stored answer of the first request and take it for the answer to the second: it would believe that the other card pays.",
    guard: ["idempotency_keys.fingerprint", "the SHA-256 of method, path, query and body, stored with the key"],
    run: sameKeyOtherBody,
  },
  {
    name: "race",
    title: "Two riders, one driver",
    what: "Two riders request a ride at the same moment near a single driver. One gets the driver, the other keeps searching.",
    without: "Both trips could be offered to the driver and both accepted: one driver on two rides, and one rider who waits for a car that does not come.",
    guard: ["one_engagement_per_driver, one_active_trip_per_driver", "a driver has one row in driver_engagements, and one trip that has not ended"],
    run: twoRidersOneDriver,
  },
  {
    name: "charged-silent",
    title: "The provider charges, and its answer is lost",
    what: "The provider captures the money for a ride, and the connection breaks before its answer. The service treats the outcome as unknown and looks it up.",
    without: "Taken for a failure, the payment would count as not captured while the provider has the money. Repeated under a new key, a call that moves money can move it twice.",
    guard: ["payment_attempts.outcome = 'started'", "the attempt commits before the call; without an answer it becomes unknown, and posted_once allows one posting of the result"],
    run: chargedWithoutAnswer,
  },
  {
    name: "webhook-twice",
    title: "The webhook arrives twice",
    what: "The provider sends the capture event twice. An event is only a hint to look, and its id is accepted once.",
    without: "If events changed the payment by themselves, a repeated one could post the charge again, and a late one could end a payment that is captured.",
    guard: ["provider_events_pkey, posted_once", "one row per event id, and one posting of each kind per source"],
    run: webhookTwice,
  },
  {
    name: "kill",
    title: "Kill the service",
    what: "The process is killed while a request is running, and restarted. Committed trips are there; the unanswered request takes effect once.",
    without: "What was held in memory only would be gone. With effect and key in two transactions, a kill between them would leave a trip without its key, and the repeat would be refused or run twice.",
    guard: ["idempotency_keys_scope", "trip, events and stored answer commit in one transaction, or not at all"],
    run: killTheService,
  },
];
