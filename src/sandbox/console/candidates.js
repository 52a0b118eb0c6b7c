// The candidates of the selected trip on the map: a ring around each car, with its rank and its drive to the pickup. The rings follow the
// cars.

import { seconds } from "./dom.js";
import { near, toX, toY } from "./mercator.js";
import { color } from "./shapes.js";

const FULL_TURN = 2 * Math.PI;
const SHOWN_MAX = 16;
/** Further candidates have a ring without a label, so that the labels do not cover each other. */
const LABELS_MAX = 3;
const RING = 5; // beyond the car
const LINE_PX = 14; // the height of a label
const isFree = ({ verdict }) => verdict !== "busy" && verdict !== "refused";

export function createCandidates(canvas, cars) {
  const c = canvas.getContext("2d");
  let shown = [];
  let key = "";

  /** Shows the candidates of a decision; null removes them. `where(driver)` returns handle and position. Returns whether they changed. */
  async function set(found, where) {
    const next = JSON.stringify(found?.list.map((one) => [one.driver_id, one.verdict]) ?? null);
    if (next === key) return false;
    key = next;
    const list = (found?.list ?? []).slice(0, SHOWN_MAX);
    const places = await Promise.all(list.map((one) => where(one.driver_id)));
    if (next !== key) return false;
    shown = list.map((one, index) => ({ ...one, rank: index + 1, at: places[index] })).filter((one) => one.at);
    canvas.dataset.candidates = shown.length;
    return true;
  }

  /** Draws on the canvas of the rides, whose scale is set. */
  function draw(view, { width, height }, radius, now) {
    if (shown.length === 0) return;
    const inks = { chosen: color("--map-offered"), free: color("--map-free"), busy: color("--map-idle"), text: color("--map-selected"), paper: color("--map-halo") };
    c.font = "600 11px system-ui, sans-serif";
    c.textBaseline = "middle";
    c.textAlign = "left";
    const places = shown.map((one) => {
      const { handle, position } = one.at;
      const isMoving = cars.has(handle);
      const worldX = isMoving ? cars.xOf(handle, now) : toX(position.lon);
      const worldY = isMoving ? cars.yOf(handle, now) : toY(position.lat);
      return { x: (near(worldX, view.x) - view.x) * view.scale + width / 2, y: (worldY - view.y) * view.scale + height / 2 };
    });
    // The first is drawn last, on top.
    for (let i = shown.length - 1; i >= 0; i--) ring(shown[i], places[i].x, places[i].y, radius, inks);
    const reach = radius + RING + 1;
    const taken = places.map(({ x, y }) => ({ left: x - reach, right: x + reach, top: y - reach, bottom: y + reach }));
    for (const [i, one] of shown.slice(0, LABELS_MAX).entries()) label(one, places[i], reach, taken, inks);
  }

  function ring(one, x, y, radius, inks) {
    const isChosen = one.verdict === "chosen";
    c.beginPath();
    c.arc(x, y, radius + RING, 0, FULL_TURN);
    c.lineWidth = isChosen ? 3.5 : 1.5;
    c.strokeStyle = isChosen ? inks.chosen : isFree(one) ? inks.free : inks.busy;
    c.setLineDash(isFree(one) ? [] : [3, 3]);
    c.stroke();
    c.setLineDash([]);
  }

  /** Writes rank and drive beside a ring, on the first side where it meets no ring and no other label; the chosen one has its label always. */
  function label({ rank, eta_s, verdict }, { x, y }, reach, taken, inks) {
    const text = `#${rank}, ${seconds(eta_s)}`;
    const wide = c.measureText(text).width;
    const sides = [[reach + 3, 0], [-reach - 3 - wide, 0], [-wide / 2, -reach - LINE_PX / 2], [-wide / 2, reach + LINE_PX / 2],
      [reach - 2, -reach], [reach - 2, reach], [-reach - wide + 2, -reach], [-reach - wide + 2, reach]];
    const boxes = sides.map(([dx, dy]) => ({ left: x + dx, right: x + dx + wide, top: y + dy - LINE_PX / 2, bottom: y + dy + LINE_PX / 2 }));
    const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const box = boxes.find((one) => !taken.some((other) => meets(one, other))) ?? (verdict === "chosen" ? boxes[0] : null);
    if (!box) return;
    taken.push(box);
    c.lineJoin = "round";
    c.lineWidth = 4;
    c.strokeStyle = inks.paper;
    c.strokeText(text, box.left, (box.top + box.bottom) / 2);
    c.fillStyle = inks.text;
    c.fillText(text, box.left, (box.top + box.bottom) / 2);
  }

  /** Discards the handles of the previous connection: the next decision is placed anew. */
  function forget() {
    [shown, key] = [[], ""];
  }

  return { set, draw, forget, count: () => shown.length };
}
