// Opens a page that can reach this machine only and records the browser's errors.

/** A factor for every limit, for a busy machine. */
export const PATIENCE = Number(process.env.PATIENCE ?? 1);

const SIZES = { laptop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

// Refused requests are expected, and a killed service does not respond.
const EXPECTED = [
  /the server responded with a status of 4\d\d/,
  /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED|INCOMPLETE_CHUNKED_ENCODING)/,
  /WebSocket connection to .* failed/,
];

/** Before the new process is the matcher, it refuses positions and is not ready. */
const isBeforeMatcher = (text, at) => /status of 503/.test(text) && /\/(drivers\/me\/location|readyz)$/.test(at);

/** Opens a page of the service at `url`; `complaints` lists its errors so far. */
export async function openPage(browser, url, { path = "/city", size = "laptop", theme = "light" } = {}) {
  const complaints = [];
  const isPhone = size === "phone";
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: theme,
    isMobile: isPhone,
    hasTouch: isPhone,
    deviceScaleFactor: isPhone ? 2 : 1,
  });
  await context.route("**/*", (route) => {
    const asked = route.request().url();
    if (asked.startsWith(`${url}/`) || asked.startsWith("data:")) return route.continue();
    complaints.push(`asked for ${asked}`);
    return route.abort();
  });
  context.setDefaultTimeout(30_000 * PATIENCE);
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`threw ${error.stack}`));
  page.on("console", (message) => {
    const text = message.text();
    const isExpected = EXPECTED.some((one) => one.test(text)) || isBeforeMatcher(text, message.location().url);
    if (message.type() === "error" && !isExpected) complaints.push(`said ${text}`);
  });
  page.on("websocket", (socket) => {
    if (!socket.url().startsWith(url.replace(/^http/, "ws"))) complaints.push(`opened ${socket.url()}`);
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      window.violations.push(`${violatedDirective} ${blockedURI}`),
    );
  });
  await page.goto(url + path);
  return { page, complaints, close: () => context.close() };
}

/** Waits until `read` returns one of `wanted`; the error names the actual value. */
export async function until(what, read, wanted, { ms = 15_000 * PATIENCE } = {}) {
  const end = performance.now() + ms;
  for (let seen; ;) {
    seen = await read();
    if ([wanted].flat().includes(seen)) return seen;
    if (performance.now() > end)
      throw new Error(
        `${what}: still ${JSON.stringify(seen)} after ${ms / 1000} s, waited for ${[wanted].flat().join(" or ")}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
