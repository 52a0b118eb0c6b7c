// The heat layer: trending zones, colored by their share of the busiest one's requests, with the surge in their middle. Read every few
// seconds while it is shown.

import { call } from "./api.js";
import { on } from "./bus.js";
import { h } from "./dom.js";
import { near, toX, toY } from "./mercator.js";
import { color } from "./shapes.js";

const READ_MS = 5000; // as often as the service counts
const ZONES_MAX = 100;
const DENSEST = 0.42, FAINTEST = 0.05; // opacity
const NO_SURGE_BP = 10_000;
const LABEL_PX = 12;

/** 13000 basis points as "×1.3". */
export const factor = ({ multiplier_bp }) => `×${(multiplier_bp / NO_SURGE_BP).toFixed(2).replace(/0$/, "")}`;

/** Returns whether a place has a surge. */
export const isSurging = (surge) => surge.multiplier_bp > NO_SURGE_BP;

/** Creates the layer of the map. */
export function createZones(canvas) {
  const c = canvas.getContext("2d");
  let zones = []; // {ring: [[x, y], …], x, y, share, label}
  let ratio = 1;

  /** Takes the items of the trending zones. */
  function set(items) {
    const most = Math.max(1, ...items.map((item) => item.requests));
    zones = items.map(({ boundary, center, requests, surge }) => {
      const x = toX(center.lon);
      const ring = boundary.coordinates[0].map(([lon, lat]) => [near(toX(lon), x), toY(lat)]);
      return { ring, x, y: toY(center.lat), share: requests / most, label: isSurging(surge) ? factor(surge) : null };
    });
    canvas.dataset.zones = zones.length;
    canvas.dataset.surging = zones.filter((zone) => zone.label).length;
  }

  function resize(width, height, dots) {
    ratio = dots;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
  }

  function draw(view) {
    const scale = view.scale * ratio;
    c.clearRect(0, 0, canvas.width, canvas.height);
    const left = (x) => (near(x, view.x) - view.x) * scale + canvas.width / 2;
    const top = (y) => (y - view.y) * scale + canvas.height / 2;
    c.fillStyle = color("--map-heat");
    for (const { ring, x, share } of zones) {
      const shift = near(x, view.x) - x;
      c.globalAlpha = FAINTEST + (DENSEST - FAINTEST) * share;
      c.beginPath();
      for (const [cornerX, cornerY] of ring) c.lineTo((cornerX + shift - view.x) * scale + canvas.width / 2, top(cornerY));
      c.fill();
    }
    c.globalAlpha = 1;
    c.fillStyle = color("--map-selected");
    c.font = `600 ${LABEL_PX * ratio}px system-ui, sans-serif`;
    c.textAlign = "center";
    c.textBaseline = "middle";
    for (const { x, y, label } of zones) if (label) c.fillText(label, left(x), top(y));
  }

  return { set, resize, draw };
}

/** Reads the zones for the map, and adds the button that shows and hides them. */
export function startZones(map) {
  let isShown = true;
  let timer = 0;
  const button = h(
    "button.quiet",
    { type: "button", id: "heat", "aria-label": "Demand and surge", title: "Demand and surge", "aria-pressed": "true", onclick: toggle },
    "◍",
  );
  document.querySelector(".zoom").append(button);

  function toggle() {
    isShown = !isShown;
    button.setAttribute("aria-pressed", isShown);
    if (isShown) read();
    else map.setZones([]);
  }

  async function read() {
    clearTimeout(timer);
    const path = `/v1/zones/trending?limit=${ZONES_MAX}`;
    const answer = document.hidden ? null : await call({ as: "rider", path, quiet: true });
    if (!isShown) return;
    if (answer?.ok) map.setZones(answer.body.items);
    clearTimeout(timer);
    timer = setTimeout(read, READ_MS);
  }
  on("connection", (state) => state === "up" && isShown && read());
}
