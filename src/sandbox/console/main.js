// Puts the parts of the page together.

import { keepAddress } from "./address.js";
import { emit, on } from "./bus.js";
import { createCharts } from "./charts.js";
import { createClock } from "./clock.js";
import { createExperiments } from "./experiment_cards.js";
import { createInspector } from "./inspector.js";
import { startLive } from "./live.js";
import { createLog } from "./log.js";
import { createMap } from "./map.js";
import { createRide } from "./ride.js";
import { startZones } from "./zones.js";

const element = (id) => document.getElementById(id);

let view = { metersPerPixel: Infinity };
const map = createMap({
  canvas: element("map"),
  // A click selects a car or a trip, except while the card asks for a pin.
  onClick: (place, hit) => (hit ? emit("select", hit) : ride.click(place, view.metersPerPixel)),
  asksForPin: () => ride.asksForPin(),
  onView: (now) => (view = now),
});
const ride = createRide(element("ride"), map);
createInspector(element("inspector"), map);
createLog(element("requests"));
createExperiments(element("experiments"));
createCharts(element("charts"));
createClock(element("clock"));
on("select", (selected) => map.select(selected));
on("reveal", map.reveal);
on("experiment", map.showExperiment);
on("candidates", map.setCandidates);
keepAddress();
new ResizeObserver(() => map.resize()).observe(element("map"));
startLive(map);
startZones(map);

on("connection", (state) => {
  element("connection").textContent = state === "up" ? "" : "The service is not responding. Reconnecting …";
  document.body.classList.toggle("down", state !== "up");
});

// The tabs, with arrow keys as in the ARIA pattern.
const tabs = [...document.querySelectorAll('[role="tab"]')];
function show(tab) {
  for (const one of tabs) {
    const isShown = one === tab;
    one.setAttribute("aria-selected", isShown);
    one.tabIndex = isShown ? 0 : -1;
    element(one.getAttribute("aria-controls")).hidden = !isShown;
  }
  fold(false);
}
for (const [index, tab] of tabs.entries()) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    show(next);
    next.focus();
  });
}

function fold(isFolded) {
  element("panels").hidden = isFolded;
  element("fold").setAttribute("aria-expanded", !isFolded);
  element("fold").textContent = isFolded ? "Show panel" : "Hide panel";
}
element("fold").addEventListener("click", () => fold(!element("panels").hidden));

// The front page's ways in: `?tab=experiments` opens a tab, `?ride` suggests a ride through the middle of the map.
const wanted = new URLSearchParams(location.search);
const tab = tabs.find((one) => one.id === `tab-${wanted.get("tab")}`);
if (tab) show(tab);
if (wanted.has("ride")) {
  const stop = on("world", ({ drivers }) => {
    if (!drivers?.free) return;
    stop();
    if (element("ride").dataset.state !== "idle") return;
    const { lat, lon, metersPerPixel, width, height } = view;
    const degrees = metersPerPixel / 111_320; // of latitude, to a pixel
    const dropoff = { lat: lat + 0.2 * height * degrees, lon: lon + (0.16 * width * degrees) / Math.cos((lat * Math.PI) / 180) };
    ride.click({ lat, lon }, metersPerPixel);
    ride.click(dropoff, metersPerPixel);
  });
}
