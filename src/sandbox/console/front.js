// The front page: the proof in figures, and the live city.

import { on } from "./bus.js";
import { h, update } from "./dom.js";
import { startLive } from "./live.js";
import { createMap } from "./map.js";
import { captured, latestProof } from "./proof.js";
import { startZones } from "./zones.js";

const element = (id) => document.getElementById(id);

const map = createMap({ canvas: element("map"), onClick: () => location.assign("/city") });
new ResizeObserver(() => map.resize()).observe(element("map"));
startLive(map);
startZones(map);

const show = (proof) => update(element("evidence"), [proof.state, proof.text, proof.more], () => figures(proof));
on("proof", show);

function figures({ state, text, report }) {
  if (!report) return figure(text, "", state);
  const counts = Object.values(report.violations);
  const { ours, theirs } = captured(report);
  const isDown = state === "waits" && !text.includes("invariants");
  const hasMoney = Object.values(report.captured.service).some((amount) => amount > 0);
  const sums = report.provider === "checked" ? `${ours} = ${theirs}`.replace("=", ours === theirs ? "=" : "≠") : ours;
  return [
    figure(`${counts.filter((count) => count === 0).length} of ${counts.length}`, "invariants hold, from double assignments to lost webhooks", state),
    figure(hasMoney ? sums : "No money yet", hasMoney ? "captured, by our ledger and by the payment provider" : "captured: take a ride, and it is compared", state),
    figure(String(report.unsettled), "trips that are over and not yet settled", state),
    isDown && h("div.figure", { "data-state": "waits" }, h("dt", {}, text), h("dd", {}, "the figures are of the last audit")),
  ];
}

const figure = (value, meaning, state) => h("div.figure", { "data-state": state }, h("dt", {}, value), h("dd", {}, meaning));

if (latestProof()) show(latestProof());
