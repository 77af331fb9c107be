// Lines that break: Redis goes, holdfast goes, and both come back. And what is drawn of samples with gaps.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, Redis, until, Watch } from "./lab.js";
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
  page = await browser.open(`${watch.origin}/#/store/popup`, { expected: GONE });
  await untilLine(page, "live", "quiet");
  // The page may be quiet before the order's sample is there.
  await until("the order is seen", async () => (await available()) === 99);
});

after(async () => {
  await browser?.close();
  await watch?.stop();
  await redis?.remove();
});

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

/** What the page draws of samples: `[time, placed, completed, queued, p50]` each; times are seconds from a start. */
function frameOf(samples, { from = 0, until: end = null, fields = ["placed", "queued", "p50-ms"] } = {}) {
  return page.evaluate(
    async ([rows, begin, stop, names]) => {
      const { Series } = await import("/series.js");
      const column = (i) => rows.map((row) => row[i]);
      const series = new Series();
      const at = column(0).map((second) => second * 1_000);
      series.load({ at, metrics: { placed: column(1), completed: column(2), queued: column(3), "p50-ms": column(4) } });
      const { x, columns } = series.frame(begin * 1_000, stop === null ? null : stop * 1_000);
      return { x, ...Object.fromEntries(names.map((name) => [name, columns[name]])) };
    },
    [samples, from, end, fields],
  );
}

test("a rate is what was counted by the time it took", async () => {
  const { placed } = await frameOf([
    [10, 0, 0, 0, 0],
    [11, 50, 0, 0, 0],
    [13, 150, 0, 0, 0],
  ]);
  assert.deepEqual(placed, [0, 50, 50]);
});

test("in a quiet gap nothing flows, levels stay, and there is no latency", async () => {
  const drawn = await frameOf([
    [10, 0, 0, 5, 20],
    [11, 40, 0, 9, 30],
    [60.003, 41, 0, 9, 0],
    [61, 51, 0, 4, 25],
  ]);
  assert.deepEqual(drawn.x, [10, 11, 12, 59.003, 60.003, 61]);
  assert.deepEqual(drawn.placed.map(Math.round), [0, 40, 0, 0, 1, 10]);
  assert.deepEqual(drawn.queued, [5, 9, 9, 9, 9, 4]);
  assert.deepEqual(drawn["p50-ms"], [20, 30, null, null, null, 25]);
});

test("a store that went quiet is drawn up to now", async () => {
  const drawn = await frameOf(
    [
      [10, 0, 0, 1, 0],
      [11, 30, 0, 2, 0],
    ],
    { until: 20 },
  );
  assert.deepEqual(
    [drawn.x, drawn.placed, drawn.queued],
    [
      [10, 11, 12, 20],
      [0, 30, 0, 0],
      [1, 2, 2, 2],
    ],
  );
});

test("samples close together make no spikes, and two hours no more than 1,200 points", async () => {
  const { placed } = await frameOf([
    [10, 0, 0, 0, 0],
    [11, 100, 0, 0, 0],
    [11.01, 108, 0, 0, 0],
  ]);
  assert.ok(placed[2] < 120, `${placed[2]} a second`);
  const long = Array.from({ length: 7_200 }, (_, i) => [i, 10 * i, 0, i % 100, 0]);
  const drawn = await frameOf(long);
  assert.ok(drawn.x.length <= 1_200 && drawn.x.length > 800, `${drawn.x.length} points`);
  assert.ok(drawn.placed.slice(1).every((rate) => Math.abs(rate - 10) < 0.01));
  assert.equal(drawn.x.at(-1), 7_199);
});

test("no complaint in the console but of what was gone, and no request leaves the machine", async () => {
  assert.equal((await lineState(page)) === "lost", false);
  assert.deepEqual(browser.complaints, []);
  assert.deepEqual(
    browser.requests.filter((url) => !url.startsWith(`${watch.origin}/`)),
    [],
  );
});
