// The map: five stacked canvases. The base map and zones are drawn when the view changes, cars while one moves, names above them, and on
// top, in the page's own canvas, riders, routes and pins. When nothing moves, nothing is drawn.
//
//   createMap({canvas, onClick, onView, asksForPin}) -> {setStreets, setZones, update, setPins, select, resize, stats, center, ask, forget}
//     onClick({lat, lon}, hit)   hit: {kind, id} under the pointer, or null. Enter on the canvas is a click at its center
//     asksForPin()               while true, a click has no hit, so that a pin can be placed everywhere. What was under it is offered beside
//     onView({lat, lon, metersPerPixel, width, height})   after every pan and zoom
//     setStreets(map)            the published streets: a GeoJSON MultiLineString with name, roads and areas beside it
//     setZones(items)            of the trending zones; none hides them
//     update(message)            from live.js: an ArrayBuffer with cars, or an object with rides
//     setPins({pickup, dropoff}) each {lat, lon} or null
//     showExperiment({place, end, for_ms})   moves the map there and marks the place for some time
//     setCandidates({pickup, list} | null)   of the selected trip, as `explain` returns them
//     select({kind, id} | null)  the highlighted object
//     center()                   {lat, lon}
//     ask({look, who, where})    functions that send the view, identify a handle, and locate a driver
//     forget()                   discards the handles of the previous connection
//     stats()                    of the last frame
// Colors are the CSS variables --map-… of style.css and map.css; the document's event `theme` signals a change.

import { createBasemap } from "./basemap.js";
import { emit } from "./bus.js";
import { createCars } from "./cars.js";
import { createCandidates } from "./candidates.js";
import { h } from "./dom.js";
import { listen } from "./gestures.js";
import { createLabels } from "./labels.js";
import { metersPerUnit, near, toLat, toLon, toX, toY } from "./mercator.js";
import { createRides } from "./rides.js";
import { createScaleBar } from "./scale_bar.js";
import { createZones } from "./zones.js";

const SCALE_MAX = 2 ** 28; // 0.15 m to a pixel
const SCALE_MIN = 256; // the world
const FIT = 0.92; // of the canvas is filled by what is shown
const PICK_PX = 9, TOUCH_PX = 16; // how close to a thing one has to click; a finger covers it
const STEP = 1.6; // of a button
const EXPERIMENT_M = 9; // an experiment is shown at this many meters to a pixel or closer
const RADIUS_MIN = 1.5, RADIUS_MAX = 7; // of a car, CSS pixels
const CROWD = 4; // cars are so many radii apart, if they can be

export function createMap({ canvas, onClick, onView, asksForPin = () => false }) {
  const layer = () => {
    const made = document.createElement("canvas");
    made.className = "layer";
    made.setAttribute("aria-hidden", "true");
    canvas.before(made);
    return made;
  };
  const streets = createBasemap(layer());
  const zones = createZones(layer());
  const cars = createCars(layer());
  const labels = createLabels(layer()); // above the cars, which would cover the letters
  const rides = createRides(canvas, cars, soon);
  const candidates = createCandidates(canvas, cars);
  const scaleBar = createScaleBar(canvas);
  canvas.classList.add("layer");

  const view = { x: 0.5, y: 0.5, scale: SCALE_MIN * 4 };
  const size = { width: 1, height: 1 };
  const stats = { frames: 0, ms: 0, cars: 0, drawn: 0 };
  let isTouched = false; // the person has moved the map: from then on it stays where it is
  let isFitted = false;
  let areStreetsStale = true;
  let asked = 0;
  let chosen = null; // {kind, id, handle}
  let experimentEnds = 0;
  let beside = null; // the element that offers what was under a click
  let stream = { look() {}, who: async () => null, where: async () => null };

  const left = () => view.x - size.width / 2 / view.scale;
  const top = () => view.y - size.height / 2 / view.scale;
  const toPlace = (x, y) => ({ lat: toLat(top() + y / view.scale), lon: toLon(left() + x / view.scale) });
  let radius = RADIUS_MAX; // of a car

  /** Returns the size of a car for the zoom, in half pixels: each size has sprites of its own. */
  function measureCars() {
    const apart = Math.sqrt((size.width * size.height) / Math.max(1, stats.drawn));
    const fitting = Math.min(RADIUS_MAX, Math.log2(view.scale / 2 ** 17), apart / CROWD);
    radius = Math.max(RADIUS_MIN, Math.round(fitting * 2) / 2);
  }

  function soon() {
    asked ||= requestAnimationFrame(frame);
  }

  function frame() {
    const began = performance.now();
    asked = 0;
    if (areStreetsStale) {
      streets.draw(view, metersPerUnit(view.y));
      zones.draw(view);
      labels.draw(view, metersPerUnit(view.y));
    }
    areStreetsStale = false;
    const now = performance.now();
    const isMoving = cars.isMoving(now);
    stats.drawn = cars.draw(view, radius, now);
    rides.draw(view, now, { showsMiddle: canvas.matches(":focus-visible") });
    candidates.draw(view, size, radius, now);
    const car = chosen?.handle ?? -1;
    if (cars.has(car)) rides.ring(cars.xOf(car, now), cars.yOf(car, now), view, radius);
    stats.frames++;
    stats.cars = cars.count();
    stats.ms = performance.now() - began;
    if (isMoving || rides.isFlying()) soon();
  }

  function viewed() {
    measureCars();
    areStreetsStale = true;
    beside?.remove();
    scaleBar.show(metersPerUnit(view.y) / view.scale);
    soon();
    const { width, height } = size;
    onView?.({ ...center(), metersPerPixel: metersPerUnit(view.y) / view.scale, width, height });
    stream.look(area());
  }

  /** Returns the view in the form that the stream takes. */
  function area() {
    const west = toLon(left());
    const wide = Math.min(360, (size.width / view.scale) * 360);
    const south = toLat(Math.min(1, top() + size.height / view.scale)), north = toLat(Math.max(0, top()));
    return { south, west, north, east: west + wide };
  }

  function fit(box) {
    if (!box) return;
    view.x = (box.left + box.right) / 2;
    view.y = (box.top + box.bottom) / 2;
    const across = Math.max(box.right - box.left, 1e-6), down = Math.max(box.bottom - box.top, 1e-6);
    view.scale = clamp(FIT * Math.min(size.width / across, size.height / down));
    isFitted = true;
    viewed();
  }

  const clamp = (scale) => Math.max(SCALE_MIN, Math.min(SCALE_MAX, scale));

  function pan(dx, dy) {
    isTouched = true;
    view.x -= dx / view.scale;
    view.y = Math.max(0, Math.min(1, view.y - dy / view.scale));
    viewed();
  }

  function zoom(factor, x, y) {
    isTouched = true;
    const next = clamp(view.scale * factor);
    const dx = x - size.width / 2, dy = y - size.height / 2;
    view.x += dx / view.scale - dx / next;
    view.y += dy / view.scale - dy / next;
    view.scale = next;
    viewed();
  }

  /** Returns the object under a point; a waiting rider's trip takes precedence over a driver. */
  function under(x, y, pointer) {
    const at = { x: left() + x / view.scale, y: top() + y / view.scale };
    const within = (pointer === "mouse" ? PICK_PX : TOUCH_PX) / view.scale;
    const rider = rides.nearest(at.x, at.y, within);
    const car = cars.nearest(at.x, at.y, within, performance.now());
    return { ride: rider?.ride ?? null, car };
  }

  async function tap(x, y, pointer) {
    const place = toPlace(x, y);
    const { ride, car } = under(x, y, pointer);
    beside?.remove();
    if (asksForPin()) {
      if (ride || car >= 0) offerBeside(x, y, ride, car);
      return onClick(place, null);
    }
    if (ride) return onClick(place, { kind: "trip", id: ride.id });
    const driver = car >= 0 ? await stream.who(car) : null;
    onClick(place, driver ? { kind: "driver", id: driver } : null);
  }

  /** Offers what is under a new pin: a click there was one for the pin. */
  function offerBeside(x, y, ride, car) {
    const choose = async () => {
      beside.remove();
      const id = ride ? ride.id : await stream.who(car);
      if (id) emit("select", { kind: ride ? "trip" : "driver", id });
    };
    beside = h("div.card.beside", {}, h("button.quiet", { type: "button", onclick: choose }, ride ? "Rider here: inspect" : "Car here: inspect"));
    beside.style.left = `${Math.max(80, Math.min(size.width - 80, x))}px`;
    beside.style.top = `${Math.min(size.height - 50, y)}px`;
    canvas.after(beside);
  }

  async function select(selected) {
    const picked = selected && { ...selected, handle: -1 };
    chosen = picked;
    rides.select(selected);
    soon();
    if (picked?.kind !== "driver") return;
    const found = await stream.where(picked.id);
    if (chosen !== picked || !found) return;
    picked.handle = found.handle;
    reveal(found.position);
  }

  /** Moves the map if a place is not visible. */
  function reveal(place) {
    if (!place) return;
    const x = near(toX(place.lon), view.x), y = toY(place.lat);
    const isSeen = Math.abs(x - view.x) * view.scale < size.width / 2 && Math.abs(y - view.y) * view.scale < size.height / 2;
    if (isSeen) return;
    isTouched = true; // a resize keeps the place in view
    Object.assign(view, { x, y });
    viewed();
  }

  /** Shows where an experiment happens, with the city around it. */
  function showExperiment({ place, end, for_ms }) {
    const [x, y] = [(toX(place.lon) + toX(end.lon)) / 2, (toY(place.lat) + toY(end.lat)) / 2];
    isTouched = true;
    Object.assign(view, { x, y, scale: Math.max(view.scale, metersPerUnit(y) / EXPERIMENT_M) });
    rides.setExperiment(place);
    clearTimeout(experimentEnds);
    experimentEnds = setTimeout(() => (rides.setExperiment(null), soon()), for_ms);
    viewed();
  }

  function resize() {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (width === 0 || height === 0) return;
    Object.assign(size, { width, height });
    for (const part of [streets, zones, labels, cars, rides]) part.resize(width, height, devicePixelRatio);
    if (isFitted && !isTouched && streets.bounds()) fit(streets.bounds());
    else viewed();
  }

  function update(message) {
    if (message instanceof ArrayBuffer) {
      cars.apply(message, performance.now());
      if (!isFitted && !isTouched && cars.count() > 0) fit(cars.bounds());
    } else {
      rides.set(message.rides);
      measureCars(); // once a second is enough: a size that changes on each frame would flicker
    }
    soon();
  }

  const center = () => ({ lat: toLat(view.y), lon: toLon(view.x) });

  /** Returns the bounds of the streets, or else of the cars. */
  function showAll() {
    isTouched = false;
    fit(streets.bounds() ?? cars.bounds());
  }

  const button = (sign, label, onclick) => h("button.quiet", { type: "button", "aria-label": label, title: label, onclick }, sign);
  const step = (factor) => () => zoom(factor, size.width / 2, size.height / 2);
  canvas.after(
    h(
      "div.zoom",
      { role: "group", "aria-label": "Zoom" },
      button("+", "Zoom in", step(STEP)),
      button("−", "Zoom out", step(1 / STEP)),
      button("⤢", "Show the whole city", showAll),
    ),
  );

  listen(canvas, {
    onPan: pan,
    onZoom: zoom,
    onTap: tap,
    onEnter: () => onClick(center(), null),
    onHover(x, y) {
      const found = x === null ? null : under(x, y, "mouse");
      canvas.classList.toggle("over", found !== null && (found.ride !== null || found.car >= 0));
      canvas.classList.toggle("asking", asksForPin());
      if (rides.point(found?.ride?.id ?? null, found?.car ?? -1)) soon();
    },
  });
  for (const type of ["focus", "blur"]) canvas.addEventListener(type, soon);
  document.addEventListener("theme", () => {
    cars.undress();
    rides.undress();
    areStreetsStale = true;
    soon();
  });
  resize();

  return {
    setStreets(map) {
      streets.set(map);
      labels.set(map);
      scaleBar.setName(map.name);
      if (!isTouched) fit(streets.bounds());
      areStreetsStale = true;
      soon();
    },
    setZones(items) {
      zones.set(items);
      areStreetsStale = true;
      soon();
    },
    update,
    setPins(pins) {
      if (!pins.pickup) beside?.remove();
      rides.setPins(pins);
      soon();
    },
    async setCandidates(found) {
      if (await candidates.set(found, (driver) => stream.where(driver))) soon();
    },
    select,
    reveal,
    showExperiment,
    resize,
    center,
    ask(next) {
      stream = next;
      stream.look(area());
    },
    forget() {
      cars.clear();
      candidates.forget();
      select(chosen);
    },
    stats: () => ({ ...stats, candidates: candidates.count() }),
  };
}
