// What the tests run: a redis-server with the module, `holdfast watch`, a sale, a browser; all gone at the end.

import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const run = promisify(execFile);

/** Longer than anything here takes on a slow machine. */
export const PATIENCE_MS = 30_000;
const POLL_MS = 50;

const needed = (name) => {
  if (!process.env[name]) throw new Error(`set ${name}: make browser does`);
  return process.env[name];
};
const MODULE = needed("HOLDFAST_MODULE");
const HOLDFAST = needed("HOLDFAST_BIN");
const REDIS_SERVER = process.env.REDIS_SERVER ?? "redis-server";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Waits until `look()` gives something true, and gives that; `what` was waited for. */
export async function until(what, look, patienceMs = PATIENCE_MS) {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A port nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** How to end what was started, in the order of the starts. */
const ends = [];

/** Ends all that was started and still runs, what was started last first. */
export async function endAll() {
  while (ends.length > 0) await ends.pop()();
}

/** A program that runs until it is stopped. What it says is kept, and shown when it fails. */
class Program {
  constructor(command, args) {
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.said = "";
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.on("data", (data) => {
        this.said += data;
      });
    this.ended = new Promise((resolve) => {
      this.child.on("error", (error) => resolve(`${command}: ${error.message}`));
      this.child.on("exit", (code, signal) => resolve(code ?? signal));
    });
  }

  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    return this.ended;
  }
}

/** A redis-server with the module, in its own directory. A durable one writes each command to disk before its reply. */
export class Redis {
  static async start({ durable = true } = {}) {
    const redis = new Redis();
    ends.push(() => redis.remove());
    redis.durable = durable;
    redis.port = await freePort();
    redis.url = `redis://127.0.0.1:${redis.port}`;
    redis.dir = await mkdtemp(join(tmpdir(), "holdfast-browser-"));
    await redis.up();
    return redis;
  }

  /** Starts it, or starts it again with what it knew. */
  async up() {
    this.program = new Program(REDIS_SERVER, [
      "--port",
      String(this.port),
      "--bind",
      "127.0.0.1",
      "--dir",
      this.dir,
      "--loadmodule",
      MODULE,
      "--appendonly",
      this.durable ? "yes" : "no",
      "--appendfsync",
      "always",
      "--save",
      "",
    ]);
    await until(`redis-server on port ${this.port}`, () => this.answers());
  }

  async answers() {
    try {
      return (await this.ask("PING")) === "PONG";
    } catch {
      return false;
    }
  }

  /** Sends a command; gives the reply as JSON has it. */
  async ask(...command) {
    const args = ["-h", "127.0.0.1", "-p", String(this.port), "-e", "--json", ...command.map(String)];
    const { stdout } = await run("redis-cli", args);
    return JSON.parse(stdout);
  }

  /** As pulling the plug. */
  async kill() {
    await this.program?.stop("SIGKILL");
  }

  async remove() {
    await this.kill();
    if (this.dir) await rm(this.dir, { recursive: true, force: true });
  }
}

/** `holdfast watch` of a server. */
export class Watch {
  static async start(redis, { writes = false, port = null } = {}) {
    const watch = new Watch();
    ends.push(() => watch.stop());
    watch.port = port ?? (await freePort());
    watch.origin = `http://127.0.0.1:${watch.port}`;
    const args = ["watch", "--url", redis.url, "--listen", `127.0.0.1:${watch.port}`];
    watch.program = new Program(HOLDFAST, writes ? [...args, "--allow-writes"] : args);
    await until(`holdfast watch at ${watch.origin}`, () => fetch(`${watch.origin}/api/stores`).catch(() => null));
    return watch;
  }

  async stop() {
    await this.program?.stop("SIGKILL");
  }
}

/** Starts a sale on a server; it ends by itself. */
export function startSale(redis, { seconds, units }) {
  const args = ["sale", "--url", redis.url, "--duration", seconds, "--units", units, "--watch", "off", "--seed", 7];
  const sale = new Program(HOLDFAST, args.map(String));
  ends.push(() => sale.stop("SIGKILL"));
  return sale;
}

/** A browser, and all that its pages asked for and complained of. */
export class Browser {
  static async start() {
    const browser = new Browser();
    ends.push(() => browser.close());
    browser.chromium = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
    browser.complaints = [];
    browser.requests = [];
    return browser;
  }

  /** A page of its own at an address; `init` runs before its scripts. Complaints that match `expected` are not kept. */
  async open(url, { width = 1440, height = 900, scheme = "light", expected = null, init = null, ...more } = {}) {
    const context = await this.chromium.newContext({ viewport: { width, height }, colorScheme: scheme, ...more });
    const page = await context.newPage();
    const complain = (text) => expected?.test(text) || this.complaints.push(text);
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complain(message.text()));
    page.on("pageerror", (error) => complain(error.stack ?? error.message));
    page.on("request", (request) => this.requests.push(request.url()));
    page.on("websocket", (socket) => this.requests.push(socket.url()));
    page.setDefaultTimeout(PATIENCE_MS);
    if (init) await page.addInitScript(init);
    await page.goto(url);
    return page;
  }

  async close() {
    await this.chromium?.close();
  }
}
