// The layer above the cars: waiting riders, offers, the route of the trip that is selected or pointed at, and the pins of a new ride. At most
// a few hundred objects, so plain paths are fast enough.

import { near, toLat, toLon, toX, toY } from "./mercator.js";
import { createRoutes } from "./routes.js";
import { RIDER, color, drawShape, isStill } from "./shapes.js";
import { hasDriver, riderInCar } from "./states.js";

const FULL_TURN = 2 * Math.PI;
const isAtPickup = ({ state }) => !riderInCar(state);
const EXPERIMENT_PX = 26; // the ring around the place of an experiment
const FLIGHT_MS = 1200; // from the rider to the driver who is asked, again and again until there is an answer

export function createRides(canvas, cars, changed) {
  const c = canvas.getContext("2d");
  let rides = [];
  let pins = { pickup: null, dropoff: null };
  let experiment = null; // where one happens
  let selected = null;
  let pointed = null; // the ride under the pointer
  const routes = createRoutes(changed);
  let ratio = 1;
  let paint = null;

  /** The colors, cached until the theme changes. */
  function paints() {
    const names = ["offered", "busy", "route", "rider", "pickup", "dropoff", "selected", "halo"];
    paint ??= Object.fromEntries(names.map((name) => [name, color(`--map-${name}`)]));
    return paint;
  }

  const place = ({ lat, lon }, view) => ({ x: near(toX(lon), view.x), y: toY(lat) });

  function set(list) {
    rides = list.map((ride) => ({
      ...ride,
      from: { x: toX(ride.pickup.lon), y: toY(ride.pickup.lat) },
      to: { x: toX(ride.dropoff.lon), y: toY(ride.dropoff.lat) },
      isSelected: false,
    }));
    mark();
  }

  function mark() {
    for (const ride of rides) ride.isSelected = selected !== null && isOf(ride, selected);
  }

  const isOf = (ride, { kind, id }) =>
    (kind === "trip" && ride.id === id) || (kind === "rider" && ride.rider_id === id) || (kind === "driver" && ride.driver_id === id);

  function resize(width, height, dots) {
    ratio = dots;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
  }

  function draw(view, now, { showsMiddle }) {
    const inks = paints();
    const width = canvas.width / ratio, height = canvas.height / ratio;
    const left = view.x - width / 2 / view.scale, top = view.y - height / 2 / view.scale;
    const px = (x) => (near(x, view.x) - left) * view.scale;
    const py = (y) => (y - top) * view.scale;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    c.lineCap = "round";

    for (const ride of rides) {
      if (ride.isSelected || ride.id === pointed) drawRoute(ride, now, px, py, inks);
    }

    for (const ride of rides) {
      if (ride.isSelected || ride.id === pointed || isAtPickup(ride)) drawEnds(ride, px, py, inks);
      if (ride.state === "offered" && ride.offer && cars.has(ride.offer.handle)) drawFlight(ride, now, px, py, inks);
    }
    if (experiment) drawExperiment(view, px, py, inks);
    drawPins(view, px, py, inks);
    if (showsMiddle) drawMiddle(width, height, inks);
  }

  /** The way of the car to its rider, dashed, and the way of the ride, along the streets. */
  function drawRoute(ride, now, px, py, inks) {
    const car = cars.has(ride.handle) ? { x: cars.xOf(ride.handle, now), y: cars.yOf(ride.handle, now) } : null;
    const place = car && { lat: toLat(car.y), lon: toLon(car.x) };
    const isInCar = riderInCar(ride.state);
    const ahead = car && isInCar ? routes.rest(`${ride.id} rest`, car, place, ride.dropoff, now) : null;
    const way = ahead ?? routes.whole(ride.id, ride.pickup, ride.dropoff, now);
    line(way, px, py, inks.halo, 7, []);
    line(way, px, py, inks.route, 4, []);
    if (!car || isInCar || !hasDriver(ride.state)) return;
    const approach = routes.rest(`${ride.id} approach`, car, place, ride.pickup, now);
    line(approach, px, py, inks.halo, 6, []);
    line(approach, px, py, inks.selected, 3, [3, 6]);
  }

  function line(points, px, py, ink, thick, dash) {
    if (!points) return;
    c.beginPath();
    for (const { x, y } of points) c.lineTo(px(x), py(y));
    c.lineJoin = "round";
    c.strokeStyle = ink;
    c.lineWidth = thick;
    c.setLineDash(dash);
    c.stroke();
    c.setLineDash([]);
  }

  function drawEnds(ride, px, py, inks) {
    const x = px(ride.from.x), y = py(ride.from.y);
    if (isAtPickup(ride)) drawShape(c, RIDER, inks.rider, x, y, ride.isSelected ? 8 : 6);
    if (!ride.isSelected && ride.id !== pointed) return;
    flag(px(ride.to.x), py(ride.to.y), inks.dropoff);
  }

  /** An offer: a dashed line to the driver, and a dot moving along it. */
  function drawFlight(ride, now, px, py, inks) {
    const car = ride.offer.handle;
    const x0 = px(ride.from.x), y0 = py(ride.from.y);
    const x1 = px(cars.xOf(car, now)), y1 = py(cars.yOf(car, now));
    c.strokeStyle = c.fillStyle = inks.offered;
    c.beginPath();
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.lineWidth = 2;
    c.setLineDash([4, 4]);
    c.stroke();
    c.setLineDash([]);
    const share = isStill() ? 0.5 : (now % FLIGHT_MS) / FLIGHT_MS;
    c.beginPath();
    c.arc(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share, 4, 0, FULL_TURN);
    c.fill();
  }

  function drawExperiment(view, px, py, inks) {
    const at = place(experiment, view);
    const x = px(at.x), y = py(at.y);
    c.beginPath();
    c.arc(x, y, EXPERIMENT_PX, 0, FULL_TURN);
    c.lineWidth = 2;
    c.strokeStyle = inks.selected;
    c.setLineDash([5, 4]);
    c.stroke();
    c.setLineDash([]);
    write("Experiment", x, y + EXPERIMENT_PX + 10, inks);
  }

  /** Writes a text with an edge, so that it is legible on streets and cars. */
  function write(text, x, y, inks) {
    c.font = "600 12px system-ui, sans-serif";
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.lineJoin = "round";
    c.lineWidth = 4;
    c.strokeStyle = inks.halo;
    c.strokeText(text, x, y);
    c.fillStyle = inks.selected;
    c.fillText(text, x, y);
  }

  function drawPins(view, px, py, inks) {
    for (const [name, letter] of [["pickup", "A"], ["dropoff", "B"]]) {
      if (!pins[name]) continue;
      const { x, y } = place(pins[name], view);
      pin(px(x), py(y), inks[name], letter, inks.halo);
    }
  }

  function pin(x, y, ink, letter, paper) {
    c.fillStyle = ink;
    c.strokeStyle = paper;
    c.lineWidth = 2;
    c.beginPath();
    c.moveTo(x, y);
    c.bezierCurveTo(x - 4, y - 8, x - 11, y - 12, x - 11, y - 20);
    c.arc(x, y - 20, 11, Math.PI, 0);
    c.bezierCurveTo(x + 11, y - 12, x + 4, y - 8, x, y);
    c.stroke();
    c.fill();
    c.fillStyle = paper;
    c.font = "bold 13px system-ui, sans-serif";
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.fillText(letter, x, y - 19.5);
  }

  function flag(x, y, ink) {
    c.strokeStyle = c.fillStyle = ink;
    c.lineWidth = 2;
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(x, y - 15);
    c.stroke();
    c.fillRect(x, y - 15, 11, 8);
  }

  /** The place where Enter sets a pin. */
  function drawMiddle(width, height, inks) {
    const x = width / 2, y = height / 2;
    c.strokeStyle = inks.selected;
    c.lineWidth = 1.5;
    c.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      c.moveTo(x + 4 * dx, y + 4 * dy);
      c.lineTo(x + 11 * dx, y + 11 * dy);
    }
    c.stroke();
  }

  /** A ring around a car. */
  function ring(x, y, view, radius) {
    const width = canvas.width / ratio, height = canvas.height / ratio;
    c.strokeStyle = paints().selected;
    c.lineWidth = 2;
    c.beginPath();
    c.arc((x - view.x) * view.scale + width / 2, (y - view.y) * view.scale + height / 2, radius + 6, 0, FULL_TURN);
    c.stroke();
  }

  /** Returns the visible rider nearest to a place within a distance. */
  function nearest(x, y, within) {
    let best = null;
    for (const ride of rides) {
      const isSeen = isAtPickup(ride) || ride.isSelected;
      const apart = Math.hypot(near(ride.from.x, x) - x, ride.from.y - y);
      if (isSeen && apart < (best?.apart ?? within)) best = { ride, apart };
    }
    return best;
  }

  return {
    set,
    resize,
    draw,
    ring,
    nearest,
    setPins: (next) => (pins = next),
    setExperiment: (place) => {
      experiment = place;
      canvas.dataset.experiment = place ? `${place.lat},${place.lon}` : "";
    },
    select(next) {
      selected = next;
      mark();
    },
    /** Takes the ride to draw the route of: the one with an id, or of a car. Returns whether it is another one. */
    point(id, car) {
      const before = pointed;
      pointed = id ?? rides.find((ride) => car >= 0 && ride.handle === car)?.id ?? null;
      return pointed !== before;
    },
    find: (wanted) => rides.find((ride) => isOf(ride, wanted)) ?? null,
    undress: () => (paint = null),
    isFlying: () => !isStill() && rides.some((ride) => ride.state === "offered"),
    count: () => rides.length,
  };
}
