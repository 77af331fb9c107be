// Lines that break: Redis goes, holdfast goes, and both come back. And what is drawn of samples with gaps.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";
import { lineState, number, picture, untilLine } from "./read.js";

/** What a browser says of a server that is gone: it is, and the page shows it. */
const GONE = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/;

let redis, watch, browser, page;

before(async () => {
  redis = await Redis.start();
  await redis.ask("INV.SET", "popup", "mug", 100);
  await redis.ask("ORDER.PLACE", "popup", "o-1", "c-1", "ITEMS", "mug", 1);
  watch = await Watch.start(redis);
  browser = await Browser.start();
  page = await browser.open(`${watch.origin}/#/stores/popup`, { expected: GONE });
  await untilLine(page, "live", "quiet");
  // The page may be quiet before the order's sample is there.
  await until("the order is seen", async () => (await available()) === 99);
});

after(endAll);

const opacity = () => page.evaluate(() => Number(getComputedStyle(document.querySelector("main")).opacity));
const available = () => number(page, '[data-field="available"]');

test("Redis is away: it is said, with the time, and nothing old looks fresh", async () => {
  await redis.kill();
  await untilLine(page, "away");
  assert.match(await page.locator("#line-text").textContent(), /^Redis is away$/);
  assert.match(
    await page.locator("#banner-text").textContent(),
    /^Redis is away since \d\d:\d\d:\d\d .*What you see is from \d\d:\d\d:\d\d\.$/,
  );
  await until("a greyed page", async () => (await opacity()) < 0.7);
  assert.equal(await available(), 99);
  await picture(page, "redis-away");
});

test("Redis is back: so are the numbers, by themselves", async () => {
  await redis.up();
  await redis.ask("ORDER.PLACE", "popup", "o-2", "c-2", "ITEMS", "mug", 2);
  await untilLine(page, "live", "quiet");
  await until("the new numbers", async () => (await available()) === 97);
  await until("a page in its colours", async () => (await opacity()) === 1);
  assert.ok(await page.locator("#banner").isHidden());
});

test("holdfast is gone: the page says so and goes on trying", async () => {
  await watch.stop();
  await untilLine(page, "lost");
  assert.match(await page.locator("#line-text").textContent(), /^lost · \d/);
  assert.match(
    await page.locator("#banner-text").textContent(),
    /^Connection to holdfast lost at \d\d:\d\d:\d\d, retrying….*What you see is from/,
  );
  await until("a greyed page", async () => (await opacity()) < 0.7);
  assert.match(await page.locator("#announcer").textContent(), /Connection to holdfast lost/);
  await picture(page, "lost");
});

test("holdfast is back: everything is sent anew", async () => {
  await redis.ask("ORDER.PLACE", "popup", "o-3", "c-3", "ITEMS", "mug", 3);
  const lines = browser.requests.filter((url) => url.includes("/api/events")).length;
  watch = await Watch.start(redis, { port: watch.port });
  await untilLine(page, "live", "quiet");
  await until("the new numbers", async () => (await available()) === 94);
  assert.match(await page.locator("#announcer").textContent(), /Connected again/);
  const more = browser.requests.filter((url) => url.includes("/api/events")).length - lines;
  assert.ok(more <= 3, `${more} new lines where one would do`);
});

test("a store that goes and comes again is followed", async () => {
  await redis.ask("STORE.DROP", "popup");
  await page.getByText("There is no store “popup”.").first().waitFor();
  await redis.ask("INV.SET", "popup", "mug", 7);
  await page.getByRole("heading", { level: 1, name: "popup" }).waitFor();
  await until("the new numbers", async () => (await available()) === 7);
});

/** What the page draws of lines as they come from the program, from one time to another (seconds). */
function frameOf(history, samples, from, until) {
  return page.evaluate(
    async ([history, samples, from, until]) => {
      const { Series } = await import("/series.js");
      const series = new Series();
      series.load(history, false);
      for (const lines of samples) series.push(lines);
      const { x, columns } = series.frame(from * 1_000, until === null ? null : until * 1_000);
      return { x, placed: columns.placed, queued: columns.queued, p50: columns["p50-ms"] };
    },
    [history, samples, from, until],
  );
}

const LINES = [
  "completed",
  "refused",
  "in-work",
  "retrying",
  "pending",
  "waitlisted",
  "holds",
  "available",
  "sold",
  "p99-ms",
];

/** Lines as they come from the program; the lines that are not named are empty. */
function lines(at, placed, queued, p50) {
  const empty = Object.fromEntries(LINES.map((name) => [name, at.map(() => 0)]));
  return { at: at.map((second) => second * 1_000), ...empty, placed, queued, "p50-ms": p50 };
}

const HISTORY = lines([10, 11], [0, 40], [5, 9], [20, 30]);

test("a store that went quiet is drawn up to now", async () => {
  const drawn = await frameOf(HISTORY, [], 0, 20);
  assert.deepEqual(drawn.x, [10, 11, 12, 20]);
  assert.deepEqual(drawn.placed, [0, 40, 0, 0]);
  assert.deepEqual(drawn.queued, [5, 9, 9, 9]);
  assert.deepEqual(drawn.p50, [20, 30, null, null]);
});

test("samples are drawn after the history, each once, from the time that is shown on", async () => {
  const known = lines([11], [40], [9], [30]);
  const next = lines([12, 59, 60], [0, 0, 1], [9, 9, 4], [null, null, 25]);
  const drawn = await frameOf(HISTORY, [known, next, next], 11.5, null);
  assert.deepEqual(drawn.x, [11, 12, 59, 60]);
  assert.deepEqual(drawn.placed, [40, 0, 0, 1]);
  assert.deepEqual(drawn.p50, [30, null, null, 25]);
});

test("no complaint in the console but of what was gone, and no request leaves the machine", async () => {
  assert.equal((await lineState(page)) === "lost", false);
  assert.deepEqual(browser.complaints, []);
  assert.deepEqual(
    browser.requests.filter((url) => !url.startsWith(`${watch.origin}/`)),
    [],
  );
});
