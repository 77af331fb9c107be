// The page as somebody uses it who has it open all day: by keys, back and forth, off line, printed, in forced colours.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";
import { picture } from "./read.js";

let redis, watch, browser;

before(async () => {
  redis = await Redis.start({ durable: false });
  await redis.ask("INV.SET", "popup", "mug", 100);
  for (let i = 0; i < 30; i += 1) await redis.ask("ORDER.PLACE", "popup", `o-${i}`, "ann", "ITEMS", "mug", 1);
  for (let i = 0; i < 20; i += 1) await redis.ask("ORDER.FAIL", "popup", `o-${i}`, "REASON", "card declined", "FATAL");
  watch = await Watch.start(redis, { writes: true });
  browser = await Browser.start();
});

after(endAll);

const open = async (path, options) => {
  const page = await browser.open(`${watch.origin}/#/stores/${path}`, options);
  await page.locator(".skus tbody tr").first().waitFor();
  return page;
};

test("who looked something up by its id is in the field again when its drawer is closed", async () => {
  const page = await open("popup");
  await page.keyboard.press("/");
  await page.keyboard.type("o-25");
  await page.keyboard.press("Enter");
  // All that has the id gives way to the one record that has.
  await page.locator("dialog.drawer[open] .timeline").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog.drawer[open]").waitFor({ state: "hidden" });
  const focused = () => page.evaluate(() => document.activeElement.id);
  await until("the focus in the field", async () => (await focused()) === "search-field");
  await page.context().close();
});

test("who goes back has not agreed to what he was asked", async () => {
  const page = await open("popup");
  await page.evaluate(() => (location.hash += "/order/o-26"));
  await page.locator("dialog.drawer[open]").getByRole("button", { name: "Cancel order" }).click();
  await page.locator("dialog.confirm").waitFor();
  await page.goBack();
  await page.locator("dialog.confirm").waitFor({ state: "detached" });
  await page.locator("dialog.drawer[open]").waitFor({ state: "hidden" });
  assert.equal(new URL(page.url()).hash, "#/stores/popup");
  assert.equal((await redis.ask("ORDER.GET", "popup", "o-26")).state, "queued");
  await page.context().close();
});

test("a drawer that is closed is no step in the browser's history, and does not come back", async () => {
  const page = await open("popup");
  const drawer = page.locator("dialog.drawer[open]");
  const steps = () => page.evaluate(() => history.length);
  const isAt = (hash) => until(`the address ${hash}`, async () => new URL(page.url()).hash === hash);
  await page.evaluate(() => (location.hash = "#/stores"));
  await page.locator("h1", { hasText: "Stores" }).waitFor();
  await page.evaluate(() => (location.hash = "#/stores/popup"));
  for (const id of ["o-25", "o-26"]) {
    await page.locator("#search-field").fill(id);
    await page.keyboard.press("Enter");
    await drawer.locator(".timeline").waitFor();
    const before = await steps();
    await page.keyboard.press("Escape");
    await drawer.waitFor({ state: "hidden" });
    await isAt("#/stores/popup");
    assert.equal(await steps(), before);
  }
  for (let i = 0; i < 2; i += 1) {
    await page.goBack();
    await isAt("#/stores/popup");
    assert.equal(await drawer.count(), 0);
  }
  await page.goBack();
  await isAt("#/stores");
  await page.context().close();
});

test("what could not be read is tried again", async () => {
  const page = await open("popup", { expected: /ERR_INTERNET_DISCONNECTED|ERR_FAILED|Failed to load/ });
  for (const [path, seen] of [["sku/mug", ".facts"], ["order/o-27", ".timeline"]]) {
    await page.route(`**/api/stores/popup/*/*`, (route) => route.abort());
    await page.evaluate((path) => (location.hash = `#/stores/popup/${path}`), path);
    const drawer = page.locator("dialog.drawer[open]");
    await drawer.getByText("holdfast cannot be reached").waitFor();
    await drawer.getByRole("button", { name: "Try again" }).click();
    await drawer.getByText("holdfast cannot be reached").waitFor();
    await page.unroute(`**/api/stores/popup/*/*`);
    await drawer.getByRole("button", { name: "Try again" }).click();
    await drawer.locator(seen).waitFor();
  }
  await page.context().close();
});

test("paper is light, and has all of a list", async () => {
  const page = await open("popup", { scheme: "dark" });
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  const hidden = () =>
    page.evaluate(() => {
      const isOver = (box) => box.clientHeight + 1 < box.scrollHeight;
      return [...document.querySelectorAll(".scroll")].filter(isOver).map((box) => box.getAttribute("aria-label"));
    });
  assert.equal(await theme(), "dark");
  assert.deepEqual(await hidden(), ["List of alerts"]);
  await page.emulateMedia({ media: "print" });
  await until("light", async () => (await theme()) === "light");
  assert.deepEqual(await hidden(), []);
  assert.equal(await page.locator(".search, .segments, .browse-form").filter({ visible: true }).count(), 0);
  await picture(page, "paper", { fullPage: true });
  await page.emulateMedia({ media: "screen" });
  await until("dark again", async () => (await theme()) === "dark");
  await page.context().close();
});

test("in forced colours it is seen what is chosen, and where a drawer ends", async () => {
  const page = await open("popup", { forcedColors: "active", reducedMotion: "reduce" });
  const colour = (pressed) => {
    const segment = page.locator(`.browse .segment[aria-pressed="${pressed}"]`).first();
    return segment.evaluate((it) => getComputedStyle(it).backgroundColor);
  };
  assert.notEqual(await colour(true), await colour(false));
  await page.evaluate(() => (location.hash += "/order/o-28"));
  const drawer = page.locator("dialog.drawer[open]");
  await drawer.locator(".timeline").waitFor();
  assert.equal(await drawer.evaluate((it) => getComputedStyle(it).borderLeftStyle), "solid");
  await picture(page, "forced");
  await page.context().close();
});

test("no complaint in the console", () => {
  assert.deepEqual(browser.complaints, []);
});
