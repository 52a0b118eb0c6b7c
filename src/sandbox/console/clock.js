// The domain clock: its time, its speed, jumps past the next deadline of what is selected; and the reset of the sandbox.

import { call, callUntilDecided } from "./api.js";
import { emit, on } from "./bus.js";
import { h, seconds } from "./dom.js";
import { domainLast, setClock, speeds } from "./domain.js";
import { forget } from "./session.js";

const PATH = "/v1/sandbox/clock";
const READ_EVERY_MS = 2_000;
const SHOW_EVERY_MS = 200;
/** How long a note stays in the bar. */
const NOTE_MS = 8_000;
/** How often a reset is sent, while it is refused for what runs at that time. */
const RESETS_MAX = 3;
/** The kinds of objects with a deadline. */
const WITH_DEADLINE = ["trip", "offer", "payment"];

/** Shows the clock and its controls. */
export function createClock(element) {
  let reading = null;
  let selected = null;
  let next = null; // the next deadline of the selected object: {what, at}
  let noteEnds = 0;
  const [date, hour] = [h("span.date"), h("span", {}, "–")];
  const face = h(
    "span.domain-face",
    { title: "Offers, deadlines and positions use domain time. It can run faster than your clock, and jump." },
    h("span.small.muted", {}, "Domain time "),
    h("time.number", {}, date, hour),
  );
  const scale = h("select", { "aria-label": "Speed of domain time" });
  const minute = h("button", { type: "button", title: "One minute of domain time, at once" }, "+1 min");
  const skip = h("button.skip", { type: "button" });
  const begin = h("button.quiet", { type: "button" }, "Reset");
  const said = h("span.small.muted.clock-note", { role: "status" });
  element.replaceChildren(face, scale, minute, skip, begin, said);

  /** Shows a note for some seconds: it belongs to one action, and the bar to the next. */
  function note(text) {
    said.textContent = text;
    said.title = text;
    clearTimeout(noteEnds);
    noteEnds = setTimeout(() => note(""), text ? NOTE_MS : 2 ** 31 - 1);
  }

  function show() {
    if (!reading) return;
    const now = new Date(domainLast()).toISOString();
    date.textContent = `${now.slice(0, 10)} `;
    hour.textContent = now.slice(11, 19);
    showSkip();
  }

  function showSkip() {
    const left = next && (Date.parse(next.at) - domainLast()) / 1000;
    const isDue = left !== null && left > 0;
    const what = isDue ? `${capital(next.what)} in ${seconds(left)}: skip` : "Skip to a deadline";
    if (skip.textContent !== what) skip.textContent = what;
    skip.disabled = !isDue;
    skip.title = isDue
      ? "Jump one second past this deadline. All offers and deadlines of the city pass as well."
      : selected
        ? "What is selected has no deadline now."
        : "Select a trip or a payment: the button then skips to its next deadline.";
  }

  function showSpeeds() {
    const offered = speeds();
    const shown = offered.includes(reading.scale) ? offered : [...offered, reading.scale];
    const key = shown.join();
    if (scale.dataset.key !== key) {
      scale.dataset.key = key;
      scale.replaceChildren(...shown.map((n) => h("option", { value: n }, `${n}×`)));
    }
    scale.value = String(reading.scale);
    const delay = reading.position_delay_ms;
    scale.title =
      `Seconds of domain time per second. The service offers what the city keeps up with on this machine: up to ` +
      `${reading.sustainable_scale}×` +
      (delay === null || delay === undefined ? "." : `, measured; positions arrive after ${delay} ms.`);
  }

  async function keep(clock) {
    reading = clock;
    showSpeeds();
    show();
    if (clock.sustainable_scale < clock.scale) await slowDown(clock);
  }

  /** Lowers a speed that the city does not keep up with: offers would expire before the drivers can answer. */
  async function slowDown(clock) {
    const speed = speeds().at(-1) ?? 1;
    if (speed >= clock.scale) return;
    const answer = await setClock({ scale: speed }, "Lower the clock's speed");
    if (answer.ok) note(`${clock.scale}× was too fast for this machine: now ${speed}×`);
  }

  async function read() {
    const of = selected;
    const path = of ? `${PATH}?of=${of}` : PATH;
    const answer = await call({ as: null, path, quiet: true });
    if (of === selected) next = answer.body?.next ?? null;
    if (answer.ok) emit("clock", answer.body);
    else showSkip();
  }

  async function set(body, why) {
    const answer = await setClock(body, why);
    const passed = answer.body?.passed;
    note(answer.ok ? (passed ? `${capital(passed.what)}.` : "") : (answer.body?.detail ?? "The service is not responding."));
    read();
  }

  scale.addEventListener("change", () => set({ scale: Number(scale.value) }, "Set the clock's speed"));
  minute.addEventListener("click", () => set({ advance_s: 60 }, "Advance the clock by a minute"));
  skip.addEventListener("click", () => set({ past: selected }, "Skip past the next deadline"));
  begin.addEventListener("click", () => beginAnew(note));
  on("clock", keep);
  on("connection", (state) => state === "up" && read());
  on("select", (chosen) => {
    selected = chosen && chosen.id !== "me" && WITH_DEADLINE.includes(chosen.kind) ? chosen.id : null;
    next = null;
    note("");
    showSkip();
    if (selected) read();
  });
  setInterval(() => document.hidden || show(), SHOW_EVERY_MS);
  setInterval(() => document.hidden || read(), READ_EVERY_MS);
  showSkip();
  read();
}

const capital = (text) => text.replace(/^the /, "").replace(/^./, (first) => first.toUpperCase());

/** Asks for confirmation: a reset cannot be undone. The focus starts on the button that changes nothing. */
function beginAnew(note) {
  const dialog = h("dialog.card", { "aria-labelledby": "reset-title" },
    h("h2", { id: "reset-title" }, "Reset the sandbox?"),
    h("p", {}, "This deletes every trip, payment, driver and webhook, here and at the payment provider. Domain time keeps running, at 1×. The city's drivers are back within seconds."),
    h("form.actions", { method: "dialog" },
      h("button", { value: "no", autofocus: true }, "Cancel"),
      h("button.danger", { value: "yes" }, "Delete everything")));
  document.body.append(dialog);
  dialog.addEventListener("close", async () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") return;
    note("Resetting …");
    // At a speed that the city did not keep up with, it would not recover either.
    await setClock({ scale: 1 }, "Set the clock's speed");
    let refusals = 0;
    const answer = await callUntilDecided(
      { as: null, method: "POST", path: "/v1/sandbox/reset", why: "Reset the sandbox" },
      // A refused reset has changed nothing; what it waited for may have ended meanwhile.
      { isWanted: () => refusals < RESETS_MAX, onWait: () => note(`Resetting … refused ${++refusals} times, trying again`) });
    if (!answer.ok) return note(answer.body?.detail ?? "The service is not responding. Try again.");
    forget();
    location.assign("/city");
  });
  dialog.showModal();
}
