// The experiments: each causes a failure and checks the outcome.

import { call } from "./api.js";
import { Driver, Rider, ask, pause, place, provider, underWay, until, violations } from "./actors.js";

const isReplayed = (answer) => answer.headers["idempotent-replayed"] === "true";
const tripsOf = async (rider) => (await rider.ask("GET", "/v1/trips", { quiet: true })).items.length;

/** How long a killed service may take to restart. */
const BACK_WITHIN_MS = 30_000;

async function sendTwice(report) {
  const rider = await Rider.new();
  const [key, body] = [crypto.randomUUID(), JSON.stringify(await rider.order(place()))];
  const send = () => rider.call("POST", "/v1/trips", { key, body, why: "Request a ride" });
  const first = await send();
  try {
    report.expect("the first answer", 201, first.status);
    report.did("It made a trip:", "trip", first.body?.id);
    const second = await send();
    report.expect("the second answer", 201, second.status);
    report.expect("the second is a replay", true, isReplayed(second));
    report.expect("both are the same, byte for byte", true, first.text === second.text);
    report.expect("trips of this rider", 1, await tripsOf(rider));
  } finally {
    await rider.leave(first.body?.id);
  }
}

async function sameKeyOtherBody(report) {
  const rider = await Rider.new();
  const [key, order] = [crypto.randomUUID(), await rider.order(place())];
  const first = await rider.call("POST", "/v1/trips", { key, body: order, why: "Request a ride" });
  try {
    report.expect("the first answer", 201, first.status);
    report.did("It made a trip:", "trip", first.body?.id);
    const other = { ...order, payment_method: "pm_card_mastercard" };
    const second = await rider.call("POST", "/v1/trips", { key, body: other, why: "Another body, the same key" });
    report.expect("the answer to another body", 422, second.status);
    report.expect("its code", "idempotency_key_reused", second.body?.code);
    report.expect("trips of this rider", 1, await tripsOf(rider));
  } finally {
    await rider.leave(first.body?.id);
  }
}

async function twoRidersOneDriver(report) {
  const pickup = place();
  const driver = await Driver.at(pickup);
  const riders = [await Rider.new(), await Rider.new()];
  const orders = await Promise.all(riders.map((rider) => rider.order(pickup)));
  let trips = [];
  try {
    trips = await Promise.all(riders.map((rider, n) => rider.ask("POST", "/v1/trips", { body: orders[n], why: "at the same time" })));
    trips.forEach((trip) => report.did("Ordered:", "trip", trip.id));
    const offer = await driver.untilOffered(...trips.map((trip) => trip.id));
    const [won, lost] = trips[0].id === offer.trip_id ? [0, 1] : [1, 0];
    await riders[lost].untilTrip(trips[lost].id, "searching");
    report.expect("the driver's offers", 1, (await driver.ask("GET", "/v1/offers", { quiet: true })).items.filter((one) => one.status === "pending").length);
    await driver.accept(offer);
    report.expect("one trip", "assigned", (await riders[won].trip(trips[won].id)).state);
    report.expect("the other trip", "searching", (await riders[lost].trip(trips[lost].id)).state);
    const again = await call({ as: "driver", subject: driver.id, method: "POST", path: `/v1/offers/${offer.id}/accept`, body: {}, why: "accepts again" });
    report.expect("accepting again, under another key", 200, again.status);
  } finally {
    await Promise.all(trips.map((trip, n) => riders[n].leave(trip.id)));
    await driver.leave();
  }
}

async function chargedWithoutAnswer(report) {
  const { rider, driver, trip, dropoff } = await underWay();
  try {
    report.did("A ride is under way:", "trip", trip.id);
    await provider.inject({ on: "capture", kind: "hang_after", ms: 1500, times: 1, payment_id: trip.payment_id });
    await driver.stand(dropoff);
    await driver.act(trip.id, "complete");
    await provider.untilInjected();
    report.did("The provider has the money; its answer was lost:", "payment", trip.payment_id);
    const payment = await rider.untilPayment(trip.payment_id, "captured");
    const view = await provider.view(trip.payment_id);
    const captures = view.movements.filter((movement) => movement.type === "captured");
    report.expect("captures at the provider", 1, captures.length);
    report.expect("what the provider took", payment.captured.amount, captures[0]?.amount);
    report.expect("violations in the audit", 0, await violations());
  } finally {
    await provider.clear();
    await driver.leave();
  }
}

async function webhookTwice(report) {
  const { rider, driver, trip, dropoff } = await underWay();
  try {
    report.did("A ride is under way:", "trip", trip.id);
    await provider.inject({ on: "webhook", kind: "doubled", times: 1, payment_id: trip.payment_id });
    await driver.stand(dropoff);
    await driver.act(trip.id, "complete");
    await rider.untilPayment(trip.payment_id, "captured");
    await provider.untilInjected();
    report.did("The provider sent the event twice:", "payment", trip.payment_id);
    const receipt = await rider.ask("GET", `/v1/trips/${trip.id}/receipt`, { why: "the receipt" });
    const payment = await rider.ask("GET", `/v1/payments/${trip.payment_id}`, { quiet: true });
    report.expect("what was captured is the receipt's total", receipt.total.amount, payment.captured.amount);
    const view = await provider.view(trip.payment_id);
    report.expect("captures at the provider", 1, view.movements.filter((movement) => movement.type === "captured").length);
    report.expect("violations in the audit", 0, await violations());
  } finally {
    await provider.clear();
    await driver.leave();
  }
}

async function killTheService(report) {
  const riders = [await Rider.new(), await Rider.new()];
  const keys = [crypto.randomUUID(), crypto.randomUUID()];
  const bodies = await Promise.all(riders.map(async (rider) => JSON.stringify(await rider.order(place()))));
  const send = (n, why) => riders[n].call("POST", "/v1/trips", { key: keys[n], body: bodies[n], why });
  const before = await send(0, "before it dies");
  report.expect("the first request", 201, before.status);
  report.did("A trip exists:", "trip", before.body?.id);
  const dying = await ask({ as: null, method: "POST", path: "/v1/sandbox/kill", why: "kill -9" });
  await pause(40);
  const during = await send(1, "while it dies");
  report.did(during.status === 0 ? "The second request got no answer: its outcome is unknown." : `The second request was answered ${during.status}.`);
  await pause(200);
  const back = await until("the service is back", async () => {
    const ready = await call({ as: null, path: "/readyz", quiet: true });
    return ready.ok && ready.body.matcher && ready;
  }, BACK_WITHIN_MS);
  report.did(`Process ${dying.process.slice(-6)} is dead, another one answers.`);
  report.expect("it is ready", 200, back.status);
  const again = await send(0, "the same key again");
  let [trip, other] = [again.body?.id, null];
  try {
    report.expect("the first request, sent again", 201, again.status);
    report.expect("it is a replay", true, isReplayed(again));
    report.expect("both are the same, byte for byte", true, again.text === before.text);
    const repeated = await send(1, "the same key again");
    other = repeated.body?.id;
    report.expect("the second request, sent again", 201, repeated.status);
    report.did("The second trip:", "trip", other);
    report.expect("trips of the second rider", 1, await tripsOf(riders[1]));
    report.expect("violations in the audit", 0, await violations());
  } finally {
    await riders[0].leave(trip);
    await riders[1].leave(other);
  }
}

/** `name` is for tests, `what` describes the experiment, `look` says where to see its effect. */
export const EXPERIMENTS = [
  {
    name: "send-twice",
    title: "Send it twice",
    what: "A phone requests a trip, misses the response, and sends the same request again with the same key.",
    look: "the two rows in Requests, and their SQL: the second is one look-up without a COMMIT.",
    run: sendTwice,
  },
  {
    name: "other-body",
    title: "Same key, different body",
    what: "A client reuses a key for a different request. A key belongs to one request, so this one is refused.",
    look: "the problem document of the second row, and its page under /problems.",
    run: sameKeyOtherBody,
  },
  {
    name: "race",
    title: "Two riders, one driver",
    what: "Two riders request a ride at the same moment near a single driver. One gets the driver, the other keeps searching.",
    look: "the two trips in the inspector, and why this driver was chosen.",
    run: twoRidersOneDriver,
  },
  {
    name: "charged-silent",
    title: "The provider times out after charging",
    what: "The provider captures the money for a ride, and its response is lost. The service treats the outcome as unknown and looks it up.",
    look: "the payment in the inspector: capturing, an unknown attempt, then captured, once.",
    run: chargedWithoutAnswer,
  },
  {
    name: "webhook-twice",
    title: "The webhook arrives twice",
    what: "The provider sends the capture event twice. An event is only a hint to look, and its id is accepted once.",
    look: "the payment's events on the provider's side, and the ledger: one capture.",
    run: webhookTwice,
  },
  {
    name: "kill",
    title: "Kill the service",
    what: "The process is killed while a request is running, and restarted. Committed trips are there; the unanswered request takes effect once.",
    look: "the map going gray and coming back, and the replayed answer in Requests.",
    run: killTheService,
  },
];
