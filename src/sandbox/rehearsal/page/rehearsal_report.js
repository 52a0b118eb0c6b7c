// The report on the page: three things to say next time first, then what they rest on. The same as Markdown is kept as a file.

import { h, update, words } from "/console/dom.js";
import { base, isOwner } from "./rehearsal.js";
import { gapSection, swapSection } from "./rehearsal_pair.js";
import { clock, place, section } from "./rehearsal_texts.js";

/** Shows a finished session. */
export function showReport(main, view) {
  update(main, ["report", view.id, view.pair?.is_swapped], () => {
    const { marks, advice, curveball, constraint, gap } = view.result;
    return [head(view, marks), say(advice), gap && gapSection(gap, marks), view.pair && swapSection(base, view.pair.is_swapped, "partner"), dimensions(marks), bets(marks), after(curveball), numbers(marks), rules(marks), followUps(view), observables(marks), bias(marks), changes(constraint)];
  });
}

const command = (text) => (/^(cargo|curl) /.test(text) ? h("code", {}, text) : text);

function head({ cut, level, setup, interruptions }, { percent, passes, gates }) {
  const gate = ({ title, state, says }) => h("li", { "data-state": state }, `${title}: ${words(state)}. `, state === "failed" && says);
  return h("section.intro", { "data-passes": String(passes) },
    h("h1", {}, `${percent} of 100: ${passes ? "passes" : "does not pass"}`),
    h("p.muted", {}, `${cut}, ${setup.minutes} minutes, ${level}, seed ${setup.seed}.${interruptions ? ` Interrupted ${interruptions} times.` : ""}${setup.speed > 1 ? ` On fast-forward, ${setup.speed} times.` : ""}`),
    h("ul.gates", {}, ...gates.map(gate)),
    h("p.actions", {}, h("a", { href: `/rehearse/api${base}/report`, id: "markdown" }, "The report as Markdown"), isOwner && h("a", { href: "/rehearse" }, "Rehearse again")));
}

function say(advice) {
  const one = ({ say, missed, evidence, link, next }) => h("li", {}, h("p.said", {}, say), h("p", {}, `${missed} ${evidence}`), h("p.small", {}, "Read ", place(link), ". Next: ", command(next)));
  return section("Say next time", h("ol.advice", {}, ...advice.map(one)));
}

function dimensions({ dimensions }) {
  const points = ([got, of]) => (of ? `${got} of ${of}` : "–");
  const row = ({ title, percent, breadth, depth, anchor, falsehoods }) =>
    h("tr", {}, h("th", { scope: "row" }, title), h("td", {}, h("meter", { min: 0, max: 100, value: percent ?? 0, "aria-label": title }), ` ${percent ?? "–"}${falsehoods ? `, ${falsehoods} false` : ""}`), h("td", {}, points(breadth)), h("td", {}, points(depth)), h("td.muted", {}, anchor));
  return section("Dimensions", h("div.wide", {}, h("table", {}, h("thead", {}, h("tr", {}, ...["dimension", "of 100", "breadth", "depth", "expected at your level"].map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, ...dimensions.map(row)))));
}

function bets({ bets }) {
  const line = ({ question, value, unit, result, is_right, command: settles, within }) =>
    h("li", { "data-right": is_right === null ? null : String(is_right) }, `${question} You: ${value} ${unit}. `,
      result ? h("strong", {}, `Measured: ${result.answer.value}. ${is_right ? "Right" : "Wrong"}, within a factor of ${within}.`) : ["Open: ", h("code", {}, settles), " settles it. Then reload this page."]);
  return section("Bets", bets.length ? h("ul", {}, ...bets.map(line)) : h("p.muted", {}, "None was placed."));
}

function after(ball) {
  if (!ball) return null;
  return section(`See the curveball happen: ${ball.title}`, h("p", {}, h("span.muted", {}, "A good prediction: "), ball.good), h("p", {}, h("code", {}, ball.fire)), h("p", {}, ball.watch, " ", place(ball.link)));
}

function numbers({ numbers }) {
  return section("Numbers", h("ul", {}, ...numbers.map(({ ask, written, state, words: arithmetic, off_by }) => h("li", { "data-right": String(state === "right") }, `${ask}: you wrote ${written || "nothing"}, ${state}${off_by ? ` (off by ${off_by.toFixed(1)})` : ""}. ${arithmetic}`))));
}

function rules({ rules }) {
  return section("Endpoints and tables", h("ul", {}, ...rules.map(({ claim, holds, why, link }) => h("li", { "data-right": String(holds) }, `${claim} `, holds ? "Yes." : h("span", {}, `Not found. ${why} `, place(link))))));
}

function followUps({ prompts }) {
  return section("Follow-ups", h("ol", {}, ...prompts.map(({ prompt, good, links, asked_s }) => h("li", {}, h("p.said", {}, `${clock(asked_s)} ${prompt}`), h("p", {}, good), h("p.small", {}, ...(links ?? []).flatMap((link) => [place(link), " "]))))));
}

function observables({ observables }) {
  const text = ({ state, falsehood }) => (falsehood ? (state === "unprompted" || state === "probed" ? "said, and wrong" : "not said, and wrong") : words(state));
  return section("What was shown", h("ul", {}, ...observables.map((one) => h("li", { "data-right": String(one.falsehood ? !one.evidence : Boolean(one.evidence)) }, `${one.claim} `, h("strong", {}, text(one)), one.evidence && ` (${one.evidence})`, h("span.muted", {}, ` ${one.why}`)))));
}

function bias({ canned }) {
  return section("How you mark", h("ul", {}, ...canned.map(({ title, passes, said, too_many, too_few, judged }) =>
    h("li", {}, `${title} ${passes ? "passes" : "does not pass"}; you said it ${said ? "passes" : "does not"}. Of ${judged}: ${too_many.length} too many, ${too_few.length} too few.`,
      h("ul", {}, ...too_many.map((claim) => h("li", {}, "Not there: ", claim)), ...too_few.map((claim) => h("li", {}, "There: ", claim)))))));
}

function changes(constraint) {
  return constraint && section(`The constraint: ${constraint.title}`, h("p", {}, constraint.changes, " ", place(constraint.link)));
}
