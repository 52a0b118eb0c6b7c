// The scale of the map, and its name.

import { h } from "./dom.js";

const WIDTH_MAX = 110; // pixels
const STEPS = [5, 2, 1];

/** Returns the largest round number of meters that fits into a width. */
export function roundMeters(most) {
  const ten = 10 ** Math.floor(Math.log10(most));
  return ten * STEPS.find((step) => step * ten <= most);
}

/** Creates the scale bar. `show(metersPerPixel)` follows the view. */
export function createScaleBar(after) {
  const bar = h("span.scale-bar");
  const label = h("span.number");
  const name = h("span.place");
  const element = h("div.scale", {}, name, h("span.scale-size", {}, bar, label));
  after.after(element);
  let shown = 0;
  return {
    show(metersPerPixel) {
      if (!(metersPerPixel > 0) || metersPerPixel === shown) return;
      shown = metersPerPixel;
      const meters = roundMeters(WIDTH_MAX * metersPerPixel);
      bar.style.width = `${meters / metersPerPixel}px`;
      label.textContent = meters >= 1000 ? `${meters / 1000} km` : `${meters} m`;
    },
    setName(text) {
      name.textContent = text ? `${text}, an invented city` : "";
    },
  };
}
