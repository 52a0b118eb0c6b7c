// The addresses of objects: `/city/trips/trip_…` shows that trip. A link to one can be sent to another person.

import { emit, on } from "./bus.js";

const KINDS = { trips: "trip", offers: "offer", drivers: "driver", riders: "rider", payments: "payment", requests: "request" };
const FOLDERS = Object.fromEntries(Object.entries(KINDS).map(([folder, kind]) => [kind, folder]));
const HOME = "/city";
const AUDIT = "/city/audit";

/** The prefixes of ids by kind. A trace id is 32 hexadecimal digits. */
const PREFIXES = { trip: "trip", ofr: "offer", drv: "driver", rdr: "rider", pay: "payment" };
const ID = /^([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const TRACE_ID = /^[0-9a-f]{32}$/;

/** Returns the path of an object `{kind, id}`; of the city without one. */
export function pathOf(selected) {
  if (!selected) return HOME;
  if (selected.kind === "audit") return AUDIT;
  return `${HOME}/${FOLDERS[selected.kind]}/${encodeURIComponent(selected.id)}`;
}

/** Returns the object of a path, or null. */
export function objectAt(path) {
  if (path === AUDIT) return { kind: "audit", id: "audit" };
  const [, home, folder, id, ...rest] = path.split("/");
  const isObject = `/${home}` === HOME && KINDS[folder] && id && rest.length === 0;
  return isObject ? { kind: KINDS[folder], id: decodeURIComponent(id) } : null;
}

/** Returns the object of an id, `null` if the id has the form of none of them. */
export function objectOf(id) {
  if (TRACE_ID.test(id)) return { kind: "request", id };
  const kind = PREFIXES[ID.exec(id)?.[1]];
  return kind ? { kind, id } : null;
}

/** Keeps the address of the page and the selected object equal. */
export function keepAddress() {
  on("select", (selected) => {
    const path = pathOf(selected);
    if (location.pathname !== path) history.pushState(null, "", path);
  });
  addEventListener("popstate", () => emit("select", objectAt(location.pathname)));
  // A link to an object of the city needs no other page.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented || link.origin !== location.origin) return;
    const selected = objectAt(link.pathname);
    if (!selected) return;
    event.preventDefault();
    emit("select", selected);
  });
  const first = objectAt(location.pathname);
  if (first) emit("select", first);
}
