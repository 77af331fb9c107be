// Starts clients/tests/lab.py: servers and proxies, gone at the end.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { HoldfastError } from "holdfast-client";
import { createClient } from "redis";

const CLIENTS = fileURLToPath(new URL("../../", import.meta.url));
const PATIENCE_MS = 60_000;

/** The calls of clients/tests/session.jsonl. */
export const SESSION = readFileSync(`${CLIENTS}tests/session.jsonl`, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

/** The addresses of the lab, and `end()`. */
export async function startLab(...options) {
  const program = spawn("python3", [`${CLIENTS}tests/lab.py`, ...options], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(createInterface(program.stdout), "line");
  const end = async () => {
    program.stdin.end();
    await once(program, "exit");
  };
  return { ...JSON.parse(line), end };
}

/** A connected client of node-redis with its default options. */
export async function client(url, options = {}) {
  return createClient({ url, ...options }).on("error", () => {}).connect();
}

/** Waits until `look()` gives something true, and gives that. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `waited ${PATIENCE_MS} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Another program of Node; `lines` are what it says. */
export function program(...args) {
  const child = spawn(process.execPath, args.map(String), { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return { child, next: async () => (await lines.next()).value, exit: once(child, "exit") };
}

/** Makes a call until it has a reply. */
export async function insist(call) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error instanceof HoldfastError) throw error;
    }
  }
}
