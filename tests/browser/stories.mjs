// Journeys through the stories of experiments, and through the explanation of a match. Each is a function of a page.

import assert from "node:assert/strict";

import { PATIENCE, until } from "./page.mjs";

/** Experiments in which an answer gets lost: their diagrams have a broken arrow, all others have none. */
const LOSING = ["send-twice", "charged-silent", "kill"];
const EXPERIMENT_MS_MAX = 60_000 * PATIENCE;

/** On a phone, what is selected is a sheet over the rest of the page. */
async function closeSheet(page) {
  const back = page.getByRole("button", { name: "← Latest trips" });
  if (page.viewportSize().width <= 820 && (await back.isVisible())) await back.click();
}

/** Runs an experiment and returns its card. */
export async function runExperiment(page, name) {
  await closeSheet(page);
  const card = page.locator(`[data-experiment="${name}"]`);
  await card.getByRole("button", { name: /^Run/ }).click();
  const end = await until(name, () => card.getAttribute("data-state"), ["passed", "failed"], { ms: EXPERIMENT_MS_MAX });
  if (end === "failed") assert.fail(`${name}: ${await page.locator(".experiment-steps").textContent()}`);
  return card;
}

/** The experiment that ran last happened on a street of the city, and none of the city's drivers was considered for its trips. */
export async function inTheCity(page, name) {
  const at = await page.locator("#map").getAttribute("data-experiment");
  const [lat, lon] = at.split(",").map(Number);
  const { away, middle } = await page.evaluate(async (place) => {
    const { corners, metersToStreet } = await import("/console/streets.js");
    const all = corners();
    const mean = (axis) => all.reduce((sum, corner) => sum + corner[axis], 0) / all.length;
    return { away: metersToStreet(place), middle: { lat: mean("lat"), lon: mean("lon") } };
  }, { lat, lon });
  assert.ok(away < 1, `${name} happened ${away} m from a street`);
  const apart = Math.hypot(lat - middle.lat, lon - middle.lon);
  assert.ok(apart < 0.02, `${name} happened ${apart}° from the middle of the city`);
  const trips = await page.locator('.story .look a[href^="/city/trips/"]').evaluateAll((all) => all.map(({ title }) => title));
  const cycles = await page.evaluate(async (trips) => {
    const { call } = await import("/console/api.js");
    const found = await Promise.all(trips.map((id) => call({ as: "ops", path: `/v1/trips/${id}/explain`, quiet: true })));
    return found.flatMap(({ body }) => body.match_cycles);
  }, trips);
  const names = await page.evaluate(async (ids) => {
    const { call } = await import("/console/api.js");
    const found = await Promise.all(ids.map((subject) => call({ as: "driver", subject, path: "/v1/drivers/me", quiet: true })));
    return found.map(({ body }) => `${body?.name} ${body?.class}`);
  }, [...new Set(cycles.flatMap(({ candidates }) => candidates.map(({ driver_id }) => driver_id)))]);
  assert.ok(names.every((one) => one === "Dora xl"), `${name}: other drivers were considered: ${names}`);
  return `${away.toFixed(0)} m from a street, ${names.length} candidates, all of experiments`;
}

/** Steps through the story of the experiment that ran last. Returns the texts of its steps. */
export async function storySteps(page, name) {
  const story = page.locator(".story");
  const steps = await story.locator(".step-list button").allTextContents();
  assert.ok(steps.length >= 4, `${name}: ${steps.length} steps`);
  await until(`${name}: the drawing has each step`, () => story.locator(".sequence g").count(), steps.length);
  const broken = await story.locator(".sequence g.lost").count();
  assert.equal(broken > 0, LOSING.includes(name), `${name}: ${broken} broken arrows`);
  assert.match(await story.locator(".without").textContent(), /Without the guard: .{40,}The guard: /, name);

  const next = story.getByRole("button", { name: "Next" });
  const count = () => story.locator(".step-now .actions .number").textContent();
  await story.getByRole("button", { name: "Previous" }).click(); // stops the replay
  while ((await count()).split(" of ")[0] !== "1") await story.getByRole("button", { name: "Previous" }).click();
  const texts = new Set();
  let withSql = 0;
  for (let step = 1; step <= steps.length; step++) {
    assert.equal(await count(), `${step} of ${steps.length}`, name);
    texts.add(await story.locator(".step-text").textContent());
    withSql += await story.locator(".step-sql .edge", { hasText: "COMMIT" }).count();
    await next.press(step % 2 === 0 ? "ArrowRight" : "Enter");
  }
  assert.equal(await count(), `${steps.length} of ${steps.length}`, `${name}: the last step is the end`);
  assert.ok(texts.size > 2 && withSql > 0, `${name}: ${texts.size} texts, ${withSql} COMMITs beside the steps`);
  await story.getByRole("button", { name: "Replay" }).click();
  assert.match(await count(), /^[12] of/, `${name}: a replay begins at the first step`);
  return steps;
}

/** Follows each "look at" link: it opens the object, in the state in which the experiment reported it. */
export async function storyLinks(page, name, states = {}) {
  const links = page.locator(".story .look a");
  const seen = [];
  for (let index = 0; index < (await links.count()); index++) {
    const link = links.nth(index);
    const [label, id] = [await link.locator("xpath=..").textContent(), await link.getAttribute("title")];
    assert.match(await link.getAttribute("href"), new RegExp(`^/city/(trip|driver|rider|payment)s/${id}$`));
    await closeSheet(page);
    await link.click();
    const head = page.locator("#inspector .head");
    await until(label, async () => (await head.locator(".id").textContent()) === id, true);
    const wanted = Object.entries(states).find(([start]) => label.startsWith(start))?.[1];
    if (wanted) await until(`${name}, ${label}`, () => head.locator(".state").first().textContent(), wanted);
    seen.push(label.trim());
  }
  assert.ok(seen.length > 0, `${name} links to nothing`);
  return seen;
}

/** Two runs have different diagrams: they show what happened, not a script. */
export async function storiesAreRecorded(page) {
  const runs = [];
  for (let run = 0; run < 2; run++) {
    await runExperiment(page, "send-twice");
    runs.push(await storySteps(page, "send-twice"));
  }
  const keys = runs.map((steps) => new Set(steps.flatMap((step) => step.match(/POST \S+ · key …\w{4}/g) ?? [])));
  assert.deepEqual([keys[0].size, keys[1].size], [1, 1], "one run has one key");
  assert.notDeepEqual(keys[0], keys[1], "two runs have different keys");
  assert.equal(runs[0].filter((step) => step.includes("replayed")).length, 2);
  assert.equal(runs[0].filter((step) => /COMMIT/.test(step)).length, 1, "only the first request writes");
  await replays(page);
  return `${runs[0].length} steps; keys ${[...keys[0], ...keys[1]].join(", ")}`;
}

/** A replay goes on by itself, and not for a person who wants no motion. */
async function replays(page) {
  const [replay, count] = [page.getByRole("button", { name: "Replay" }), page.locator(".step-now .actions .number")];
  await replay.click();
  await until("the replay", async () => /^[2-9] of/.test(await count.textContent()), true);
  await page.emulateMedia({ reducedMotion: "reduce" });
  await replay.click();
  await page.waitForTimeout(2500); // two steps of a replay
  assert.match(await count.textContent(), /^1 of/, "no motion");
  await page.emulateMedia({ reducedMotion: null });
}

/** The trips of two riders and one driver are as reported, and the trip without a driver says who has them. */
export async function race(page) {
  await runExperiment(page, "race");
  const where = await inTheCity(page, "race");
  const steps = await storySteps(page, "race");
  const states = { "the trip with the driver": "assigned", "the trip without one": "searching", "the driver": "online" };
  const links = page.locator(".story .look a");
  const [won, lost] = [await links.nth(0).getAttribute("title"), await links.nth(1).getAttribute("title")];
  const seen = await storyLinks(page, "race", states);
  await closeSheet(page);
  await links.nth(1).click();
  const why = page.locator("#inspector details", { has: page.locator("summary", { hasText: /^Why this driver/ }) }).first();
  await until("the explanation", async () => /No driver is free/.test(await why.innerText()), true);
  assert.equal(await why.locator(`.in-words a[title="${won}"]`).count(), 1, `it names the trip that has the driver: ${await why.innerText()}`);
  await explained(page, why);
  await why.getByText("The numbers").click();
  await until("the candidates of the trip without a driver", async () => /[1-9] considered/.test(await why.innerText()), true);
  return `${where}; ${steps.length} steps; ${seen.join(", ")}; ${lost.slice(-5)} names ${won.slice(-5)}`;
}

/** Words come first, and the table is folded. */
async function explained(page, why) {
  // Read at once: the section is drawn anew when the decision changes.
  const { said, isOpen, isFirst, tables } = await why.evaluate((section) => {
    const [words, numbers] = [section.querySelector(".in-words"), section.querySelector("details.numbers")];
    const isFirst = (words.compareDocumentPosition(numbers) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
    const tables = [...section.querySelectorAll("table")].filter((table) => table.checkVisibility({ contentVisibilityAuto: true })).length;
    return { said: words.textContent, isOpen: numbers.open, isFirst, tables };
  });
  assert.deepEqual({ isOpen, isFirst, tables }, { isOpen: false, isFirst: true, tables: 0 }, "the words come first, the table is folded");
  return said;
}

/** A trip of the city on its way: the words, and a ring on the map for each candidate. */
export async function explainOnTheMap(page) {
  const back = page.getByRole("button", { name: "← Latest trips" });
  if (await back.isVisible()) await back.click();
  const trip = page.locator("#inspector .list a", { hasText: "assigned" });
  await until("an assigned trip", async () => (await trip.count()) > 0, true, { ms: 60_000 * PATIENCE });
  await trip.first().click();
  const why = page.locator("#inspector details", { has: page.locator("summary", { hasText: /^Why this driver/ }) }).first();
  await until("the words", async () => /away|at the pickup/.test(await why.innerText()), true);
  const said = await explained(page, why);
  const rings = () => page.locator("#map").getAttribute("data-candidates");
  await until("the candidates on the map", async () => Number(await rings()) > 0, true);
  const count = await rings();
  await back.click();
  await until("no candidates", rings, "0");
  return `"${said}", ${count} rings`;
}
