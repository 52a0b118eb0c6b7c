// The driver panel, and driving: availability, offers with a countdown, the trip, the PIN.

import { call, callUntilDecided, stream } from "./api.js";
import { emit } from "./bus.js";
import { Car, metersBetween, pinOf } from "./car.js";
import { h, meters, money, seconds, update } from "./dom.js";
import { domainNow, domainText, scale, setClock } from "./domain.js";
import { draw, machines } from "./state_machine.js";
import { absent, apology, facts, head, section } from "./panel.js";
import { myDriver } from "./session.js";
import { riderInCar } from "./states.js";
import { onStreet } from "./streets.js";
import { badge, link } from "./trips.js";

const EVERY_MS = 1000;
const ARRIVAL_RADIUS_M = 150;

/** The car that this browser drives, if any. It keeps driving while other panels are open. */
let wheel = null;

/** Shows a driver, `me` for this browser's own; returns a function that stops it. */
export function inspectDriver(element, wanted, map) {
  const badges = h("span");
  const doing = h("div.doing");
  const hint = h("p.muted.small", { role: "status" });
  const about = h("div");
  const controls = h("div.controls");
  const place = h("span.number");
  let driver = null;
  let profile = null;
  const offers = section("Offers", () => (driver ? listOffers(driver) : null));
  // A driver who has never been online has no profile: stop polling.
  const timer = setInterval(() => profile && refresh(), EVERY_MS);
  let stopStream = () => {};
  let isStopped = false;
  let isReading = false;
  let isAsked = false;

  const as = () => ({ as: "driver", subject: driver.subject });
  const isDriven = () => wheel?.subject === driver.id;

  async function begin() {
    const id = wanted === "me" ? await myDriver() : wanted;
    if (isStopped || !id) return;
    driver = { id, subject: wanted === "me" ? undefined : id };
    element.append(head("driver", id, badges), doing, hint, controls, about, offers.details);
    stopStream = stream({ ...as(), path: "/v1/drivers/me/events", onEvent: heed });
    refresh();
  }

  /** Shows where the service suggests to go, until the driver has an offer. */
  function heed(type, data) {
    if (type === "hint.created") {
      const { position, reason, expires_at } = data;
      const place = `${position.lat.toFixed(4)}, ${position.lon.toFixed(4)}`;
      hint.textContent = `Hint: go to ${place} until ${domainText(expires_at)}. ${reason}`;
    } else if (type === "offer.created") hint.textContent = "";
    refresh();
    return true;
  }

  /** Reads and shows the driver; a call during a read causes one more read. */
  async function refresh() {
    isAsked = true;
    if (isReading || !driver) return;
    isReading = true;
    while (isAsked) {
      isAsked = false;
      await readAndShow();
    }
    isReading = false;
  }

  async function readAndShow() {
    const answer = await call({ ...as(), path: "/v1/drivers/me", quiet: true });
    if (isStopped) return;
    if (!answer.ok && answer.status !== 404)
      return update(about, answer.status, () => apology(answer, "Driver not found."));
    profile = answer.ok ? answer.body : null;
    const availability = profile?.availability ?? "offline";
    update(badges, availability, () => badge(availability));
    place.textContent = await placeOf(profile);
    if (isStopped) return;
    update(about, [profile?.name, profile?.plate, profile?.trip?.id], () =>
      profile ? describe(profile, place) : h("p.muted", {}, "This driver has never been online."),
    );
    showDoing();
    showControls();
    offers.refresh();
  }

  function showDoing() {
    const { offer, trip } = profile ?? {};
    const was = doing.dataset.what;
    const what = offer ? offer.id : trip ? `${trip.id} ${trip.state} ${isDriven()}` : "";
    if (offer && was === what) return countdown(doing.querySelector(".left"), offer);
    if (was === what) return near(doing, trip);
    doing.dataset.what = what;
    doing.replaceChildren(...[offer && offerCard(offer), trip && tripCard(trip)].filter(Boolean));
    if (trip) near(doing, trip);
  }

  function offerCard(offer) {
    const answer = (verb) =>
      act(`/v1/offers/${offer.id}/${verb}`, verb === "accept" ? "Accept the offer" : "Decline the offer");
    const left = h("strong.left.number");
    countdown(left, offer);
    return h(
      "div.offer",
      {},
      h(
        "p",
        {},
        h("strong", {}, money(offer.fare)),
        ` for you, ${seconds(offer.pickup_eta_s)} (${meters(offer.distance_to_pickup_m)}) to the pickup. `,
        left,
      ),
      h(
        "div.actions",
        {},
        button("Accept", () => answer("accept"), "primary"),
        button("Decline", () => answer("decline")),
        button("Let it expire now", () => setClock({ past: offer.id }, "Skip past the offer's deadline"), "quiet"),
      ),
    );
  }

  function tripCard(trip) {
    const go = (step, body) => act(`/v1/trips/${trip.id}/${step}`, words[step], body);
    const steps = {
      assigned: () => [button("Arrive", () => go("arrive"), "primary arrive"), button("Cancel", () => go("cancel"))],
      arrived: () => {
        const pin = h("input", {
          inputmode: "numeric",
          maxlength: 4,
          size: 5,
          "aria-label": "The rider's PIN",
          autocomplete: "off",
        });
        const ask = async () => {
          const answer = await pinOf(trip.id);
          if (answer) pin.value = answer;
        };
        return [
          pin,
          button("Ask the rider", ask),
          button("Start", () => go("start", { pin: pin.value }), "primary"),
          button("No-show", () => go("no_show")),
        ];
      },
      in_progress: () => [button("Complete", () => go("complete"), "primary")],
    };
    return h(
      "div.offer",
      {},
      h("p", {}, "On ", link("trip", trip.id), " ", badge(trip.state), " ", h("span.near.muted")),
      h("div.actions", {}, steps[trip.state]?.() ?? []),
    );
  }

  function near(doing, trip) {
    const text = doing.querySelector(".near");
    if (!text || !profile?.position || !trip) return;
    const isRiding = riderInCar(trip.state);
    const away = metersBetween(profile.position, isRiding ? trip.dropoff : trip.pickup);
    text.textContent = `${meters(away)} to the ${isRiding ? "drop-off" : "pickup"}`;
    const arrive = doing.querySelector("button.arrive");
    if (arrive) arrive.disabled = away > ARRIVAL_RADIUS_M;
  }

  async function act(path, why, body) {
    const said = h("p.refusal", { role: "alert" });
    const request = { ...as(), method: "POST", path, body, why };
    const answer = await callUntilDecided(request, {
      isWanted: () => !isStopped,
      onWait: ({ wait_ms }) => {
        doing.append(said);
        said.textContent = `The service does not answer. The command is sent again under the same Idempotency-Key, in ${seconds(Math.max(1, wait_ms / 1000))}.`;
      },
    });
    if (answer.ok) doing.dataset.what = "?";
    else {
      doing.append(said);
      said.textContent = answer.body?.detail ?? "The service does not answer.";
    }
    refresh();
  }

  function showControls() {
    const what = `${profile?.availability} ${isDriven()}`;
    if (controls.dataset.what === what) return;
    controls.dataset.what = what;
    const isOwn = wanted === "me";
    const note =
      isOwn || isDriven() ? null : "The city drives this car. The first answer to an offer counts.";
    const take = async () => {
      wheel?.stop();
      wheel = new Car({
        subject: driver.id,
        place: startOf(profile, isOwn, map.center()),
        isOwn,
        onProfile: alertOffer,
      });
      await wheel.goOnline(isOwn || !profile);
      refresh();
    };
    const leave = async () => {
      await wheel?.goOffline(isOwn);
      wheel = null;
      hideOffer();
      refresh();
    };
    const alone = h("input", {
      type: "checkbox",
      checked: wheel?.isAlone ?? false,
      onchange: (event) => (wheel.isAlone = event.target.checked),
    });
    controls.replaceChildren(
      ...[
        note && h("p.muted.small", {}, note),
        isDriven() && h("label.check", {}, alone, " Drive automatically"),
        h(
          "div.actions",
          {},
          isDriven()
            ? button(isOwn ? "Go offline" : "Return it to the city", leave)
            : button(isOwn ? "Go online at the map's center" : "Drive this car", take, isOwn ? "primary" : ""),
        ),
      ].filter(Boolean),
    );
  }

  begin();
  return () => {
    isStopped = true;
    clearInterval(timer);
    stopStream();
  };
}

/** Returns where a car starts: where it is, if it has a trip or is the city's; otherwise on the street nearest to the map's center. */
function startOf(profile, isOwn, center) {
  const isThere = profile?.position && (!isOwn || profile.trip);
  return isThere ? profile.position : (onStreet(center).place ?? center);
}

/** Shows how long an offer is still valid, in domain time and, if that runs faster, in this computer's. */
async function countdown(element, offer) {
  const left = (Date.parse(offer.expires_at) - (await domainNow())) / 1000;
  if (!element) return;
  const fast = scale() > 1 && left > 0 ? `, at ${scale()}× that is ${(left / scale()).toFixed(1)} s` : "";
  element.textContent = left > 0 ? `expires in ${Math.ceil(left)} s${fast}` : "expired";
}

/** The alert of an offer to the car that this browser drives. It stays whichever panel is open. */
let offerAlert = null;
let alerted = null; // the id of the offer shown

function hideOffer() {
  offerAlert?.remove();
  offerAlert = alerted = null;
}

/** Shows the pending offer of a profile as an alert; without one, or if the car answers by itself, hides it. */
function alertOffer({ offer, id }, car) {
  if (!offer || car.isAlone) return hideOffer();
  if (alerted === offer.id) return countdown(offerAlert.querySelector(".left"), offer);
  hideOffer();
  alerted = offer.id;
  const left = h("span.left.number");
  const said = h("span.refusal");
  const answer = (verb, why) => async () => {
    const path = `/v1/offers/${offer.id}/${verb}`;
    const reply = await callUntilDecided(
      { as: "driver", subject: car.subject, method: "POST", path, why },
      { isWanted: () => alerted === offer.id, onWait: () => (said.textContent = "The service does not answer. Trying again …") },
    );
    if (!reply.ok) said.textContent = reply.body?.detail ?? "The service does not answer.";
    else hideOffer();
    if (reply.ok && verb === "accept") emit("select", { kind: "driver", id: car.isOwn ? "me" : id });
  };
  offerAlert = h(
    "div.offer-alert.card",
    { role: "region", "aria-label": "An offer for your car" },
    // Announced once: the countdown would be announced again at every change.
    h("p.unseen", { role: "alert" }, `An offer for your car: ${money(offer.fare)}, ${meters(offer.distance_to_pickup_m)} to the pickup.`),
    h("p", {}, h("strong", {}, `Offer for your car: ${money(offer.fare)}`), `, ${meters(offer.distance_to_pickup_m)} to the pickup, `, left),
    h("div.actions", {}, button("Accept", answer("accept", "Accept the offer"), "primary"), button("Decline", answer("decline", "Decline the offer")),
      button("Let it expire now", () => setClock({ past: offer.id }, "Skip past the offer's deadline"), "quiet"), said),
  );
  countdown(left, offer);
  document.body.append(offerAlert);
}

const words = {
  arrive: "Arrive at the pickup",
  cancel: "Cancel the trip",
  start: "Start the trip",
  no_show: "Report a no-show",
  complete: "Complete the trip",
};

function button(label, onclick, classes = "") {
  return h(["button", ...classes.split(" ").filter(Boolean)].join("."), { type: "button", onclick }, label);
}

/** Returns the driver's position and its age, which matching uses. */
async function placeOf(profile) {
  if (!profile?.position) return "not known";
  const { lat, lon } = profile.position;
  const path = profile.trip
    ? `/v1/trips/${profile.trip.id}/driver`
    : `/v1/drivers/nearby?lat=${lat}&lon=${lon}&radius_m=100&limit=20`;
  const answer = await call({ as: "ops", path, quiet: true });
  const seen = answer.body?.items ? answer.body.items.find((one) => one.driver_id === profile.id) : answer.body;
  const age = seen?.position_age_ms;
  return `${lat.toFixed(5)}, ${lon.toFixed(5)}${Number.isFinite(age) ? `, ${(age / 1000).toFixed(1)} s old` : ""}`;
}

function describe({ name, plate, class: kind, trip }, place) {
  return facts([
    ["Name", name],
    ["Car", `${plate}, ${kind}`],
    ["Position", place],
    ["Trip", trip ? link("trip", trip.id) : "none"],
  ]);
}

async function listOffers(driver) {
  const answer = await call({ as: "driver", subject: driver.subject, path: "/v1/offers?limit=10", quiet: true });
  if (!answer.ok) return absent(answer, "No offers yet.");
  const offers = answer.body.items;
  if (offers.length === 0) return { data: [], note: "none yet", show: () => h("p.muted", {}, "No offers yet.") };
  const { offer: machine } = await machines();
  const [latest] = offers;
  const path = latest.status === "pending" ? ["pending"] : ["pending", latest.status];
  return {
    data: offers,
    note: `the latest ${offers.length}`,
    show: () => [machine && draw(machine, path), h("ul.list", {}, offers.map(offerRow))],
  };
}

function offerRow(offer) {
  return h(
    "li",
    {},
    h(
      "div.item",
      {},
      link("offer", offer.id),
      badge(offer.status),
      link("trip", offer.trip_id),
      h("span.amount", {}, money(offer.fare)),
    ),
  );
}
