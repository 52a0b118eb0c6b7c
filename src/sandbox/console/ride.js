// Being a rider: two clicks on the map, a price, a request; then the ride as it goes on.

import { call } from "./api.js";
import { emit } from "./bus.js";
import { h, metres, money, seconds, short, words } from "./dom.js";
import { OVER, followTrip } from "./trips.js";

const STEPS = ["requested", "searching", "offered", "assigned", "arrived", "in_progress", "completed"];

/** Farther away than this a click does not name a street: the map has not found the city yet, or was zoomed out of it. */
const METRES_PER_PIXEL_MAX = 60;

const METHODS = [
  ["pm_card_visa", "Visa, approved"],
  ["pm_card_chargeDeclined", "a card that is declined"],
  ["pm_card_chargeDeclinedInsufficientFunds", "a card without funds"],
  ["pm_card_authenticationRequired", "a card that wants a challenge"],
];

const LEADS = {
  requested: "The payment is being authorised …",
  searching: "Looking for a driver …",
  offered: "A driver is being asked …",
  assigned: "Your driver is on the way.",
  arrived: "Your driver is here.",
  in_progress: "You are on your way.",
  completed: "You have arrived.",
  cancelled: "The ride is called off.",
  no_show: "The driver waited, and left.",
  no_driver: "Nobody could take you.",
  payment_failed: "The payment was declined.",
  aborted: "An operator ended the ride.",
};

/**
 * Makes the card of this browser's own ride. `click(place, metresPerPixel)` is a click on the map; `isHalfWay()` while the next one
 * is where to go.
 */
export function createRide(element, map) {
  const lead = h("p.lead", { role: "status" });
  const body = h("div.ride-body");
  element.append(lead, body);

  let ride = {};
  let stop = () => {};

  /** Shows a sentence and what belongs under it; the focus stays with whoever uses the keyboard. */
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
      "Click the map where you are, then where you want to go.",
      h("p.keys.muted.small", {}, "By keyboard: Enter on the map puts a pin at its centre, arrows move it."),
    );
  }

  function click(place, metresPerPixel) {
    if (ride.trip && !OVER.includes(ride.trip.state)) return;
    if (metresPerPixel > METRES_PER_PIXEL_MAX)
      return show("Come closer first: from here a click is a whole town.", ride.pickup && actions(again("Start over")));
    if (ride.trip || ride.dropoff) {
      stop();
      ride = {};
    }
    if (ride.pickup) {
      ride.dropoff = place;
      quote();
    } else {
      ride.pickup = place;
      show("Now click where you want to go.", actions(again("Start over")));
    }
  }

  async function quote() {
    const asked = ride;
    show("Asking for a price …");
    const { pickup, dropoff } = ride;
    const answer = await call({
      as: "rider",
      method: "POST",
      path: "/v1/quotes",
      body: { pickup, dropoff },
      why: "Ask for a price",
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
      "This is what it would cost.",
      h("p.price", {}, money(price)),
      h(
        "p.muted",
        {},
        `${metres(distance_m)}, about ${seconds(duration_s)}${surge === "1.00" ? "" : `, surge ×${surge}`}. The price holds for two minutes.`,
      ),
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
      async onTrip(now) {
        const needsDriver = now.driver_id && now.driver_id !== ride.driver?.driver_id && !OVER.includes(now.state);
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

  function render() {
    const { trip, driver } = ride;
    const isOver = OVER.includes(trip.state);
    const at = STEPS.indexOf(trip.state);
    const step = (_, index) => h(index < at || trip.state === "completed" ? "li.done" : index === at ? "li.now" : "li");
    const who = driver && !isOver && h("p", {}, h("strong", {}, driver.name), ` · ${driver.plate} · ${driver.class}`);
    const showsPin = ["assigned", "arrived"].includes(trip.state);
    const pin = showsPin && h("p", {}, "Tell the driver the PIN ", h("span.pin", {}, trip.pin));
    const cost = h(
      "p.muted",
      {},
      isOver ? `${money(trip.fare)} charged.` : `${money(trip.price)} promised · ${short(trip.id)}`,
    );
    const cancel =
      !isOver && trip.state !== "in_progress" && h("button", { type: "button", onclick: cancelRide }, "Call it off");
    const inspect = h(
      "button.quiet",
      { type: "button", onclick: () => emit("select", { kind: "trip", id: trip.id }) },
      "Inspect",
    );
    show(
      LEADS[trip.state] ?? words(trip.state),
      at >= 0 && h("ol.steps", { "aria-hidden": "true" }, STEPS.map(step)),
      who,
      pin,
      cost,
      actions(cancel, isOver && again("Ride again"), inspect),
    );
  }

  async function cancelRide() {
    const answer = await call({
      as: "rider",
      method: "POST",
      path: `/v1/trips/${ride.trip.id}/cancel`,
      why: "Call the ride off",
    });
    if (!answer.ok) refused(answer);
  }

  function refused(answer) {
    const code = answer.body?.code;
    const button = (label, onclick) => h("button.primary", { type: "button", onclick }, label);
    show(
      answer.body?.title ?? "The service does not answer.",
      h("p", {}, answer.body?.detail ?? answer.text),
      actions(
        code === "active_trip_exists" && button("Show that trip", resume),
        code === "quote_expired" && button("Ask again", quote),
        again("Start over"),
      ),
    );
  }

  /** Takes up the ride that was under way when the page was loaded. */
  async function resume() {
    const answer = await call({ as: "rider", path: "/v1/trips?limit=1", quiet: true });
    const [trip] = answer.body?.items ?? [];
    if (trip && !OVER.includes(trip.state)) watch(trip);
  }

  const actions = (...buttons) => h("div.actions", {}, buttons);
  const again = (label) => h("button", { type: "button", onclick: begin }, label);

  begin();
  resume();
  return { click, isHalfWay: () => Boolean(ride.pickup && !ride.dropoff) };
}
