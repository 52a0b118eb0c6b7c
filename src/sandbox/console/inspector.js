// Shows the selected trip, driver, rider or payment.

import { call } from "./api.js";
import { inspectAudit } from "./audit.js";
import { emit, on } from "./bus.js";
import { CLICK, h, update } from "./dom.js";
import { inspectDriver } from "./drive.js";
import { inspectPayment } from "./money.js";
import { inspectOffer } from "./offer.js";
import { inspectRequest } from "./request.js";
import { inspectRider } from "./rider.js";
import { inspectTrip } from "./trip.js";
import { tripRow } from "./trips.js";

const PANELS = { trip: inspectTrip, offer: inspectOffer, driver: inspectDriver, rider: inspectRider, payment: inspectPayment, request: inspectRequest, audit: inspectAudit };

/**
 * Makes the inspector. It shows the object of each `select` event; a panel is a function of element, id and map that returns a
 * function that stops it.
 */
export function createInspector(element, map) {
  let stop = () => {};
  let shown = null;

  function show(selected) {
    if (selected && shown?.kind === selected.kind && shown?.id === selected.id) return;
    stop();
    stop = () => {};
    shown = selected;
    element.replaceChildren();
    element.scrollTop = 0;
    element.dataset.kind = selected?.kind ?? "";
    if (!selected) return welcome();
    const panel = h("div.panel");
    element.append(panel);
    stop = PANELS[selected.kind]?.(panel, selected.id, map) ?? (() => {});
  }

  function welcome() {
    const list = h("ul.list", {}, h("li.muted", {}, "…"));
    const choose = (label, kind) =>
      h("button", { type: "button", onclick: () => emit("select", { kind, id: "me" }) }, label);
    element.append(
      h("h2", {}, "Inspector"),
      h(
        "p.intro",
        {},
        `${CLICK} a car or a trip on the map, or choose one here, and see its state machine, its history, why this driver, and where the money is.`,
      ),
      h("div.actions", {}, choose("Be a driver", "driver"), choose("Your trips", "rider")),
      h("h3.apart", {}, "Latest trips"),
      list,
    );
    const refresh = async () => {
      const answer = await call({ as: "ops", path: "/v1/trips?limit=12", quiet: true });
      if (!answer.ok) return;
      const trips = answer.body.items;
      update(list, trips, () =>
        trips.length > 0 ? trips.map(tripRow) : h("li.muted", {}, "None yet: request the first one."),
      );
    };
    const timer = setInterval(refresh, 3000);
    stop = () => clearInterval(timer);
    refresh();
  }

  on("select", show);
  show(null);
}
