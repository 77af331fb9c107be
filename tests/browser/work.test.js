// Orders that die and come back, ids that would like to be markup, and a reader without a mouse.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";
import { number, picture } from "./read.js";

const DECLINED = "card declined? [all]*";
const STOLEN = "<b>stolen</b>";
const HOSTILE = `<img src=x onerror="window.hacked=1">`;

let redis, writer, reader, browser;

before(async () => {
  redis = await Redis.start();
  await makeShop();
  [writer, reader] = await Promise.all([Watch.start(redis, { writes: true }), Watch.start(redis)]);
  browser = await Browser.start();
});

after(endAll);

/** Five orders died of one reason, two of another; one is in a worker's hands. */
async function makeShop() {
  await redis.ask("INV.SET", "shop", "mug", 100);
  for (let i = 1; i <= 8; i += 1) await redis.ask("ORDER.PLACE", "shop", `o-${i}`, `c-${i}`, "ITEMS", "mug", 1);
  for (let i = 1; i <= 7; i += 1) {
    await redis.ask("ORDER.FAIL", "shop", `o-${i}`, "REASON", i <= 5 ? DECLINED : STOLEN, "FATAL");
  }
  await redis.ask("ORDER.CLAIM", "shop", "packer-1", "LEASE", 600_000);
}

const reasonRow = (page, reason) => page.locator(".dead-list > li", { has: page.getByText(reason, { exact: true }) });
const dead = async () => (await redis.ask("STORE.INFO", "shop"))["dead-letters"];

test("dead letters stand by reason, most first", async () => {
  const page = await browser.open(`${writer.origin}/#/stores/shop`);
  await reasonRow(page, DECLINED).waitFor();
  const rows = page.locator(".dead-list > li .bar-name");
  assert.deepEqual(await rows.allTextContents(), [DECLINED, STOLEN]);
  assert.equal(await number(page, '[data-field="dead-letters"]'), 7);
  assert.match(await page.locator(".lease").textContent(), /^o-8.*\d+ (min|s)/);
  await page.context().close();
});

test("alerts are listed, newest first, and lead to their orders", async () => {
  const page = await browser.open(`${writer.origin}/#/stores/shop`);
  const rows = page.locator(".alert-list > li");
  await rows.first().waitFor();
  assert.equal(await rows.count(), 7);
  const [newest, oldest] = [await rows.first().textContent(), await rows.last().textContent()];
  assert.ok(newest.includes("o-7") && newest.includes(STOLEN) && oldest.includes("o-1"), `${newest} … ${oldest}`);
  await rows.first().getByRole("link", { name: "o-7" }).click();
  await page.locator("dialog .chip", { hasText: "Dead" }).waitFor();
  await page.context().close();
});

test("one order is redriven, and then all of its reason; no other", async () => {
  const page = await browser.open(`${writer.origin}/#/stores/shop`);
  const row = reasonRow(page, DECLINED);
  await row.locator("summary").click();
  await row.getByRole("button", { name: "Redrive order o-3" }).click();
  await picture(page, "redrive");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(await dead(), 7);
  await row.getByRole("button", { name: "Redrive order o-3" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Redrive" }).click();
  await page.getByText("1 order queued again.").waitFor();
  assert.equal(await dead(), 6);
  assert.equal((await redis.ask("ORDER.GET", "shop", "o-3")).state, "queued");
  await until("the page to follow", async () => (await row.locator(".bar-value").textContent()) === "4");
  await row.getByRole("button", { name: /Redrive all/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Redrive" }).click();
  await page.getByText("4 orders queued again.").waitFor();
  assert.equal(await dead(), 2);
  await until("the page to follow", async () => (await page.locator(".dead-list > li").count()) === 1);
  await page.context().close();
});

test("a page that may only read offers no redrive, and says how it would", async () => {
  const page = await browser.open(`${reader.origin}/#/stores/shop`);
  await reasonRow(page, STOLEN).waitFor();
  assert.equal(await page.getByRole("button", { name: /Redrive/ }).count(), 0);
  assert.match(await page.locator(".note:visible").textContent(), /holdfast watch --allow-writes/);
  await page.goto(`${reader.origin}/#/stores/shop/order/o-6`);
  await page.locator("dialog .timeline li").first().waitFor();
  assert.equal(await page.getByRole("button", { name: /Redrive/ }).count(), 0);
  await page.context().close();
});

test("an open order is followed to its end", async () => {
  const page = await browser.open(`${writer.origin}/#/stores/shop/order/o-8`);
  await page.locator("dialog .chip", { hasText: "In work" }).waitFor();
  await redis.ask("ORDER.ADVANCE", "shop", "o-8", "packed");
  await page.locator("dialog .timeline", { hasText: "Step: packed" }).waitFor();
  await redis.ask("ORDER.COMPLETE", "shop", "o-8", "RESULT", '{"parcel":"JD014"}');
  await page.locator("dialog .chip", { hasText: "Completed" }).waitFor();
  assert.match(await page.locator("dialog pre").textContent(), /"parcel": "JD014"/);
  await page.context().close();
});

test("ids and reasons are text, whatever they look like", async () => {
  const store = `${HOSTILE}:{1}/..?#%41`;
  const order = `${HOSTILE}/#?%2F`;
  await redis.ask("STORE.SET", store, "attempts", 1);
  await redis.ask("INV.SET", store, HOSTILE, 10, "LOW", 20);
  await redis.ask("ORDER.PLACE", store, order, HOSTILE, "DATA", JSON.stringify(HOSTILE), "ITEMS", HOSTILE, 1);
  await redis.ask("ORDER.PLACE", store, "o-2", HOSTILE, "ITEMS", HOSTILE, 1);
  await redis.ask("ORDER.FAIL", store, "o-2", "REASON", HOSTILE);
  await redis.ask("ORDER.CLAIM", store, HOSTILE, "LEASE", 600_000);
  const page = await browser.open(`${writer.origin}/#/stores`);
  await page.getByRole("link", { name: store, exact: true }).click();
  await page.locator("h1", { hasText: store }).waitFor();
  await page.locator(".lease a").click();
  await page.locator("dialog .timeline", { hasText: `Claimed by ${HOSTILE}` }).waitFor();
  assert.equal(await page.locator("#order-title").textContent(), order);
  await picture(page, "hostile");
  await page.reload();
  await page.locator("dialog .timeline").waitFor();
  await page.keyboard.press("Escape");
  // While a dialog is open, what is behind it takes no keys.
  await page.locator("dialog[open]").waitFor({ state: "detached" });
  await page.locator("#search-field").fill(order);
  await page.keyboard.press("Enter");
  await page.locator("dialog .timeline").waitFor();
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  await redis.ask("STORE.DROP", store);
  await page.context().close();
});

test("oversold is loud", async () => {
  await redis.ask("INV.SET", "counted", "mug", 5);
  await redis.ask("ORDER.PLACE", "counted", "o-1", "c-1", "ITEMS", "mug", 5);
  await redis.ask("INV.SET", "counted", "mug", 2);
  const page = await browser.open(`${writer.origin}/#/stores/counted`, { scheme: "dark" });
  await page.locator('[data-tile="oversold"][data-alarm="yes"]').waitFor();
  assert.equal(await number(page, '[data-field="oversold"]'), 3);
  assert.match(await page.locator("p.alarm").textContent(), /^Oversold by 3/);
  assert.match(await page.locator("#alarm").textContent(), /Alarm: oversold by 3/);
  assert.match(await page.title(), /^OVERSOLD/);
  await picture(page, "oversold");
  await redis.ask("STORE.DROP", "counted");
  await page.getByText("There is no store “counted”.").first().waitFor();
  await page.context().close();
});

test("everything is reached by keys alone, and one sees where one is", async () => {
  const page = await browser.open(`${writer.origin}/#/stores/shop`);
  await page.locator("canvas").first().waitFor();
  const focused = () =>
    page.evaluate(() => {
      const one = document.activeElement;
      const style = getComputedStyle(one);
      if (one === document.body) return null;
      return {
        name: (one.getAttribute("aria-label") ?? one.textContent).trim(),
        id: one.id,
        outline: style.outlineStyle,
      };
    });
  await page.keyboard.press("Tab");
  assert.equal((await focused()).id, "skip");
  const seen = [];
  for (let i = 0; i < 40; i += 1) {
    await page.keyboard.press("Tab");
    const one = await focused();
    if (one === null) break;
    assert.notEqual(one.outline, "none", `no ring around ${one.name || one.id}`);
    seen.push(one.id || one.name);
  }
  const wanted = ["crumb-stores", "search-field", "help-button", "theme-button", "5 min", "15 min", "All"];
  assert.deepEqual(
    wanted.filter((one) => !seen.includes(one)),
    [],
    seen.join(", "),
  );
  assert.ok(
    wanted.every((one, i) => i === 0 || seen.indexOf(one) > seen.indexOf(wanted[i - 1])),
    "in another order",
  );
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "What am I looking at?" }).waitFor();
  await picture(page, "help");
  await page.keyboard.press("Escape");
  await page.locator("dialog[open]").waitFor({ state: "detached" });
  await page.keyboard.press("/");
  assert.equal((await focused()).id, "search-field");
  await page.locator("#skip").focus();
  await page.keyboard.press("Enter");
  assert.equal((await focused()).id, "main");
  assert.equal(new URL(page.url()).hash, "#/stores/shop");
  await page.context().close();
});

test("a chart can be read as a table", async () => {
  const page = await browser.open(`${writer.origin}/#/stores/shop`);
  await page.locator("canvas").first().waitFor();
  await page.getByRole("button", { name: "Orders on their way as a table" }).click();
  const heads = page.getByRole("region", { name: "Orders on their way as a table" }).locator("thead th");
  assert.deepEqual(await heads.allTextContents(), ["Time", "Queued", "In work", "Retrying"]);
  const summary = await page.locator('.plot[role="img"]').first().getAttribute("aria-label");
  assert.match(summary, /^Orders a second, from .* Placed: now .* highest /);
  await page.context().close();
});

test("no complaint in the console, and no request leaves the machine", () => {
  assert.deepEqual(browser.complaints, []);
  const own = [writer.origin, reader.origin];
  assert.deepEqual(
    browser.requests.filter((url) => !own.includes(new URL(url).origin)),
    [],
  );
});
