/**
 * Between JavaScript's values and a command: arguments out, replies in. Replies have their integers as texts, since
 * node-redis may round large ones, and maps as objects (RESP3) or as flat arrays (RESP2).
 */

import { randomUUID } from "node:crypto";

import type { ClaimedOrder, Completion, Hold, Items, Order, Page, Settings, Sku } from "./types.js";

type Value = string | number | undefined;

/** A keyword with its value, if there is one. */
export const opt = (word: string, value: Value): string[] => (value === undefined ? [] : [word, text(value)]);

/** A keyword without value. */
export const flag = (word: string, isSet: boolean | undefined): string[] => (isSet ? [word] : []);

/** A keyword with a value as JSON. */
export const json = (word: string, value: unknown): string[] =>
  value === undefined ? [] : [word, JSON.stringify(value)];

/** `DATA`. The same value gives the same text, whatever the order of its names: a call can be sent again. */
export const data = (value: unknown): string[] =>
  value === undefined ? [] : ["DATA", JSON.stringify(value, (_, part: unknown) => inOrder(part))];

/** An object with its names in order. Others are what JSON makes of them: a Map, a boxed number, a raw JSON. */
function inOrder(part: unknown): unknown {
  const { isRawJSON } = JSON as { isRawJSON?: (part: unknown) => boolean };
  if (Object.prototype.toString.call(part) !== "[object Object]" || isRawJSON?.(part)) return part;
  return Object.fromEntries(Object.entries(part as object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** An argument as text; an integer that a double cannot hold was rounded before it came here. */
export function text(value: string | number): string {
  if (typeof value === "number" && !Number.isSafeInteger(value))
    throw new RangeError(`a number must be an integer between -(2^53 - 1) and 2^53 - 1, got ${value}`);
  return String(value);
}

/** Names with their numbers, of an object, a Map or pairs. */
export function pairs(what: string, of: Items): (readonly [string, number])[] {
  if (typeof of !== "object" || of === null) throw new TypeError(`${what} must be numbers by name, got ${String(of)}`);
  const found = Symbol.iterator in of ? [...of] : Object.entries(of);
  if (found.some((pair) => !Array.isArray(pair)))
    throw new TypeError(`${what} must be numbers by name, such as { name: 2 }, got ${JSON.stringify(of)}`);
  return found;
}

/** `ITEMS sku qty …`. */
export function items(of: Items | undefined): string[] {
  if (of === undefined) return [];
  const found = pairs("items", of);
  if (found.length === 0) throw new TypeError("items must name a SKU, such as { mug: 2 }, got none");
  return ["ITEMS", ...found.flatMap(([sku, qty]) => [sku, text(qty)])];
}

/** Refuses options that are left over: one that is misspelt would be left out without a word. */
export function noneOf(others: object): void {
  const [name] = Object.keys(others);
  if (name !== undefined) throw new TypeError(`unknown option '${name}'`);
}

/** `LANES n lane …`. */
export function lanesOf(lanes: readonly string[] | undefined): string[] {
  if (lanes === undefined || lanes.length === 0) return [];
  if (!Array.isArray(lanes)) throw new TypeError(`lanes must be an array of names, got ${JSON.stringify(lanes)}`);
  return ["LANES", text(lanes.length), ...(lanes as readonly string[])];
}

/** A REF; a new one if none is given, so that the call counts once even if it is sent again. */
export const someRef = (ref: string | undefined): string[] => ["REF", ref ?? randomUUID()];

/** A REF for a part of a hold. The whole needs none: the same call again changes nothing. */
export const refOfPart = (ref: string | undefined, of: Items | undefined): string[] =>
  of === undefined ? opt("REF", ref) : someRef(ref);

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const camel = (name: string): string => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** The name of a field, as the server spells it. */
export const fieldName = dashed;

/** `field value …`. */
export const settingsOf = (settings: Partial<Settings>): string[] =>
  Object.entries(settings).flatMap(([name, value]) => [
    dashed(name),
    typeof value === "boolean" ? (value ? "yes" : "no") : text(value),
  ]);

// Ids are bytes. One that is no UTF-8 is a string with U+DC80 to U+DCFF for each byte that is no text, as Python has
// it: it can be shown and sent back.

const LOW = 0xdc00;
const NO_TEXT = /[\udc80-\udcff]/u;
const CHARACTER_BYTES_MAX = 4;

/** An argument for node-redis. */
export function encoded(arg: string): string | Buffer {
  if (typeof arg !== "string") throw new TypeError(`an id must be a string, got ${typeof arg} ${String(arg)}`);
  if (!NO_TEXT.test(arg)) return arg;
  const bytes = (part: string) =>
    NO_TEXT.test(part) ? Buffer.of(part.charCodeAt(0) - LOW) : Buffer.from(part);
  return Buffer.concat(arg.split(/([\udc80-\udcff])/u).map(bytes));
}

/** Bytes as text. */
export function decoded(bytes: Buffer): string {
  const text = bytes.toString();
  if (!text.includes("\ufffd")) return text;
  let found = "";
  for (let at = 0; at < bytes.length; ) {
    const character = firstCharacter(bytes.subarray(at, at + CHARACTER_BYTES_MAX));
    found += character ?? String.fromCharCode(LOW + (bytes[at] ?? 0));
    at += character === undefined ? 1 : Buffer.byteLength(character);
  }
  return found;
}

function firstCharacter(bytes: Buffer): string | undefined {
  for (let length = 1; length <= bytes.length; length += 1) {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, length));
    } catch {
      // Longer, or no text.
    }
  }
  return undefined;
}

/** A reply with its bytes as texts. */
export function texts(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return decoded(reply);
  if (Array.isArray(reply)) return reply.map(texts);
  if (reply instanceof Map) {
    const pairs = [...(reply as Map<unknown, unknown>)];
    return new Map(pairs.map(([name, value]) => [texts(name), texts(value)]));
  }
  if (typeof reply !== "object" || reply === null) return reply;
  return Object.fromEntries(Object.entries(reply).map(([name, value]) => [name, texts(value)]));
}

// Replies.

type Fields = Record<string, unknown>;

/** A map, with names as JavaScript spells them. */
export function fields(reply: unknown): Fields {
  const flat = reply as unknown[];
  const pairs = Array.isArray(reply)
    ? flat.flatMap((name, at) => (at % 2 ? [] : [[name, flat[at + 1]] as const]))
    : reply instanceof Map
      ? [...reply]
      : Object.entries(reply as Fields);
  return Object.fromEntries(pairs.map(([name, value]) => [camel(String(name)), value]));
}

/** The map with those fields as integers, others as truth values, and others by a reader of their own. */
function record(
  reply: unknown,
  how: { numbers?: string[]; truths?: string[]; readers?: Record<string, (value: unknown) => unknown> },
): Fields {
  const found = fields(reply);
  for (const name of how.numbers ?? []) found[name] = numberOrNull(found[name]);
  for (const name of how.truths ?? []) found[name] = found[name] === "1" || found[name] === 1;
  for (const [name, read] of Object.entries(how.readers ?? {})) found[name] = read(found[name]);
  return found;
}

export const asText = (reply: unknown): string => String(reply);
export const asTextOrNull = (reply: unknown): string | null => (reply == null ? null : String(reply));
export const asNumber = (reply: unknown): number => Number(reply);
export const numberOrNull = (reply: unknown): number | null => (reply == null ? null : Number(reply));
export const asTruth = (reply: unknown): boolean => Number(reply) === 1;
export const done = (): void => undefined;

/** The next cursor, and ids. */
export function page(reply: unknown): Page {
  const [cursor, ids] = reply as [unknown, unknown[]];
  return { cursor: String(cursor), ids: ids.map(String) };
}

/** Settings of a store. */
export const settings = (reply: unknown): Partial<Settings> =>
  Object.fromEntries(
    Object.entries(fields(reply)).map(([name, value]) =>
      name === "paused" ? [name, value === "yes"] : [name, Number(value)],
    ),
  );

/** An array, each by a reader. */
export const each =
  <T>(read: (one: unknown) => T) =>
  (reply: unknown): T[] =>
    (reply as unknown[]).map(read);

/** A map whose fields are integers, but for those texts. */
export const numbersBut =
  <T>(...texts: string[]) =>
  (reply: unknown): T =>
    Object.fromEntries(
      Object.entries(fields(reply)).map(([name, value]) =>
        texts.includes(name) ? [name, asTextOrNull(value)] : [name, numberOrNull(value)],
      ),
    ) as T;

/** Counts of a SKU, or null. */
export const skuOrNull = (reply: unknown): Sku | null => (reply == null ? null : numbersBut<Sku>()(reply));

/** A hold. */
export const hold = (reply: unknown): Hold =>
  record(reply, {
    numbers: ["expiresAt", "endedAt", "left"],
    readers: { items: each(numbersBut("sku")) },
  }) as unknown as Hold;

const parsed = (value: unknown): unknown => (value == null ? null : JSON.parse(String(value)));

/** A SKU and its units. */
const pair = (reply: unknown): [string, number] => {
  const [sku, qty] = reply as [unknown, unknown];
  return [String(sku), Number(qty)];
};

/** An order that was handed out. */
export const claimed = (reply: unknown): ClaimedOrder =>
  record(reply, {
    numbers: ["token", "attempt", "placedAt", "deadline"],
    readers: { data: parsed, items: each(pair) },
  }) as unknown as ClaimedOrder;

/** The entry; or an array of it and the next order. */
export function completion(reply: unknown): Completion {
  if (!Array.isArray(reply)) return { entry: String(reply), next: null };
  return { entry: String(reply[0]), next: reply[1] == null ? null : claimed(reply[1]) };
}

const EVENT_NUMBERS = /^\d+$/;

/** An event of an order's history: what is a number on the server is one here. */
const happening = (event: unknown): Fields =>
  Object.fromEntries(
    Object.entries(fields(event)).map(([name, value]) =>
      ["event", "reason", "worker", "step", "gate", "order", "lane"].includes(name) ||
      !EVENT_NUMBERS.test(String(value))
        ? [name, asTextOrNull(value)]
        : [name, Number(value)],
    ),
  );

/** Everything about an order. */
export const order = (reply: unknown): Order =>
  record(reply, {
    numbers: ["placedAt", "endedAt", "attempts", "token", "due", "version"],
    truths: ["late"],
    readers: {
      data: parsed,
      result: parsed,
      items: each(numbersBut("sku")),
      gates: each((gate) => record(gate, { numbers: ["deadline"], truths: ["passed"] })),
      history: each(happening),
    },
  }) as unknown as Order;
