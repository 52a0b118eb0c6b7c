// The experiments as cards: what will happen, what to look at, a button, and then each step with what was expected and what was seen.

import { emit } from "./bus.js";
import { Spoilt } from "./cast.js";
import { h, short } from "./dom.js";
import { TRIALS } from "./trials.js";

/** Longer than any of them takes; a page that is left alone must not try for ever. */
const WITHIN_MS = 120_000;

/** One card for each trial; one runs at a time, because a bad day of the provider is everybody's. */
export function createExperiments(element) {
  const cards = TRIALS.map((trial) => card(trial, (isRunning) => cards.forEach((one) => one.hold(isRunning))));
  element.replaceChildren(h("div.experiments", {}, cards.map((one) => one.element)));
}

function card(trial, onRunning) {
  const run = h("button.primary", { type: "button", "aria-label": `Run: ${trial.title}` }, "Run");
  const verdict = h("p.verdict", { role: "status" });
  const steps = h("ol.trial");
  const element = h("article.card.experiment", { "data-experiment": trial.name, "data-state": "idle" },
    h("h2", {}, trial.title), h("p", {}, trial.what), h("p.muted", {}, h("b", {}, "Look at: "), trial.look),
    h("div.actions", {}, run, verdict), steps);
  run.addEventListener("click", async () => {
    onRunning(true);
    steps.replaceChildren();
    say(element, verdict, "running", "Running …");
    const report = reporter(steps);
    try {
      await within(trial.run(report));
      if (report.failures === 0) say(element, verdict, "passed", `As expected, ${report.count} times.`);
      else say(element, verdict, "failed", `${report.failures} of ${report.count} were not as expected.`);
    } catch (error) {
      if (!(error instanceof Spoilt)) console.error(error);
      report.fail(error.message);
      say(element, verdict, "failed", "It could not be finished.");
    } finally {
      onRunning(false);
    }
  });
  return { element, hold: (isRunning) => (run.disabled = isRunning) };
}

function say(element, verdict, state, text) {
  element.dataset.state = state;
  verdict.textContent = { running: "", passed: "✓ ", failed: "✗ " }[state] + text;
}

/** What a trial tells while it runs. */
function reporter(steps) {
  const add = (look, mark, ...children) => {
    const step = h(`li.${look}`, {}, h("span.mark", { "aria-hidden": "true" }, mark), h("span", {}, ...children));
    steps.append(step);
    step.scrollIntoView({ block: "nearest" });
  };
  return {
    count: 0,
    failures: 0,
    /** Something that was done. `kind` and `id` make a link of it. */
    did(text, kind, id) {
      const link = id && h("button.link.mono", { type: "button", onclick: () => emit("select", { kind, id }) }, short(id));
      add("did", "·", text, " ", link);
    },
    /** Something that should be so. */
    expect(what, expected, seen) {
      const isSo = expected === seen;
      this.count += 1;
      if (!isSo) this.failures += 1;
      const told = isSo ? `${what}: ${seen}` : `${what}: expected ${expected}, seen ${seen}`;
      add(isSo ? "good" : "bad", isSo ? "✓" : "✗", h("span.unseen", {}, isSo ? "As expected. " : "Not as expected. "), told);
    },
    fail(text) {
      this.failures += 1;
      add("bad", "✗", h("span.unseen", {}, "Failed. "), text);
    },
  };
}

function within(work) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Spoilt(`not finished within ${WITHIN_MS / 1000} s`)), WITHIN_MS);
  });
  return Promise.race([work, late]);
}
