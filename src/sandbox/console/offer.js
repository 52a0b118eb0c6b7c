// The offer panel: what was offered to whom, its state machine, and why this driver.

import { call } from "./api.js";
import { h, meters, money, seconds, update, words } from "./dom.js";
import { domainTime } from "./domain.js";
import { draw, machines } from "./state_machine.js";
import { apology, facts, head, section } from "./panel.js";
import { badge, link } from "./trips.js";

const EVERY_MS = 1500;

/** Shows an offer; returns a function that stops it. */
export function inspectOffer(element, id) {
  const badges = h("span");
  const about = h("div");
  let offer = null;
  const state = section("State", picture, { open: true });
  element.append(head("offer", id, badges), about, state.details);
  let isStopped = false;

  async function refresh() {
    if (offer && offer.status !== "pending") return clearInterval(timer);
    const answer = await call({ as: "ops", path: `/v1/offers/${id}`, quiet: true });
    if (isStopped) return;
    if (!answer.ok) return update(about, answer.status, () => apology(answer, "Offer not found."));
    offer = answer.body;
    // The driver is in the match cycle that made the offer.
    const explained = await call({ as: "ops", path: `/v1/trips/${offer.trip_id}/explain`, quiet: true });
    if (isStopped) return;
    const cycle = explained.body?.match_cycles?.find((one) => one.offer_id === id);
    update(badges, offer.status, () => badge(offer.status));
    update(about, [offer, cycle?.driver_id], () => summary(offer, cycle));
    state.refresh();
  }

  async function picture() {
    const { offer: machine } = await machines();
    if (!machine || !offer) return null;
    const path = offer.status === machine.initial ? [machine.initial] : [machine.initial, offer.status];
    return { data: path, show: () => draw(machine, path) };
  }

  const timer = setInterval(refresh, EVERY_MS);
  refresh();
  return () => {
    isStopped = true;
    clearInterval(timer);
  };
}

function summary(offer, cycle) {
  const rank = cycle?.candidates.findIndex((one) => one.driver_id === cycle.driver_id) ?? -1;
  return facts([
    ["Trip", link("trip", offer.trip_id)],
    ["Driver", cycle?.driver_id && link("driver", cycle.driver_id)],
    ["Earnings", money(offer.fare)],
    ["To the pickup", `${seconds(offer.pickup_eta_s)}, ${meters(offer.distance_to_pickup_m)} by air`],
    ["Chosen", rank >= 0 && `number ${rank + 1} by the drive of ${cycle.candidates.length}`],
    ["Made", domainTime(offer.created_at)],
    ["To answer by", domainTime(offer.expires_at)],
    ["Withdrawn", offer.withdrawn_because && words(offer.withdrawn_because)],
  ]);
}
