// A sale, watched from the empty server to the last order.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, startSale, until, Watch } from "./lab.js";
import {
  barriers,
  lineState,
  number,
  overhang,
  picture,
  pixelsOf,
  shownNumbers,
  trueNumbers,
  untilLine,
} from "./read.js";

const PHONE = { width: 360, height: 740, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const SALE = { seconds: 12, units: 3_000 };

let redis, watch, browser, page, dark, phone, sale;

before(async () => {
  redis = await Redis.start();
  watch = await Watch.start(redis);
  browser = await Browser.start();
});

after(endAll);

test("an empty server says how to make a store", async () => {
  page = await browser.open(watch.origin);
  await page.getByRole("heading", { name: "No store yet" }).waitFor();
  assert.match(await page.locator(".empty-state").textContent(), /STORE\.SET popup/);
  await picture(page, "empty");
});

test("the only store is shown by itself, live, as soon as it is there", async () => {
  dark = await browser.open(watch.origin, { scheme: "dark" });
  phone = await browser.open(watch.origin, PHONE);
  sale = startSale(redis, SALE);
  await page.getByRole("heading", { level: 1, name: "popup" }).waitFor();
  assert.equal(new URL(page.url()).hash, "#/stores/popup");
  await until(
    "a sale that is under way",
    async () => (await number(page, '[data-field="completed"]')) > SALE.units / 10,
  );
  assert.equal(await lineState(page), "live");
  assert.match(await page.locator("#line-text").textContent(), /^live · \d\.\d s ago$/);
  assert.match(await page.locator(".countdown").textContent(), /closes in 0:\d\d/);
  assert.ok((await number(page, '[data-field="available"]')) > 0);
  await page.locator(".lease .lease-left").first().waitFor();
});

test("pictures of the sale: wide in light and dark, and on a phone", async () => {
  await picture(page, "sale-light", { fullPage: true });
  await picture(dark, "sale-dark", { fullPage: true });
  assert.ok((await overhang(phone)) <= 0, "the phone scrolls sideways");
  await picture(phone, "sale-phone");
  await picture(phone, "sale-phone-long", { fullPage: true });
  await Promise.all([dark.context().close(), phone.context().close()]);
});

test("charts draw every series in its colour, and the legend says what is now", async () => {
  await until(
    "a second look at the sale",
    async () => (await number(page, '[data-field="completed"]')) > SALE.units / 3,
  );
  const charts = {
    "Orders a second": ["placed", "completed", "refused"],
    "Orders on their way": ["queued", "work"],
    Units: ["available", "completed", "queued"],
    "From placed to completed": ["work", "overflow"],
  };
  for (const [title, tones] of Object.entries(charts)) {
    for (const [i, pixels] of (await pixelsOf(page, title, tones)).entries()) {
      assert.ok(pixels > 20, `${title}: ${pixels} pixels of ${tones[i]}`);
    }
  }
  const legend = page.locator("figure.chart").first().locator(".legend-key").first();
  assert.match(await legend.textContent(), /^Placed[\d.,<]+\/s$/);
});

test("a chart under the cursor tells its values of that moment, all charts together", async () => {
  const plots = page.locator("figure.chart .u-over");
  await plots.nth(0).hover({ position: { x: 60, y: 40 } });
  for (const i of [0, 1, 2, 3]) {
    assert.match(await page.locator(".chart-time").nth(i).textContent(), /^\d\d:\d\d:\d\d$/);
  }
  await page.mouse.move(5, 5);
  await until("the cursor to be gone", async () => (await page.locator(".chart-time").first().textContent()) === "");
});

test("when all is settled the page says what STORE.INFO says", async () => {
  assert.equal(await sale.ended, 0, sale.said);
  const wanted = await trueNumbers(redis, "popup");
  assert.ok(wanted.completed >= SALE.units);
  let shown;
  const agrees = async () => {
    shown = await shownNumbers(page);
    return Object.keys(wanted).every((field) => shown[field] === wanted[field]);
  };
  await until("the page to agree", agrees, 5_000).catch(() => assert.deepEqual(shown, wanted));
});

test("every number of a sample is there, with its meaning", async () => {
  const { metrics } = await (await fetch(`${watch.origin}/api/stores/popup`)).json();
  await page.getByText("Every number", { exact: true }).first().click();
  for (const [field, value] of Object.entries(metrics)) {
    const cell = page.locator(`[data-metric="${field}"]`);
    assert.equal(await cell.count(), 1, field);
    if (!field.endsWith("-ms")) assert.equal(await number(page, `[data-metric="${field}"]`), value, field);
    assert.ok((await cell.locator("xpath=following-sibling::dd").textContent()).length > 3, field);
  }
});

test("a refusal is explained in plain words, and counted by its code", async () => {
  const info = await redis.ask("STORE.INFO", "popup");
  for (const [code, words] of [
    ["OUTOFSTOCK", "Not enough units left"],
    ["LIMIT", "Customer's limit reached"],
  ]) {
    const row = page.locator(".bar-row", { has: page.locator(`[data-code="${code}"]`) });
    assert.match(await row.textContent(), new RegExp(words));
    assert.equal(await number(page, `[data-code="${code}"]`), info[`refused-${code.toLowerCase()}`]);
  }
});

test("sold out and closed: said calmly, and nothing is oversold", async () => {
  assert.match(await page.locator(".party").textContent(), /^Sold out .*after opening, and every order is settled\.$/);
  assert.deepEqual(await page.locator(".store-line .chip:visible").allTextContents(), ["Closed", "Sold out"]);
  assert.match(await page.locator(".countdown").textContent(), /closed .* ago/);
  const tile = page.locator('[data-tile="oversold"]');
  assert.equal(await tile.getAttribute("data-alarm"), "no");
  assert.ok(await page.locator("p.alarm").isHidden());
  await picture(page, "sold-out", { fullPage: true });
});

test("a quiet store is quiet, not broken", async () => {
  await untilLine(page, "quiet");
  assert.match(await page.locator("#line-text").textContent(), /^quiet · nothing changed for /);
  assert.ok(await page.locator("#banner").isHidden());
});

test("an order's timeline is its history", async () => {
  const [, ids] = await redis.ask("ORDER.SCAN", "popup", 0, "STATE", "completed", "COUNT", 1_000);
  const { history } = await redis.ask("ORDER.GET", "popup", ids[0]);
  await page.keyboard.press("/");
  await page.keyboard.type(ids[0]);
  await page.keyboard.press("Enter");
  const events = page.locator("dialog .timeline li");
  await events.first().waitFor();
  assert.deepEqual(
    await events.evaluateAll((all) => all.map((one) => one.dataset.event)),
    history.map(({ event }) => event),
  );
  assert.match(await events.last().textContent(), /\+ [\d.]+ (ms|s)/);
  assert.equal(new URL(page.url()).hash, `#/stores/popup/order/${ids[0]}`);
  await picture(page, "order");
  await page.keyboard.press("Escape");
  await until("the address of the store", () => new URL(page.url()).hash === "#/stores/popup");
});

test("an order that is not there is no mystery", async () => {
  const other = await browser.open(`${watch.origin}/#/stores/popup/order/no%2Fsuch`, { expected: /status of 404/ });
  await other.getByText("This store knows no such order.").waitFor();
  assert.equal(await other.locator("dialog h2").first().textContent(), "no/such");
  await other.context().close();
});

test("the theme can be chosen, stays chosen, and the charts follow", async () => {
  await page.getByRole("button", { name: "Use dark colours" }).click();
  const [blue] = await pixelsOf(page, "Units", ["available"]);
  assert.ok(blue > 20, `${blue} pixels of the dark theme's blue`);
  await page.reload();
  await page.locator("canvas").first().waitFor();
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
  await page.getByRole("button", { name: "Use light colours" }).click();
  assert.equal(await page.locator("html").getAttribute("data-theme"), "light");
});

test("all stores at a glance: a card each", async () => {
  await redis.ask("STORE.SET", "spring drop", "opens", Date.now() + 3_600_000);
  await redis.ask("INV.SET", "spring drop", "mug", 40);
  await page.locator("#crumb-stores").click();
  const cards = page.locator(".store-card");
  await until("two cards", async () => (await cards.count()) === 2);
  assert.match(await cards.nth(0).textContent(), /popup/);
  await until("the countdown of the one to come", async () =>
    /opens in (59|1:00):\d\d/.test(await cards.nth(1).textContent()),
  );
  await picture(page, "stores");
  await cards.nth(1).getByRole("link").click();
  await page.getByRole("heading", { name: "No orders yet" }).waitFor();
  await picture(page, "no-sales");
});

for (const scheme of ["light", "dark"]) {
  test(`no one is kept out: axe finds nothing (${scheme})`, async () => {
    const options = { scheme, bypassCSP: true, reducedMotion: "reduce" };
    const shown = await browser.open(`${watch.origin}/#/stores/popup`, options);
    await shown.locator("canvas").first().waitFor();
    assert.deepEqual(await barriers(shown), [], "a sale");
    await shown.getByRole("button", { name: "What am I looking at?" }).click();
    assert.deepEqual(await barriers(shown), [], "the help");
    await shown.goto(`${watch.origin}/#/stores`);
    await shown.locator(".store-card").first().waitFor();
    assert.deepEqual(await barriers(shown), [], "the stores");
    await shown.context().close();
  });
}

test("a phone shows all of it in one column, without scrolling sideways", async () => {
  phone = await browser.open(`${watch.origin}/#/stores/popup`, PHONE);
  await phone.locator("canvas").first().waitFor();
  await phone.locator(".counts summary").click();
  assert.ok((await overhang(phone)) <= 0);
  await phone.getByRole("button", { name: "What am I looking at?" }).click();
  await picture(phone, "phone-help");
  await phone.context().close();
});

test("no complaint in the console, and no request leaves the machine", () => {
  assert.deepEqual(browser.complaints, []);
  assert.ok(browser.requests.length > 20);
  assert.deepEqual(
    browser.requests.filter((url) => !url.startsWith(`${watch.origin}/`)),
    [],
  );
});
