// The rider card: two clicks on the map, a quote, a request; then the state of the ride.

import { call, callUntilDecided } from "./api.js";
import { emit, on } from "./bus.js";
import { CLICK, h, meters, money, seconds, words } from "./dom.js";
import { domainLast, scale, setClock, speeds } from "./domain.js";
import { hasDriver, isOver, riderInCar } from "./states.js";
import { onStreet } from "./streets.js";
import { followTrip, link } from "./trips.js";
import { factor, isSurging } from "./zones.js";

const STEPS = ["requested", "searching", "offered", "assigned", "arrived", "in_progress", "completed"];

/** Beyond this scale a click is too imprecise: the map is zoomed out too far. */
const METERS_PER_PIXEL_MAX = 60;

const METHODS = [
  ["pm_card_visa", "Visa, approved"],
  ["pm_card_chargeDeclined", "a card that is declined"],
  ["pm_card_chargeDeclinedInsufficientFunds", "a card without funds"],
  ["pm_card_authenticationRequired", "a card that requires authentication"],
];

const LEADS = {
  requested: "The payment is being authorized …",
  searching: "Looking for a driver …",
  offered: "A driver has your offer …",
  assigned: "Your driver is on the way.",
  arrived: "Your driver is here.",
  in_progress: "You are on your way.",
  completed: "You have arrived.",
  cancelled: "The ride is cancelled.",
  no_show: "The driver waited and left.",
  no_driver: "No driver was found.",
  payment_failed: "The payment was declined.",
  aborted: "An operator ended the ride.",
};

/** A pin without a street goes to the nearest one, and the card says so. */
function movedInWords({ moved_m, street, isInWater }, what) {
  const why = isInWater ? "No car gets there: it is in the water." : "No street is there.";
  return `${why} Your ${what} is now on ${street ?? "the nearest street"}, ${meters(moved_m)} away.`;
}

/** A wait in domain time that is longer than this is worth a faster clock, seconds of machine time. */
const WORTH_S = 20;

/**
 * Makes the card of this browser's ride. `click(place, metersPerPixel)` handles a click on the map; `asksForPin()` is true while the
 * next click sets the pickup or the dropoff.
 */
export function createRide(element, map) {
  const lead = h("p.lead", { role: "status", tabindex: "-1" });
  const body = h("div.ride-body");
  const eta = h("p.number");
  const notice = h("p.notice", { role: "status", hidden: true });
  element.append(h("p.eyebrow", {}, "Your ride"), lead, notice, body);

  let ride = {};
  let isUnread = false; // the page was loaded while the service was down: a ride may be under way
  let stop = () => {};

  /** Shows a sentence and its content. Keyboard focus stays in the card: on the same button, or else on the sentence. */
  function show(sentence, ...children) {
    const focused = element.contains(document.activeElement) ? (document.activeElement.dataset.focus ?? "") : null;
    if (lead.textContent !== sentence) lead.textContent = sentence;
    body.replaceChildren(...children.filter(Boolean));
    element.dataset.state = ride.trip?.state ?? (ride.quote ? "quoted" : ride.pickup ? "pickup" : "idle");
    map.setPins({ pickup: ride.pickup ?? null, dropoff: ride.dropoff ?? null });
    if (focused === null) return;
    const same = focused && body.querySelector(`[data-focus="${focused}"]`);
    (same || lead).focus();
  }

  /** Says what goes on while the service does not answer; without a text, nothing goes wrong. */
  function tell(text) {
    notice.textContent = text ?? "";
    notice.hidden = !text;
  }

  /** Makes a call until the service decides it, as long as `isWanted` holds, and says meanwhile what is going on. */
  async function insist(request, what, isWanted) {
    let waits = 0;
    const answer = await callUntilDecided(request, {
      isWanted,
      onWait: ({ tries, key, wait_ms }) => {
        waits = tries;
        const repeated = key ? ` It is sent again under the same Idempotency-Key (${key.slice(0, 8)}…), so that it counts once.` : "";
        tell(`The service does not answer, and it is not known whether ${what} arrived.${repeated} Next try in ${seconds(Math.max(1, wait_ms / 1000))}.`);
      },
    });
    const isReplayed = answer.headers["idempotent-replayed"] === "true";
    tell(waits > 0 && answer.ok ? `Answered at try ${waits + 1}${isReplayed ? ": it had arrived the first time, and counted once" : ""}.` : null);
    return answer;
  }

  function begin() {
    stop();
    slowDown();
    ride = {};
    tell(null);
    show(
      `${CLICK} your pickup on the map, then your dropoff.`,
      h("p.keys.muted.small", {}, "Keyboard: arrows move the map, Enter sets a pin at its center."),
    );
  }

  function click(clicked, metersPerPixel) {
    if (ride.isOrdered || (ride.trip && !isOver(ride.trip.state))) return;
    if (metersPerPixel > METERS_PER_PIXEL_MAX)
      return show("Zoom in first: at this scale a place is too imprecise.", ride.pickup && actions(again("Start over")));
    const pin = onStreet(clicked);
    if (!pin.place) return show(`No street is near that place. ${CLICK} inside the city.`, ride.pickup && actions(again("Start over")));
    if (ride.trip || ride.dropoff) {
      stop();
      ride = {};
      tell(null);
    }
    const isDropoff = Boolean(ride.pickup);
    ride[isDropoff ? "dropoff" : "pickup"] = pin.place;
    if (pin.moved_m > 0) ride.moved = [...(ride.moved ?? []), movedInWords(pin, isDropoff ? "dropoff" : "pickup")];
    if (isDropoff) quote();
    else show(`Now ${CLICK.toLowerCase()} your dropoff.`, moved(), actions(again("Start over")));
  }

  /** Says which pins were moved, and why. */
  const moved = () => ride.moved && h("p.moved", { role: "status" }, ride.moved.join(" "));

  async function quote() {
    const asked = ride;
    show("Requesting a quote …");
    const { pickup, dropoff } = ride;
    const body = { pickup, dropoff };
    const question = { as: "rider", method: "POST", path: "/v1/quotes", body, why: "Request a quote" };
    const answer = await insist(question, "the request for a price", () => asked === ride);
    if (asked !== ride) return;
    if (!answer.ok) return refused(answer);
    ride.quote = answer.body;
    const method = h(
      "select",
      { id: "method" },
      METHODS.map(([value, label]) => h("option", { value }, label)),
    );
    const request = h(
      "button.primary",
      { type: "button", id: "request", "data-focus": "request", onclick: () => order(method.value) },
      "Request this ride",
    );
    const { price, distance_m, duration_s, surge } = answer.body;
    show(
      "Your price",
      h("p.price", {}, money(price)),
      h(
        "p.muted",
        {},
        `${meters(distance_m)}, about ${seconds(duration_s)}. The price is valid for two minutes.`,
      ),
      moved(),
      isSurging(surge) && h("p.surge", { id: "surge" }, h("strong", {}, `Surge ${factor(surge)}`), ` ${surge.reason}`),
      h("label", {}, "Pay with", method),
      actions(request, again("Start over")),
    );
    request.focus();
  }

  /** Requests the ride. A request without an answer is repeated under its key: there is one ride, however often it is sent. */
  async function order(payment_method) {
    const asked = ride;
    if (asked.isOrdered) return;
    asked.isOrdered = true;
    // Not disabled: a disabled button would lose the keyboard focus.
    body.querySelector("#request").setAttribute("aria-disabled", "true");
    const order = { quote_id: asked.quote.id, payment_method };
    const request = { as: "rider", method: "POST", path: "/v1/trips", body: order, why: "Request a ride" };
    const answer = await insist(request, "your request", () => asked === ride);
    if (asked !== ride) return;
    asked.isOrdered = false;
    if (!answer.ok) return refused(answer);
    watch(answer.body);
    // On a phone the inspector would cover this card: its button opens it.
    if (!matchMedia("(max-width: 820px)").matches) emit("select", { kind: "trip", id: answer.body.id });
  }

  function watch(trip) {
    stop();
    ride = { pickup: trip.pickup, dropoff: trip.dropoff, trip };
    render();
    stop = followTrip(trip.id, {
      as: "rider",
      onPosition(_, eta_s) {
        ride.eta_s = eta_s;
        showEta();
      },
      async onTrip(now) {
        ride.eta_s = now.eta_s;
        const needsDriver = now.driver_id && now.driver_id !== ride.driver?.driver_id && !isOver(now.state);
        ride.trip = now;
        if (ride.fastUntil && now.state !== ride.fastUntil) slowDown();
        if (!now.driver_id) ride.driver = null;
        render();
        if (!needsDriver) return;
        const answer = await call({ as: "rider", path: `/v1/trips/${trip.id}/driver`, quiet: true });
        if (answer.ok && ride.trip?.id === trip.id) ride.driver = answer.body;
        render();
      },
    });
  }

  function showEta() {
    const where = riderInCar(ride.trip?.state) ? "Arrival" : "Your car is here";
    const fast = scale() > 1 ? `; at ${scale()}× that takes ${seconds(Math.max(1, (ride.eta_s ?? 0) / scale()))}` : "";
    eta.textContent = ride.eta_s === undefined || !hasDriver(ride.trip?.state) ? "" : `${where} in ${seconds(ride.eta_s)}${fast}.`;
    showFaster();
  }

  const skip = h("button", { type: "button", "data-focus": "skip", hidden: true, onclick: skipOffer });

  /** While a driver has the offer: how long they may take, and a jump past that. The next driver then gets the offer. */
  async function showOffer() {
    const { trip } = ride;
    const isOffered = trip?.state === "offered";
    const answer = isOffered && (await call({ as: null, path: `/v1/sandbox/clock?of=${trip.id}`, quiet: true }));
    if (ride.trip?.id !== trip?.id) return;
    const left_s = answer?.body?.next ? (Date.parse(answer.body.next.at) - domainLast()) / 1000 : 0;
    skip.hidden = left_s <= 0 || ride.trip?.state !== "offered";
    if (!skip.hidden) skip.textContent = `The offer expires in ${Math.ceil(left_s)} s: skip`;
  }

  async function skipOffer() {
    await setClock({ past: ride.trip.id }, "Skip past the offer's deadline");
    showOffer();
  }

  const faster = h("button", { type: "button", "data-focus": "faster", onclick: speedUp });

  /** Suggests a faster clock while the ride needs long; and says how long that takes. */
  function showFaster() {
    const best = speeds().at(-1) ?? 1;
    // The service gives a time only while the car is on its way.
    const left_s = hasDriver(ride.trip?.state) ? (ride.eta_s ?? 0) / scale() : 0;
    faster.hidden = !ride.fastUntil && (best <= scale() || left_s < WORTH_S);
    const goal = riderInCar(ride.trip?.state) ? "the arrival" : "your car is here";
    const text = ride.fastUntil ? `At ${scale()}×: back to ${ride.slow}×` : `Skip to ${goal === "the arrival" ? goal : "your car"}: ${best}× for ${seconds(Math.max(1, (ride.eta_s ?? 0) / best))}`;
    if (faster.textContent !== text) faster.textContent = text;
  }

  /** Runs domain time at the highest speed that the city keeps up with until the trip's next state; again: as before. */
  async function speedUp() {
    if (ride.fastUntil) return slowDown();
    ride.slow = scale();
    ride.fastUntil = ride.trip.state;
    await setClock({ scale: speeds().at(-1) ?? 1 }, "Run domain time faster until the car is there");
    showFaster();
  }

  async function slowDown() {
    if (!ride.fastUntil) return;
    ride.fastUntil = null;
    await setClock({ scale: ride.slow }, "Run domain time as before");
    showFaster();
  }

  function render() {
    const { trip, driver } = ride;
    showEta();
    showOffer();
    const hasEnded = isOver(trip.state);
    const at = STEPS.indexOf(trip.state);
    const step = (_, index) => h(index < at || trip.state === "completed" ? "li.done" : index === at ? "li.now" : "li");
    const who = driver && !hasEnded && h("p", {}, h("strong", {}, driver.name), ` · ${driver.plate} · ${driver.class}`);
    const showsPin = hasDriver(trip.state) && !riderInCar(trip.state);
    const pin = showsPin && h("p", {}, "Your PIN for the driver: ", h("span.pin", {}, trip.pin));
    const cost = h(
      "p.muted",
      {},
      hasEnded ? `${money(trip.fare)} charged · ` : `${money(trip.price)} quoted · `,
      "your trip ",
      link("trip", trip.id),
    );
    const cancel =
      !hasEnded &&
      !riderInCar(trip.state) &&
      h("button", { type: "button", "data-focus": "cancel", onclick: cancelRide }, "Cancel the ride");
    const inspect = h(
      "button.quiet",
      { type: "button", "data-focus": "inspect", onclick: () => emit("select", { kind: "trip", id: trip.id }) },
      "Inspect",
    );
    show(
      LEADS[trip.state] ?? words(trip.state),
      at >= 0 && h("ol.steps", { "aria-hidden": "true" }, STEPS.map(step)),
      who,
      eta,
      pin,
      cost,
      actions(skip, faster, cancel, hasEnded && again("Ride again"), inspect),
    );
  }

  async function cancelRide() {
    const asked = ride;
    const request = { as: "rider", method: "POST", path: `/v1/trips/${ride.trip.id}/cancel`, why: "Cancel a trip" };
    const answer = await insist(request, "the cancellation", () => asked === ride && !isOver(ride.trip.state));
    if (asked === ride && !answer.ok && !isOver(ride.trip.state)) refused(answer);
  }

  function refused(answer) {
    const code = answer.body?.code;
    const button = (label, onclick) => h("button.primary", { type: "button", onclick }, label);
    show(
      answer.body?.title ?? "The service is not responding.",
      h("p", {}, answer.body?.detail ?? "Your ride, if you have one, goes on without this page."),
      actions(
        code === "active_trip_exists" && button("Show that trip", resume),
        code === "quote_expired" && button("New quote", quote),
        ride.trip && button("Show the ride", render),
        again("Start over"),
      ),
    );
  }

  /** Resumes the ride that was active when the page was loaded. */
  async function resume() {
    const answer = await call({ as: "rider", path: "/v1/trips?limit=1", quiet: true });
    isUnread = answer.status === 0;
    const [trip] = answer.body?.items ?? [];
    if (trip && !isOver(trip.state)) watch(trip);
  }

  /** The ride goes on while the service is down; the card says so, and reads the trip again when the service answers. */
  async function reconnected(state) {
    const { trip } = ride;
    if (!trip && isUnread && state === "up") return resume();
    if (!trip || isOver(trip.state)) return;
    if (state === "down") return tell("The service does not answer. Your ride is stored and goes on; this card continues as soon as it answers.");
    const answer = await call({ as: "rider", path: `/v1/trips/${trip.id}`, quiet: true });
    if (ride.trip?.id !== trip.id) return;
    if (answer.status === 404) return begin();
    if (!answer.ok) return;
    tell(null);
    if (answer.body.version > ride.trip.version) ride.trip = answer.body;
    render();
  }

  const actions = (...buttons) => h("div.actions", {}, buttons);
  const again = (label) => h("button", { type: "button", "data-focus": "again", onclick: begin }, label);

  on("connection", reconnected);
  on("clock", () => {
    showEta();
    showOffer();
  });
  begin();
  resume();
  return { click, asksForPin: () => !ride.trip && !ride.dropoff };
}
