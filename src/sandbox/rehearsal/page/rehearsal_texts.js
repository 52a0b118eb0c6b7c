// Cards and times as text.

import { h } from "/console/dom.js";

export const TITLES = { requirements: "Requirements", numbers: "Three numbers", endpoints: "Endpoints", tables: "Tables", decision: "Decision", prediction: "Prediction" };
export const DECISION = [["use", "I use"], ["because", "because"], ["fails_when", "It fails when"]];

/** Minutes and seconds: "12:40". */
export const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

/** The text of a card as paragraphs. */
export function texts(kind, fields, numbers) {
  if (kind === "decision") return [h("p", {}, ...DECISION.flatMap(([name, label]) => [h("span.muted", {}, `${label} `), `${fields[name] ?? "–"} `]))];
  if (kind === "numbers") return Object.entries(fields).map(([id, text]) => h("p", {}, h("span.muted", {}, `${numbers?.find((one) => one.id === id)?.ask ?? id}: `), text));
  return [h("pre", {}, fields.text ?? "")];
}

/** A chapter of the book is a link; other files are read in the repository. */
export function place(path) {
  const chapter = /^docs\/book\/(.+)\.md$/.exec(path)?.[1];
  return chapter ? h("a", { href: `/book/${chapter}` }, path) : h("code", {}, path);
}

/** A section with its title. */
export const section = (title, ...children) => h("section.card", {}, h("h2", {}, title), ...children);
