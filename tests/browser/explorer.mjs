// Journeys through the API explorer and the error pages.

import assert from "node:assert/strict";
import { join } from "node:path";

import { until } from "./page.mjs";

// Somewhere in the South Pacific, where no other driver of the demo is, nor a trip of another run.
const PICKUP = { lat: -25 - Math.floor(Math.random() * 2000) / 100, lon: -100 - Math.floor(Math.random() * 4000) / 100 };
const DROPOFF = { lat: PICKUP.lat - 0.01, lon: PICKUP.lon };

const heading = (page) => page.getByRole("heading", { level: 1 });
const status = (page) => page.locator("#status-code").textContent();

async function openExplorer(page, operation = "") {
  const origin = new URL(page.url()).origin;
  // A change of the fragment alone would not load the page anew.
  await page.goto("about:blank");
  await page.goto(`${origin}/docs/#${operation}`);
  await heading(page).waitFor();
}

/** Sends the request of the form and returns its status. */
async function send(page, wanted) {
  await page.locator("#response").evaluate((response) => response.replaceChildren());
  await page.locator("#send").click();
  await page.locator("#status-code").waitFor();
  await until("sending", () => page.locator("#send").isEnabled(), true);
  if (wanted)
    assert.equal(
      (await status(page)).slice(0, 3),
      wanted,
      `${await heading(page).textContent()}: ${await page.locator("#response").innerText()}`,
    );
}

function nextStep(page) {
  return page.getByRole("button", { name: /^Next step: / });
}

/** The search reads names and texts; Enter opens the first operation found, and its address can be shared. */
export async function searchOperations(page) {
  await openExplorer(page);
  const links = page.locator("#operations li:not([hidden]) a");
  const all = await links.count();
  const steps = await page.locator("#operations ol a").allTextContents();
  assert.match(steps[0], /Quote a ride/);
  assert.match(steps.at(-1), /Tip the driver/);
  await page.keyboard.press("/");
  // In the text of the operation, and in none of the names.
  await page.keyboard.type("wrong car");
  assert.deepEqual(await links.allTextContents(), ["POSTStart the ride"]);
  await page.keyboard.press("Enter");
  await until("the operation", () => heading(page).textContent(), "Start the ride");
  assert.equal(new URL(page.url()).hash, "#start_trip");
  await page.locator("#search-operations").fill("there is no such operation");
  assert.equal(await links.count(), 0);
  await openExplorer(page, "get_receipt");
  assert.equal(await heading(page).textContent(), "Get a trip's receipt");
  return `${all} operations, ${steps.length} of them a ride`;
}

/** Every operation has a form and a request, and every schema of it can be unfolded. */
export async function everyOperation(page) {
  await openExplorer(page);
  const ids = await page.locator("#operations li a").evaluateAll((links) => links.map((link) => link.hash.slice(1)));
  const api = await page.evaluate(async () => (await fetch("/openapi.json")).json());
  const published = Object.values(api.paths).flatMap((item) => Object.values(item).map((one) => one.operationId));
  assert.deepEqual([...ids].sort(), published.filter(Boolean).sort());
  let members = 0;
  for (const id of ids) {
    members += await page.evaluate(async (hash) => {
      const changed = new Promise((resolve) => addEventListener("hashchange", resolve, { once: true }));
      if (location.hash !== `#${hash}`) {
        location.hash = hash;
        await changed;
      }
      for (let depth = 0; depth < 4; depth++) {
        for (const details of document.querySelectorAll("#operation details")) details.open = true;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return document.querySelectorAll("#operation .members > li").length;
    }, id);
    const shown = await page.locator("#exchange pre").first().textContent();
    assert.match(shown, /^curl /, id);
    const text = await page.locator("main").innerText();
    assert.doesNotMatch(text, /undefined|\[object|NaN/, id);
  }
  assert.ok(members > 300, `${members} members of schemas`);
  return `${ids.length} operations, ${members} members of schemas`;
}

/** The times of examples are shown as they can be sent, in every operation that has one; what a person writes is sent as it is. */
export async function freshTimes(page) {
  const origin = new URL(page.url()).origin;
  const api = await (await fetch(`${origin}/openapi.json`)).json();
  const operations = Object.values(api.paths).flatMap((item) => Object.values(item));
  const hasTime = ({ requestBody }) => /\d{4}-\d\d-\d\dT/.test(JSON.stringify(requestBody?.content ?? {}));
  const shown = [];
  for (const { operationId } of operations.filter(hasTime)) {
    await openExplorer(page, operationId);
    const { domain } = await (await fetch(`${origin}/v1/sandbox/clock`)).json();
    const body = await page.locator("#body").inputValue();
    for (const [, name, time] of body.matchAll(/"(\w+)":\s*"(\d{4}-[^"]+)"/g)) {
      const ahead_s = (Date.parse(time) - Date.parse(domain)) / 1000;
      const wanted = name === "expires_at" ? [3000, 3700] : [-30, 1];
      assert.ok(ahead_s > wanted[0] && ahead_s < wanted[1], `${operationId}: ${name} is ${ahead_s} s from now`);
      shown.push(`${operationId}.${name}`);
    }
  }
  assert.ok(shown.includes("set_surge.expires_at"), `${shown}`);
  await openExplorer(page, "set_surge");
  await send(page, "200");
  const command = await page.locator("#exchange pre").first().textContent();
  assert.match(command, /"expires_at": "/);
  await page.fill("#body", '{"expires_at": "2020-01-01T00:00:00Z", "multiplier_bp": 15000}');
  await send(page, "422");
  return shown.join(", ");
}

/** Each request gets a new key, and a key of one's own is repeated: the second response is the first one again. */
export async function freshKeys(page) {
  await openExplorer(page, "create_quote");
  await send(page, "201");
  await page.getByRole("button", { name: "Request a ride" }).last().click();
  await until("the operation", () => heading(page).textContent(), "Request a ride");
  assert.match(await page.locator("#body").inputValue(), /"quote_id": "quo_/);
  const command = page.locator("#exchange pre").first();
  assert.match(await command.textContent(), /Idempotency-Key: \$\(uuidgen\)/);
  const keys = new Set();
  const key = async () => /Idempotency-Key: ([^']+)'/.exec(await command.textContent())[1];
  await send(page, "201");
  keys.add(await key());
  await send(page, "409"); // The quote is used, or the rider is on a trip.
  keys.add(await key());
  assert.equal(keys.size, 2);
  const why = page.getByRole("link", { name: "Why, and what to do" });
  assert.match(await why.getAttribute("href"), /^\/problems\/(quote_used|active_trip_exists)$/);

  await page.evaluate(() => (location.hash = "cancel_trip"));
  await until("the operation", () => heading(page).textContent(), "Cancel a trip");
  assert.match(await page.getByLabel("trip_id").inputValue(), /^trip_/);
  await page.getByLabel("Idempotency-Key").fill("a key of my own".replaceAll(" ", "-"));
  await send(page, "200");
  assert.equal(await page.getByText("idempotent-replayed: true").count(), 0);
  await send(page, "200");
  await page.getByText("idempotent-replayed: true").first().waitFor();
  await page.locator("#role").selectOption("ops");
  await send(page, "403");
  return "two keys, a replay, a refused role";
}

/** Where the document has no operation that creates tokens, a pasted one is sent. */
export async function pastedToken(page) {
  const origin = new URL(page.url()).origin;
  const role = { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"role": "rider"}' };
  const { token } = await (await fetch(`${origin}/v1/sandbox/tokens`, role)).json();
  await page.evaluate(() => sessionStorage.clear());
  await page.route("**/openapi.json", async (route) => {
    const response = await route.fetch();
    const api = await response.json();
    delete api.paths["/v1/sandbox/tokens"];
    await route.fulfill({ response, json: api });
  });
  await openExplorer(page, "create_quote");
  await send(page, "401");
  await page.getByLabel("Token").fill(token);
  await send(page, "201");
  await page.unroute("**/openapi.json");
  await page.evaluate(() => sessionStorage.clear());
  return "401 without it, 201 with it";
}

/** A stream is shown while it is open, until it is stopped. */
export async function openStream(page) {
  await openExplorer(page, "set_availability");
  await send(page, "200");
  await openExplorer(page, "follow_driver_events");
  await page.locator("#send").click();
  await until("the first event", async () => /data: /.test(await page.locator("#response").innerText()), true);
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("stopped").waitFor();
  return "one event, then stopped";
}

/** A ride from the price to the tip by the button of the next step. */
export async function rideByNextSteps(page, shots) {
  await page.evaluate(() => sessionStorage.clear());
  await openExplorer(page, "create_quote");
  const done = [];
  const step = async (wanted) => {
    await send(page, wanted);
    done.push(await heading(page).textContent());
  };
  const next = async () => {
    const before = await heading(page).textContent();
    await nextStep(page).click();
    await until("the next step", async () => (await heading(page).textContent()) !== before, true);
    assert.equal(await page.evaluate(() => document.activeElement.id), "send");
  };
  await page.fill("#body", JSON.stringify({ pickup: PICKUP, dropoff: DROPOFF }));
  await step("201");
  await next(); // Go online.
  await step("200");
  await next(); // The position; its time is the example's, which the page replaces.
  const example = await page.locator("#body").inputValue();
  await page.fill("#body", JSON.stringify({ ...JSON.parse(example), position: PICKUP }));
  await step("200");
  await page.getByText('"accepted"').first().waitFor();
  await next(); // The trip, with the quote's id.
  await step("201");
  await next(); // The driver's profile has an offer after the match cycle.
  await until(
    "the offer",
    async () => {
      await send(page, "200");
      return nextStep(page).isEnabled();
    },
    true,
  );
  done.push("Get the driver's profile");
  for (const wanted of ["200", "200", "200", "200", "200"]) {
    await next(); // Accept, arrive, the rider's view with the PIN, start, complete.
    await step(wanted);
  }
  await page.screenshot({ path: join(shots, "explorer-ride.png") });
  assert.equal(done.at(-1), "Complete the ride");
  await next();
  await step("200");
  assert.equal(done.at(-1), "Get a trip's receipt");
  await next();
  await until(
    "the capture",
    async () => {
      await send(page, "200");
      return /"state": "captured"/.test(await page.locator("#response").innerText());
    },
    true,
  );
  await next();
  await step("201");
  assert.equal(done.at(-1), "Tip the driver");
  return done.join(", ");
}

/** The explorer and an error page without findings of axe; the body scrolls in one direction only. */
export async function explorerAccessible(page, { axe, shots, name }) {
  const found = [];
  const check = async (what) => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    found.push(
      ...violations.map(
        (one) =>
          `${one.impact} ${one.id} in ${what}: ${one.nodes
            .map((node) => node.target)
            .slice(0, 3)
            .join("; ")}`,
      ),
    );
    const [width, room] = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
    assert.ok(width <= room, `${what}: ${width} px wide on ${room}`);
  };
  await openExplorer(page, "create_quote");
  await send(page, "201");
  await openExplorer(page, "request_trip");
  await check("the explorer");
  await send(page, "201");
  await check("a response");
  await page.screenshot({ path: join(shots, `explorer-${name}.png`) });
  await send(page, "409");
  await check("a problem");
  const toggle = page.getByRole("button", { name: "All operations" });
  if (await toggle.isVisible()) {
    await toggle.click();
    await check("the list");
  }
  await page.goto(`${new URL(page.url()).origin}/problems/quote_expired`);
  await check("an error page");
  await page.goto(`${new URL(page.url()).origin}/problems`);
  await check("the list of errors");
  assert.deepEqual(found, [], "axe");
  return "axe has no finding, nothing scrolls sideways";
}

/** Every command of an error page runs in the page; a command runs those above it that have not run. */
export async function runErrorPage(page) {
  const origin = new URL(page.url()).origin;
  await page.goto(`${origin}/problems/wrong_pin`);
  const last = page.getByRole("button", { name: /^Run: post / });
  await last.click();
  await until("the commands", () => last.isEnabled(), true, { ms: 60_000 });
  const printed = await page.getByRole("region", { name: "Output" }).last().textContent();
  assert.equal(JSON.parse(printed).code, "wrong_pin");
  assert.equal(await page.getByText(/^POST \/v1\/trips\/trip_\w+\/start/).count(), 1);
  await last.click();
  await until("the commands", () => last.isEnabled(), true, { ms: 60_000 });
  assert.equal(JSON.parse(await page.getByRole("region", { name: "Output" }).last().textContent()).tries_left, 3);

  await page.goto(`${origin}/problems/upgrade_required`);
  await page.getByRole("button", { name: "Run all" }).click();
  await page.getByText("run this command in a terminal").waitFor();
  return "a wrong PIN twice, and what a browser cannot send";
}

// What a page depends on besides its commands: the speed of the browser, and headers that a browser does not send.
const NOT_IN_A_BROWSER = ["rate_limited", "upgrade_required"];

/** The examples of all error pages produce their codes in the page. */
export async function everyErrorPage(page) {
  const origin = new URL(page.url()).origin;
  const { items } = await (await fetch(`${origin}/problems`, { headers: { Accept: "application/json" } })).json();
  const ran = [];
  for (const { code } of items.filter((item) => !NOT_IN_A_BROWSER.includes(item.code))) {
    await page.goto(`${origin}/problems/${code}`);
    const commands = await page.locator("code.language-sh, .commands").count();
    const all = page.getByRole("button", { name: "Run all" });
    if (commands === 0) continue;
    await all.waitFor();
    // The city may use up a fault that an example injects: then once more.
    for (let tries = 0; tries < 2 && !(await produces(page, all, code)); tries++) {
      assert.equal(tries, 0, `${code}: ${await page.locator(".commands").innerText()}`);
    }
    ran.push(code);
  }
  assert.ok(ran.length >= 29, `only ${ran.length} pages have commands: ${ran}`);
  return `${ran.length} examples`;
}

async function produces(page, all, code) {
  await all.click();
  await until(code, () => all.isEnabled(), true, { ms: 60_000 });
  return (await page.locator(".output").allInnerTexts()).join("\n").includes(`"code": "${code}"`);
}

/** Without a script, the commands are text. */
export async function errorPageWithoutScript(browser, origin) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${origin}/problems/wrong_pin`);
  const commands = await page.locator("pre code").textContent();
  assert.match(commands, /^post \$DRIVER/m);
  assert.equal(await page.getByRole("button", { name: /^Run/ }).count(), 0);
  await context.close();
}
