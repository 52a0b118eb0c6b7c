// The live stream: opens the WebSocket, reconnects, passes positions to the map and the state of the city to the bus (`world`).
// The service sends at most three unacknowledged messages, so a busy tab gets newer data, not more of it. The OpenAPI document
// describes the messages at `GET /v1/sandbox/live`.

import { call } from "./api.js";
import { emit } from "./bus.js";
import { h } from "./dom.js";
import { DOING, RIDER, color, drawShape } from "./shapes.js";
import { count, riderInCar } from "./states.js";

const RETRY_MS = [250, 500, 1000, 2000];
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
  let hasStreets = false;
  const waiting = new Map(); // pending questions: name to callback

  function open() {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/v1/sandbox/live");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      failures = 0;
      seen = 0;
      emit("connection", "up");
      map.forget();
      look();
      fetchStreets(STREETS_TRIES);
    };
    socket.onmessage = ({ data }) => {
      say({ ack: ++seen });
      if (data instanceof ArrayBuffer) map.update(data);
      else receive(JSON.parse(data));
    };
    socket.onclose = () => {
      for (const answer of waiting.values()) answer(null);
      waiting.clear();
      emit("connection", "down");
      setTimeout(open, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
    };
  }

  function say(message) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  function receive(message) {
    if (message.type === "world") {
      map.update(message);
      describe(message);
      emit("world", message);
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
    where: (driver) => question(`locate ${driver}`, { locate: driver }),
  });

  /** Fetches the streets if they have changed. */
  async function fetchStreets(tries) {
    const headers = streetsTag ? { "If-None-Match": streetsTag } : {};
    const answer = await call({ as: null, path: "/v1/sandbox/streets", headers, quiet: true });
    if (answer.status === 200) {
      streetsTag = answer.headers.etag;
      map.setStreets(answer.body);
    }
    // A 304 means that they are still as empty as before.
    if (answer.status === 200) hasStreets = answer.body.coordinates.length > 0;
    if (!hasStreets && tries > 1) setTimeout(() => fetchStreets(tries - 1), 1000);
  }

  describe(null);
  document.addEventListener("theme", legend);
  legend();
  open();
}

/** Describes the map as text, for screen readers and as its legend. */
function describe(world) {
  const status = document.getElementById("map-status");
  if (!status) return;
  if (!world) status.textContent = "";
  else if (!world.matcher) status.textContent = "This process is not the matcher: it has no positions.";
  else {
    const { drivers, trips, waiting } = world;
    const online = Object.values(drivers).reduce((sum, count) => sum + count, 0);
    const riding = count(trips, riderInCar);
    const hidden = world.hidden > 0 ? `, ${world.hidden} trips in view not drawn` : "";
    status.textContent = `${online} drivers, ${drivers.free} free; riders: ${waiting.count} waiting, ${riding} riding${hidden}`;
  }
}

function legend() {
  const list = document.getElementById("legend");
  if (!list) return;
  list.replaceChildren(
    ...[...DOING, RIDER].map((look) => {
      const picture = h("canvas", { width: 28, height: 28, "aria-hidden": "true", class: "key" });
      drawShape(picture.getContext("2d"), look, color(look.tint), 14, 14, 10);
      return h("li", {}, picture, look.label);
    }),
  );
}
