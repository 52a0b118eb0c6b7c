// Why a trip has the driver it has, or none: in words, on the map, and as a folded table.

import { call } from "./api.js";
import { emit } from "./bus.js";
import { h, meters, seconds, time, words } from "./dom.js";
import { objectLink } from "./object_link.js";
import { absent, section, table } from "./panel.js";
import { isOver, riderInCar } from "./states.js";
import { link } from "./trips.js";

/** Drivers that could not be offered the trip: they are not free. */
const isFree = ({ verdict }) => verdict !== "busy" && verdict !== "refused";
const ORDINALS = ["nearest", "second nearest", "third nearest"];
const EVERY_MS = 2000;
const away = (eta_s) => (eta_s < 1 ? "at the pickup" : `${seconds(eta_s)} away`);
const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/**
 * The section of a trip. `which()` returns the trip once known, and `name()` its driver's name or null. `stop` removes the candidates
 * from the map.
 */
export function explainSection(which, name) {
  let isUnfolded = false;
  let isStopped = false;
  let isRevealed = false;
  const part = section("Why this driver", read, { open: true });
  // A search without a driver is decided anew without an event.
  const timer = setInterval(() => which() && !isOver(which().state) && part.refresh(), EVERY_MS);
  return {
    ...part,
    stop() {
      isStopped = true;
      clearInterval(timer);
      emit("candidates", null);
    },
  };

  async function read() {
    const trip = which();
    if (!trip) return null;
    const answer = await call({ as: "ops", path: `/v1/trips/${trip.id}/explain`, quiet: true });
    if (isStopped) return null;
    if (!answer.ok) return absent(answer, "Trip not found.");
    const cycles = answer.body.match_cycles;
    const last = cycles.at(-1);
    const isComing = !isOver(trip.state) && !riderInCar(trip.state);
    if (isComing && !isRevealed) emit("reveal", trip.pickup);
    isRevealed = true;
    emit("candidates", isComing && last ? { pickup: trip.pickup, list: last.candidates } : null);
    if (!last) return { data: 0, show: () => h("p.muted", {}, "No match cycle has looked at this trip yet.") };
    return {
      data: [cycles, trip.state, name()],
      note: cycles.length === 1 ? "1 match cycle" : `${cycles.length} match cycles`,
      show: () => [inWords(last, trip, name()), ...rejected(cycles), folded(cycles)],
    };
  }

  function folded(cycles) {
    const details = h("details.numbers", { open: isUnfolded }, h("summary", {}, "The numbers"), ...cycles.flatMap(matchCycle));
    details.addEventListener("toggle", () => (isUnfolded = details.open));
    return details;
  }
}

/** The last decision as a sentence or two. */
function inWords(cycle, trip, name) {
  const chosen = cycle.offer_id && cycle.candidates.find((one) => one.driver_id === cycle.driver_id);
  return h("p.in-words", {}, chosen ? chosenInWords(cycle, chosen, trip, name) : noneInWords(cycle));
}

function chosenInWords({ candidates }, chosen, trip, name) {
  const free = candidates.filter(isFree);
  const rank = free.indexOf(chosen);
  const title = trip.driver_id === chosen.driver_id && name ? name : "A driver";
  const place = rank < ORDINALS.length ? ORDINALS[rank] : `number ${rank + 1} by the drive`;
  const among = free.length === 1 ? "the only free one" : `${rank === 0 ? "" : "the "}${place} of ${free.length} free`;
  const sentence = [h("strong", {}, `${title}, ${away(chosen.eta_s)}, ${among}.`), " ", objectLink("driver", chosen.driver_id)];
  const nearer = free.slice(0, rank);
  const taken = nearer.filter((one) => one.verdict === "taken_by_another").length;
  const excluded = nearer.filter((one) => one.verdict === "excluded").length;
  if (taken > 0) sentence.push(` ${counted(taken, "nearer driver")} went to other trips of the same cycle: together all riders wait less.`);
  if (excluded > 0) sentence.push(` ${counted(excluded, "nearer driver")} had this offer before.`);
  if (!trip.driver_id && !isOver(trip.state)) sentence.push(" The offer is on its way.");
  return sentence;
}

function noneInWords({ candidates }) {
  const [first] = candidates;
  if (!first) return [h("strong", {}, "No driver is near enough."), " Neither a free nor a busy one could be at the pickup in time."];
  const only = candidates.length === 1 ? "The only driver near" : "The nearest driver";
  const has = first.taken_by ? [" ", objectLink("trip", first.taken_by)] : [" another trip"];
  const driver = [`${only}, `, objectLink("driver", first.driver_id), `, ${away(first.eta_s)}, `];
  const why = {
    busy: ["is busy with", ...has],
    refused: ["was no longer free when the offer was written", ...(first.taken_by ? [", and has", ...has] : [])],
    taken_by_another: ["goes to", ...has, " of the same cycle"],
    excluded: ["had this offer before and did not take it"],
    too_late: ["is free, and would come after the rider has left"],
  }[first.verdict] ?? [`was ${words(first.verdict)}`];
  const summary = first.verdict === "too_late" ? "No driver can come in time. " : "No driver is free. ";
  return [h("strong", {}, summary), ...driver, ...why, ". The search goes on."];
}

/** What an exchange of drivers would have cost. */
function rejected(cycles) {
  return (cycles.at(-1)?.candidates ?? []).filter((one) => one.exchange).slice(0, 1).map(exchangeInWords);
}

function exchangeInWords({ driver_id, eta_s, taken_by, exchange }) {
  const { eta_s: other_eta_s, cost_ms, exchanged_cost_ms } = exchange;
  const costs = `Together both trips cost ${seconds(cost_ms / 1000)}; with the drivers exchanged, ${seconds(exchanged_cost_ms / 1000)}.`;
  return h("p.small", {}, link("driver", driver_id), `, ${seconds(eta_s)} from here, goes to `, link("trip", taken_by),
    `, ${seconds(other_eta_s)} from there. ${costs}`);
}

function matchCycle({ offers_before, decided_at, considered, candidates, cycle, waited_ms, skip_cost_ms, search_time }) {
  const title = `Match cycle ${offers_before + 1}`;
  return [
    h("p.small.muted", {}, `${title}, ${time(decided_at)} domain time: ${considered} considered.`),
    cycle && h("p.small", {}, cycleInWords(cycle, waited_ms, skip_cost_ms)),
    search_time && h("p.small", {}, searchInWords(search_time)),
    candidates.length > 0 &&
      table(`Candidates of match cycle ${offers_before + 1}`, ["Driver", "Away", "Drive", "Position", "Verdict"], candidates.map(candidate),
        ["Away", "Drive", "Position"]),
  ].filter(Boolean);
}

function cycleInWords({ policy, trips, drivers, edges, computed_us }, waited_ms, skip_cost_ms) {
  const size = `${counted(trips, "trip")} and ${counted(drivers, "driver")}, ${counted(edges, "pair")}`;
  const cost = `this trip had waited ${seconds(waited_ms / 1000)}; leaving it out costs ${seconds(skip_cost_ms / 1000)}`;
  return `${words(policy)}: ${size}, computed in ${(computed_us / 1000).toFixed(1)} ms; ${cost}.`;
}

function searchInWords({ for_driver_ms, for_service_ms }) {
  return `Waited ${seconds(for_driver_ms / 1000)} for a driver and ${for_service_ms} ms for the service.`;
}

function candidate({ driver_id, distance_m, eta_s, eta_source, position_age_ms, verdict, taken_by }) {
  const age = `${(position_age_ms / 1000).toFixed(1)} s old`;
  const drive = `${seconds(eta_s)}${eta_source === "streets" ? "" : " (estimate)"}`;
  const decision = taken_by ? h("span", {}, `${words(verdict)}: `, link("trip", taken_by)) : words(verdict);
  return { mark: verdict === "chosen" ? "chosen" : null, cells: [h("span", {}, link("driver", driver_id)), meters(distance_m), drive, age, decision] };
}
