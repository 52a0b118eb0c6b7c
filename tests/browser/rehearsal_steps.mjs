// Steps that the journeys through a rehearsal share, and how one of them runs alone.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { until } from "./page.mjs";

export const stage = (page) => page.locator("#rehearsal").getAttribute("data-stage");
export const phase = (page) => page.locator(".phases [aria-current] span").first().textContent();

/** A function that looks at a page with axe, and adds what it finds to `found`. */
export function axeInto(found, axe) {
  return async (page, name) => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    found.push(...violations.map((one) => `${one.impact} ${one.id} in ${name}: ${one.nodes.map((node) => node.target).slice(0, 3).join("; ")}`));
  };
}

/** Nothing scrolls sideways. */
export async function checkWidth(page) {
  const width = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
  assert.ok(width[0] <= width[1], `${width[0]} px wide on ${width[1]}`);
}

/** Writes and locks the open cards of the phase. */
export async function writeCards(page, text) {
  const kinds = await page.locator("form.open:not(:has(h2:text('Another')))").evaluateAll((forms) => forms.map((form) => form.dataset.kind));
  for (const kind of kinds) {
    const form = page.locator(`form.open[data-kind="${kind}"]`).first();
    const fields = form.locator("textarea, input");
    for (let index = 0; index < (await fields.count()); index++) await fields.nth(index).fill(kind === "numbers" ? "12,500" : text);
    const locked = await page.locator("article.locked").count();
    await form.getByRole("button", { name: "Lock" }).click();
    await until(`the locked card ${kind}`, () => page.locator("article.locked").count(), locked + 1);
  }
}

/** From the start page to a session that is ready. */
export async function begin(page) {
  await page.getByText("Senior").click();
  await page.locator("#begin").click();
  await until("the session", () => stage(page), "ready");
}

export async function startClock(page) {
  await page.locator("#start").click();
  await until("the interview", () => stage(page), "interview");
  assert.equal(await phase(page), "Requirements");
}

/** The service is killed; a supervisor starts it again. */
export const kill = (url) => fetch(`${url}/v1/sandbox/kill`, { method: "POST" });

/** Marks the canned answers: neither passes. */
export async function markCanned(page) {
  for (const answer of ["Answer A", "Answer B"]) {
    await page.getByRole("heading", { name: answer, exact: true }).waitFor();
    await page.getByText("It does not pass").click();
    await page.locator("#canned button").click();
  }
  await until("the marking", () => stage(page), "marking");
}

/** Reads the report of a finished session: one page. */
export async function readReport(page, url) {
  const text = await (await fetch(url + (await page.locator("#markdown").getAttribute("href")))).text();
  const words = text.trim().split(/\s+/).length;
  assert.ok(words <= 600, `${words} words are no page`);
  return { text, words };
}

/** Runs `journey({browser, demo, axe, shots})` with a browser and a demo of its own: node FILE BINARY [FOLDER FOR SCREENSHOTS] */
export async function alone(name, journey) {
  try {
    const [{ chromium }, { startDemo }] = await Promise.all([import("playwright-core"), import("./demo.mjs")]);
    const [binary, shots = "."] = process.argv.slice(2);
    mkdirSync(shots, { recursive: true });
    const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
    const demo = await startDemo(binary, 0).catch(async (error) => {
      await browser.close();
      throw error;
    });
    try {
      console.log(`${name}: ${await journey({ browser, demo, axe, shots })}`);
    } finally {
      await browser.close();
      await demo.stop();
    }
  } catch (error) {
    console.error(`${name}: ${error.stack}`);
    process.exit(1);
  }
}

/** The browser has nothing to complain about. */
export async function checkComplaints({ page, complaints }) {
  assert.deepEqual([...complaints, ...(await page.evaluate(() => window.violations))], [], "the browser complains");
}
