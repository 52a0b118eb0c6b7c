// The domain clock: its time, its speed, jumps past a time-out; and the reset of the sandbox.

import { call } from "./api.js";
import { emit, on } from "./bus.js";
import { h } from "./dom.js";
import { forget } from "./session.js";

const PATH = "/v1/sandbox/clock";
const SCALES = [1, 5, 20, 60, 200];
const READ_EVERY_MS = 5_000;
const SHOW_EVERY_MS = 200;
/** The kinds of objects with a deadline, and their names. */
const JUMPS = { trip: "trip", payment: "payment" };

/** Shows the clock and its controls. */
export function createClock(element) {
  let reading = null;
  let selected = null;
  const [date, hour] = [h("span.date"), h("span", {}, "–")];
  const face = h("time.number", { title: "Domain time: offers, deadlines and positions use it" }, date, hour);
  const scale = h("select", { "aria-label": "Speed of domain time" }, SCALES.map((n) => h("option", { value: n }, `${n}×`)));
  const minute = h("button", { type: "button", title: "One minute of domain time, at once" }, "+1 min");
  const jump = h("button", { type: "button", disabled: true, title: "Select a trip or a payment first" }, "Past its time-out");
  const begin = h("button.quiet", { type: "button" }, "Reset");
  const said = h("span.small.muted", { role: "status" });
  element.replaceChildren(face, scale, minute, jump, begin, said);

  const show = () => {
    if (!reading) return;
    const now = new Date(Date.parse(reading.domain) + (performance.now() - reading.at) * reading.scale).toISOString();
    date.textContent = `${now.slice(0, 10)} `;
    hour.textContent = now.slice(11, 19);
  };
  const keep = (clock) => {
    reading = { ...clock, at: performance.now() };
    scale.value = String(clock.scale);
    if (scale.selectedIndex < 0) scale.append(h("option", { value: clock.scale, selected: true }, `${clock.scale}×`));
    show();
  };
  const read = async () => {
    const answer = await call({ as: null, path: PATH, quiet: true });
    if (answer.ok) emit("clock", answer.body);
  };
  const set = async (body, why) => {
    const answer = await call({ as: null, method: "POST", path: PATH, body, why });
    if (answer.ok) emit("clock", answer.body);
    const passed = answer.body?.passed;
    said.textContent = answer.ok ? (passed ? `${passed.what}.` : "") : (answer.body?.detail ?? "No answer.");
  };

  scale.addEventListener("change", () => set({ scale: Number(scale.value) }, "Set the clock's speed"));
  minute.addEventListener("click", () => set({ advance_s: 60 }, "Advance the clock by a minute"));
  jump.addEventListener("click", () => set({ past: selected }, "Jump past its time-out"));
  begin.addEventListener("click", () => beginAnew(said));
  on("clock", keep);
  on("connection", (state) => state === "up" && read());
  on("select", (chosen) => {
    selected = chosen && JUMPS[chosen.kind] ? chosen.id : null;
    jump.disabled = selected === null;
    jump.title = selected ? `Jump past the next deadline of this ${JUMPS[chosen.kind]}` : "Select a trip or a payment first";
  });
  setInterval(() => document.hidden || show(), SHOW_EVERY_MS);
  setInterval(() => document.hidden || read(), READ_EVERY_MS);
  read();
}

/** Asks for confirmation: a reset cannot be undone. */
function beginAnew(said) {
  const dialog = h("dialog.card", { "aria-label": "Reset" },
    h("p", {}, "This deletes every trip, payment, driver and webhook, here and at the payment provider. The clock keeps running."),
    h("form.actions", { method: "dialog" },
      h("button.primary", { value: "yes" }, "Reset"),
      h("button", { value: "no" }, "Cancel")));
  document.body.append(dialog);
  dialog.addEventListener("close", async () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") return;
    const answer = await call({ as: null, method: "POST", path: "/v1/sandbox/reset", why: "Reset the sandbox" });
    if (!answer.ok) {
      said.textContent = answer.body?.detail ?? "No answer.";
      return;
    }
    forget();
    location.reload();
  });
  dialog.showModal();
}
