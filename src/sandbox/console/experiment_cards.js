// The experiments as cards: what happens, where to look, a button, and then each step with the expected and the observed value.

import { emit } from "./bus.js";
import { ExperimentFailed } from "./actors.js";
import { h, short } from "./dom.js";
import { EXPERIMENTS } from "./experiments.js";

/** Longer than any experiment takes. */
const WITHIN_MS = 120_000;

/** Makes one card for each experiment. One runs at a time, because a provider fault affects all. */
export function createExperiments(element) {
  const cards = EXPERIMENTS.map((experiment) => card(experiment, (isRunning) => cards.forEach((one) => one.hold(isRunning))));
  element.replaceChildren(h("div.experiments", {}, cards.map((one) => one.element)));
}

function card(experiment, onRunning) {
  const run = h("button.primary", { type: "button", "aria-label": `Run: ${experiment.title}` }, "Run");
  const verdict = h("p.verdict", { role: "status" });
  const steps = h("ol.experiment-steps");
  const element = h("article.card.experiment", { "data-experiment": experiment.name, "data-state": "idle" },
    h("h2", {}, experiment.title), h("p", {}, experiment.what), h("p.muted", {}, h("b", {}, "Look at: "), experiment.look),
    h("div.actions", {}, run, verdict), steps);
  run.addEventListener("click", async () => {
    onRunning(true);
    steps.replaceChildren();
    say(element, verdict, "running", "Running …");
    const report = reporter(steps);
    try {
      await within(experiment.run(report));
      if (report.failures === 0) say(element, verdict, "passed", `As expected, ${report.count} times.`);
      else say(element, verdict, "failed", `${report.failures} of ${report.count} differed.`);
    } catch (error) {
      if (!(error instanceof ExperimentFailed)) console.error(error);
      report.fail(error.message);
      say(element, verdict, "failed", "The experiment did not finish.");
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

/** Shows the steps of a running experiment. */
function reporter(steps) {
  const add = (look, mark, ...children) => {
    const step = h(`li.${look}`, {}, h("span.mark", { "aria-hidden": "true" }, mark), h("span", {}, ...children));
    steps.append(step);
    step.scrollIntoView({ block: "nearest" });
  };
  return {
    count: 0,
    failures: 0,
    /** Adds a step that was done, as a link if `kind` and `id` are given. */
    did(text, kind, id) {
      const link = id && h("button.link.mono", { type: "button", onclick: () => emit("select", { kind, id }) }, short(id));
      add("did", "·", text, " ", link);
    },
    /** Compares an observed value with the expected one. */
    expect(what, expected, seen) {
      const isSo = expected === seen;
      this.count += 1;
      if (!isSo) this.failures += 1;
      const text = isSo ? `${what}: ${seen}` : `${what}: expected ${expected}, observed ${seen}`;
      add(isSo ? "good" : "bad", isSo ? "✓" : "✗", h("span.unseen", {}, isSo ? "As expected. " : "Different. "), text);
    },
    fail(text) {
      this.failures += 1;
      add("bad", "✗", h("span.unseen", {}, "Failed. "), text);
    },
  };
}

function within(work) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new ExperimentFailed(`not finished within ${WITHIN_MS / 1000} s`)), WITHIN_MS);
  });
  return Promise.race([work, late]);
}
