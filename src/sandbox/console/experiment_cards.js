// The experiments: a list of cards, and beside it the story of the one that ran last: what was checked, what to look at, what would have
// happened without the guard, and the sequence diagram.

import { ExperimentFailed } from "./actors.js";
import { h } from "./dom.js";
import { EXPERIMENTS } from "./experiments.js";
import { objectLink } from "./object_link.js";
import { createSequence } from "./sequence.js";
import { Story } from "./story.js";

/** Longer than any experiment takes. */
const WITHIN_MS = 120_000;

/** Makes one card for each experiment. One runs at a time, because a provider fault affects all. */
export function createExperiments(element) {
  const place = h("section.story", { "aria-label": "What happened", hidden: true });
  let shown = null;
  const show = (story) => {
    shown?.stop();
    shown = story;
    place.replaceChildren(...story.parts);
    place.hidden = false;
    element.classList.add("has-story");
    for (const one of cards) one.mark(one.name === story.name);
    story.begin();
  };
  const hold = (isRunning) => cards.forEach((one) => one.hold(isRunning));
  const cards = EXPERIMENTS.map((experiment) => card(experiment, { show, hold }));
  element.replaceChildren(h("div.experiments", {}, h("div.experiment-cards", {}, cards.map((one) => one.element)), place));
}

function card(experiment, { show, hold }) {
  const run = h("button.primary", { type: "button", "aria-label": `Run: ${experiment.title}` }, "Run");
  const again = h("button.quiet", { type: "button", hidden: true, "aria-label": `Show what happened: ${experiment.title}` }, "Show");
  const verdict = h("p.verdict", { role: "status" });
  const element = h("article.card.experiment", { "data-experiment": experiment.name, "data-state": "idle" },
    h("h2", {}, experiment.title), h("p", {}, experiment.what), h("div.actions", {}, run, verdict, again));
  let left = [];
  let story = null;
  again.addEventListener("click", () => story && show(story));
  run.addEventListener("click", async () => {
    hold(true);
    say(element, verdict, "running", "Running …");
    // What the run before has left ends as rides end: the driver completes it, waiting riders cancel.
    await Promise.all(left.map((actor) => actor.leave()));
    const report = createReport();
    left = report.actors;
    try {
      await within(experiment.run(report));
    } catch (error) {
      if (!(error instanceof ExperimentFailed)) console.error(error);
      report.fail(error.message);
    } finally {
      story = await tell(experiment, report);
      show(story);
      again.hidden = false;
      const { count, failures } = report;
      if (failures === 0) say(element, verdict, "passed", `${count} checks hold.`);
      else say(element, verdict, "failed", `${failures} of ${Math.max(count, failures)} checks failed.`);
      hold(false);
    }
  });
  return {
    name: experiment.name,
    element,
    hold: (isRunning) => (run.disabled = isRunning),
    mark: (isShown) => element.classList.toggle("shown", isShown),
  };
}

function say(element, verdict, state, text) {
  element.dataset.state = state;
  verdict.textContent = { running: "", passed: "✓ ", failed: "✗ " }[state] + text;
}

/** Makes the story of a finished run: `{name, parts, begin, stop}`. */
async function tell({ name, title, without, guard }, report) {
  const recorded = await report.story.finish();
  const [guardName, guardText] = guard;
  const sequence = recorded.steps.length > 0 ? createSequence(recorded) : null;
  const links = report.links.map(({ label, kind, id }) => h("li", {}, `${label} `, objectLink(kind, id)));
  const parts = [
    h("header.story-head", {},
      h("h2", {}, title),
      links.length > 0 && h("div.look", {}, h("span.muted", {}, "Look at: "), h("ul", {}, links))),
    h("p.without", {}, h("b", {}, "Without the guard: "), without, " ", h("b", {}, "The guard: "), h("code", {}, guardName), `, ${guardText}.`),
    sequence?.element,
    h("div", {},
      h("details.checks", { open: report.failures > 0 },
        h("summary", {}, `${report.count} checks, ${report.failures === 0 ? "all as expected" : `${report.failures} differ`}`),
        h("ol.experiment-steps", {}, report.checks))),
  ];
  return { name, parts: parts.filter(Boolean), begin: () => sequence?.replay(), stop: () => sequence?.stop() };
}

/** Collects what a run does and finds. */
function createReport() {
  const story = new Story();
  return {
    story,
    actors: [],
    checks: [],
    links: [],
    count: 0,
    failures: 0,
    /** Adds an actor: a lane of the diagram, which ends before the next run. */
    actor(actor, label) {
      this.actors.push(actor);
      story.actor(actor.id, label);
    },
    /** Ends the preparation. */
    begin: () => story.begin(),
    /** Adds a link to an object. */
    look(label, kind, id) {
      if (id) this.links.push({ label, kind, id });
    },
    /** Compares an observed value with the expected one. */
    expect(what, expected, seen) {
      const isSo = expected === seen;
      this.count += 1;
      if (!isSo) this.failures += 1;
      const text = isSo ? `${what}: ${seen}` : `${what}: expected ${expected}, observed ${seen}`;
      this.checks.push(check(isSo ? "good" : "bad", isSo ? "As expected. " : "Different. ", text));
    },
    fail(text) {
      this.failures += 1;
      this.checks.push(check("bad", "Failed. ", text));
    },
  };
}

function check(look, unseen, text) {
  return h(`li.${look}`, {}, h("span.mark", { "aria-hidden": "true" }, look === "good" ? "✓" : "✗"), h("span", {}, h("span.unseen", {}, unseen), text));
}

function within(work) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new ExperimentFailed(`not finished within ${WITHIN_MS / 1000} s`)), WITHIN_MS);
  });
  return Promise.race([work, late]);
}
