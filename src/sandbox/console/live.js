// The live stream: opens the WebSocket, reconnects, passes positions to the map and the state of the city to the bus (`world`).
// The service sends at most three unacknowledged messages, so a busy tab gets newer data, not more of it. The OpenAPI document
// describes the messages at `GET /v1/sandbox/live`.

import { call } from "./api.js";
import { emit } from "./bus.js";
import { h } from "./dom.js";
import { myDriver } from "./session.js";
import { DOING, RIDER, color, drawShape } from "./shapes.js";
import { knowStreets } from "./streets.js";

const RETRY_MS = [250, 500, 1000, 2000, 4000, 8000];
const STABLE_MS = 5000; // a connection that lasted this long ends the back-off
const EMPTY_MS = 8000; // how long the cars of the last connection stay while a restarted service has no positions
const LOOK_MS = 150; // interval of view updates
const ANSWER_MS = 3000;
const STREETS_TRIES = 30; // the city publishes its streets a moment after the service is up

export function startLive(map) {
  let socket = null;
  let seen = 0;
  let failures = 0;
  let view = null;
  let looking = 0;
  let streetsTag = null;
  let isStale = false; // the map still shows the cars of the previous connection
  let hasStreets = false;
  const waiting = new Map(); // pending questions: name to callback

  function open() {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/v1/sandbox/live");
    socket.binaryType = "arraybuffer";
    let stable = 0;
    let emptied = 0;
    socket.onopen = () => {
      stable = setTimeout(() => (failures = 0), STABLE_MS);
      seen = 0;
      isStale = true;
      emptied = setTimeout(renew, EMPTY_MS);
      emit("connection", "up");
      look();
      fetchStreets(STREETS_TRIES);
    };
    socket.onmessage = ({ data }) => {
      say({ ack: ++seen });
      if (data instanceof ArrayBuffer) receiveCars(data);
      else receive(JSON.parse(data));
    };
    socket.onclose = () => {
      clearTimeout(stable);
      clearTimeout(emptied);
      for (const answer of waiting.values()) answer(null);
      waiting.clear();
      emit("connection", "down");
      setTimeout(open, jittered(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]));
    };
  }

  /** The cars of the previous connection stay until the new one brings some: a restarted service has none for a moment. */
  function receiveCars(frame) {
    const hasCars = new DataView(frame).getUint32(4, true) > 0;
    if (hasCars) renew();
    if (!isStale) map.update(frame);
  }

  function renew() {
    if (isStale) map.forget();
    isStale = false;
  }

  function say(message) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  function receive(message) {
    if (message.type === "world") {
      map.update(message);
      describe(message);
      emit("world", message);
    } else if (message.type === "problem") {
      // The service names the field of the invalid message: its questions have no other answer.
      console.error(`live map: ${message.problem.detail}`);
      for (const [name, answer] of waiting) {
        if (message.problem.errors?.some(({ pointer }) => pointer === `/${name.split(" ")[0]}`)) answer(null);
      }
    } else {
      for (const name of [`identify ${message.handle}`, `locate ${message.driver_id}`]) {
        waiting.get(name)?.(message);
        waiting.delete(name);
      }
    }
  }

  /** Asks over the socket and returns the answer, or null after a time-out. */
  function question(name, message) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), ANSWER_MS);
      waiting.set(name, (answer) => (clearTimeout(timer), resolve(answer)));
      say(message);
    });
  }

  function look() {
    looking = 0;
    if (view) say({ view });
  }

  map.ask({
    look(next) {
      view = next;
      looking ||= setTimeout(look, LOOK_MS);
    },
    who: async (handle) => (await question(`identify ${handle}`, { identify: handle }))?.driver_id ?? null,
    // The page names its own driver `me`; the service knows ids only.
    where: async (driver) => {
      const id = driver === "me" ? await myDriver() : driver;
      return id ? question(`locate ${id}`, { locate: id }) : null;
    },
  });

  /** Fetches the streets if they have changed. */
  async function fetchStreets(tries) {
    const headers = streetsTag ? { "If-None-Match": streetsTag } : {};
    const answer = await call({ as: null, path: "/v1/sandbox/streets", headers, quiet: true });
    if (answer.status === 200) {
      streetsTag = answer.headers.etag;
      knowStreets(answer.body);
      map.setStreets(answer.body);
    }
    // A 304 means that they are still as empty as before.
    if (answer.status === 200) hasStreets = answer.body.coordinates.length > 0;
    if (!hasStreets && tries > 1) setTimeout(() => fetchStreets(tries - 1), 1000);
  }

  const jittered = (ms) => ms * (0.5 + Math.random() / 2);

  describe(null);
  // Drawn anew in the colors of the theme with the next message.
  document.addEventListener("theme", () => document.getElementById("map-status")?.replaceChildren());
  open();
}

/** Says what is on the map: each number beside the symbol that it counts, so that the line is the legend as well. */
function describe(world) {
  const status = document.getElementById("map-status");
  if (!status) return;
  if (!world?.matcher) return status.replaceChildren(world ? "This process is not the matcher: it has no positions." : "");
  const { drivers, waiting } = world;
  const online = Object.values(drivers).reduce((sum, count) => sum + count, 0);
  const hidden = world.hidden > 0 ? `, ${world.hidden} trips in view not drawn` : "";
  const texts = [`${online} drivers`, ...DOING.map(({ name, label }) => `, ${drivers[name] ?? 0} ${label}`), `; ${waiting.count} ${waiting.count === 1 ? "rider" : "riders"} waiting${hidden}`];
  // The symbols stay: only what has changed is drawn anew.
  if (status.childElementCount !== texts.length) status.replaceChildren(...texts.map((_, index) => h("span", {}, ...parts(index))));
  for (const [index, text] of texts.entries()) {
    const [before, place] = [index === 0 ? "" : text.slice(0, 2), status.children[index]];
    place.firstChild.textContent = before;
    place.lastChild.textContent = text.slice(before.length);
  }
}

/** The separator, the symbol if the number has one, and the text. */
const parts = (index) => [h("span.between"), index > 0 && key([...DOING, RIDER][index - 1]), h("span.count")];

/** A symbol of the map as a picture. */
function key(look) {
  const picture = h("canvas.key", { width: 28, height: 28, "aria-hidden": "true" });
  drawShape(picture.getContext("2d"), look, color(look.tint), 14, 14, 10);
  return picture;
}
