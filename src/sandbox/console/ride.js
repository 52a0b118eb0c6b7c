// The rider card: two clicks on the map, a quote, a request; then the state of the ride.

import { call } from "./api.js";
import { emit } from "./bus.js";
import { h, meters, money, seconds, short, words } from "./dom.js";
import { hasDriver, isOver, riderInCar } from "./states.js";
import { followTrip } from "./trips.js";
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

/**
 * Makes the card of this browser's ride. `click(place, metersPerPixel)` handles a click on the map; `asksForPin()` is true while the
 * next click sets the pickup or the dropoff.
 */
export function createRide(element, map) {
  const lead = h("p.lead", { role: "status" });
  const body = h("div.ride-body");
  const eta = h("p.number");
  element.append(lead, body);

  let ride = {};
  let stop = () => {};

  /** Shows a sentence and its content; keyboard focus stays in the card. */
  function show(sentence, ...children) {
    const hadFocus = body.contains(document.activeElement);
    if (lead.textContent !== sentence) lead.textContent = sentence;
    body.replaceChildren(...children.filter(Boolean));
    element.dataset.state = ride.trip?.state ?? (ride.quote ? "quoted" : ride.pickup ? "pickup" : "idle");
    map.setPins({ pickup: ride.pickup ?? null, dropoff: ride.dropoff ?? null });
    if (hadFocus) body.querySelector("button")?.focus();
  }

  function begin() {
    stop();
    ride = {};
    show(
      "Click your pickup on the map, then your dropoff.",
      h("p.keys.muted.small", {}, "Keyboard: arrows move the map, Enter sets a pin at its center."),
    );
  }

  function click(place, metersPerPixel) {
    if (ride.trip && !isOver(ride.trip.state)) return;
    if (metersPerPixel > METERS_PER_PIXEL_MAX)
      return show("Zoom in first: at this scale a click is too imprecise.", ride.pickup && actions(again("Start over")));
    if (ride.trip || ride.dropoff) {
      stop();
      ride = {};
    }
    if (ride.pickup) {
      ride.dropoff = place;
      quote();
    } else {
      ride.pickup = place;
      show("Now click your dropoff.", actions(again("Start over")));
    }
  }

  async function quote() {
    const asked = ride;
    show("Requesting a quote …");
    const { pickup, dropoff } = ride;
    const answer = await call({
      as: "rider",
      method: "POST",
      path: "/v1/quotes",
      body: { pickup, dropoff },
      why: "Request a quote",
    });
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
      { type: "button", id: "request", onclick: () => order(method.value) },
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
      isSurging(surge) && h("p.surge", { id: "surge" }, h("strong", {}, `Surge ${factor(surge)}`), ` ${surge.reason}`),
      h("label", {}, "Pay with", method),
      actions(request, again("Start over")),
    );
    request.focus();
  }

  async function order(payment_method) {
    const button = body.querySelector("#request");
    button.disabled = true;
    const order = { quote_id: ride.quote.id, payment_method };
    const answer = await call({ as: "rider", method: "POST", path: "/v1/trips", body: order, why: "Request a ride" });
    if (!answer.ok) return refused(answer);
    watch(answer.body);
    emit("select", { kind: "trip", id: answer.body.id });
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
    eta.textContent = ride.eta_s === undefined ? "" : `${where} in ${seconds(ride.eta_s)}.`;
  }

  function render() {
    const { trip, driver } = ride;
    showEta();
    const hasEnded = isOver(trip.state);
    const at = STEPS.indexOf(trip.state);
    const step = (_, index) => h(index < at || trip.state === "completed" ? "li.done" : index === at ? "li.now" : "li");
    const who = driver && !hasEnded && h("p", {}, h("strong", {}, driver.name), ` · ${driver.plate} · ${driver.class}`);
    const showsPin = hasDriver(trip.state) && !riderInCar(trip.state);
    const pin = showsPin && h("p", {}, "Your PIN for the driver: ", h("span.pin", {}, trip.pin));
    const cost = h(
      "p.muted",
      {},
      hasEnded ? `${money(trip.fare)} charged.` : `${money(trip.price)} quoted · ${short(trip.id)}`,
    );
    const cancel =
      !hasEnded && !riderInCar(trip.state) && h("button", { type: "button", onclick: cancelRide }, "Cancel the ride");
    const inspect = h(
      "button.quiet",
      { type: "button", onclick: () => emit("select", { kind: "trip", id: trip.id }) },
      "Inspect",
    );
    show(
      LEADS[trip.state] ?? words(trip.state),
      at >= 0 && h("ol.steps", { "aria-hidden": "true" }, STEPS.map(step)),
      who,
      eta,
      pin,
      cost,
      actions(cancel, hasEnded && again("Ride again"), inspect),
    );
  }

  async function cancelRide() {
    const answer = await call({
      as: "rider",
      method: "POST",
      path: `/v1/trips/${ride.trip.id}/cancel`,
      why: "Cancel a trip",
    });
    if (!answer.ok) refused(answer);
  }

  function refused(answer) {
    const code = answer.body?.code;
    const button = (label, onclick) => h("button.primary", { type: "button", onclick }, label);
    show(
      answer.body?.title ?? "The service is not responding.",
      h("p", {}, answer.body?.detail ?? answer.text),
      actions(
        code === "active_trip_exists" && button("Show that trip", resume),
        code === "quote_expired" && button("New quote", quote),
        again("Start over"),
      ),
    );
  }

  /** Resumes the ride that was active when the page was loaded. */
  async function resume() {
    const answer = await call({ as: "rider", path: "/v1/trips?limit=1", quiet: true });
    const [trip] = answer.body?.items ?? [];
    if (trip && !isOver(trip.state)) watch(trip);
  }

  const actions = (...buttons) => h("div.actions", {}, buttons);
  const again = (label) => h("button", { type: "button", onclick: begin }, label);

  begin();
  resume();
  return { click, asksForPin: () => !ride.trip && !ride.dropoff };
}
