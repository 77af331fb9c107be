/**
 * What a call can be refused with: one class for each code, the first word of the error. A refused call changed
 * nothing.
 */

import { decoded } from "./wire.js";

/** A call was refused. */
export class HoldfastError extends Error {
  /** The first word of the error. */
  readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = message.split(" ", 1)[0] ?? "";
  }

  /** The number behind a word of the message. */
  protected number(word: string): number | undefined {
    const found = new RegExp(`\\b${word} (-?\\d+)\\b`).exec(this.message);
    return found ? Number(found[1]) : undefined;
  }
}

const ESCAPED: Readonly<Record<string, string>> = { t: "\t", r: "\r", n: "\n" };

/** The id that an error shows, which has `\xNN` and the like for what is not printable ASCII. */
function idOf(shown: string): string {
  const bytes = shown.replace(/\\(?:x(..)|(.))/g, (_, hex?: string, letter?: string) =>
    hex ? String.fromCharCode(parseInt(hex, 16)) : (ESCAPED[letter ?? ""] ?? letter ?? ""),
  );
  return decoded(Buffer.from(bytes, "latin1"));
}

/** There is no store at the key. */
export class NoStore extends HoldfastError {}

/** The store does not know the SKU. */
export class NoSku extends HoldfastError {}

/** The store does not know the hold, or has forgotten it. */
export class NoHold extends HoldfastError {}

/** The store does not know the order, or has forgotten it. */
export class NoOrder extends HoldfastError {}

/** The order never had the gate. */
export class NoGate extends HoldfastError {}

/** More was wanted than is available. */
export class OutOfStock extends HoldfastError {
  /** A SKU may look like what follows it. */
  get #parts(): string[] {
    return /^OUTOFSTOCK (.*) wanted (\d+) available (-?\d+)(?: backlog \d+ of \d+)?$/.exec(this.message) ?? [];
  }

  /** The SKU of which there is too little. */
  get sku(): string {
    return idOf(this.#parts[1] ?? "");
  }

  /** How many units were wanted. */
  get wanted(): number {
    return Number(this.#parts[2]);
  }

  /** How many units are available. */
  get available(): number {
    return Number(this.#parts[3]);
  }
}

/** The customer would have more units than the limit allows. */
export class Limit extends HoldfastError {
  get #parts(): string[] {
    return /^LIMIT customer .* limit (\d+) has (\d+)(?: of .*)?$/.exec(this.message) ?? [];
  }

  /** How many units a customer may have. */
  get limit(): number {
    return Number(this.#parts[1]);
  }

  /** How many units the customer has. */
  get has(): number {
    return Number(this.#parts[2]);
  }
}

/** The sale has not opened yet. */
export class NotOpen extends HoldfastError {
  /** When it opens, Unix milliseconds. */
  get opens(): number | undefined {
    return this.number("opens at");
  }
}

/** The sale has closed. */
export class Closed extends HoldfastError {}

/** The hold expired before. */
export class Expired extends HoldfastError {}

/** The order or hold is in a state that does not allow it. */
export class BadState extends HoldfastError {}

/** The same id was used before, with other content. */
export class Mismatch extends HoldfastError {}

/** The lease expired, and the token is not the current one any more. */
export class Fenced extends HoldfastError {
  /** The token of the claim that is valid now; 0: nobody has the order. */
  get current(): number | undefined {
    return this.number("current token");
  }
}

/** A number is missing in an outside system's feed. */
export class Gap extends HoldfastError {
  /** The number that has to come next. */
  get expected(): number | undefined {
    return this.number("expected");
  }
}

/** The server's memory is full, and the call would take more. */
export class OutOfMemory extends HoldfastError {}

/** The key holds something else. */
export class WrongType extends HoldfastError {}

/** An argument is missing or out of range; the message names it. */
export class BadArgument extends HoldfastError {}

/** No reply came in time to a call that waits. The connection was closed, so that nobody is waited for. */
export class TimeOut extends Error {
  override name = "TimeOut";
}

/** The class of each code. */
export const BY_CODE: Readonly<Record<string, new (message: string, options?: ErrorOptions) => HoldfastError>> = {
  NOSTORE: NoStore,
  NOSKU: NoSku,
  NOHOLD: NoHold,
  NOORDER: NoOrder,
  NOGATE: NoGate,
  OUTOFSTOCK: OutOfStock,
  LIMIT: Limit,
  NOTOPEN: NotOpen,
  CLOSED: Closed,
  EXPIRED: Expired,
  BADSTATE: BadState,
  MISMATCH: Mismatch,
  FENCED: Fenced,
  GAP: Gap,
  OOM: OutOfMemory,
  WRONGTYPE: WrongType,
  ERR: BadArgument,
};

/** The error as one of these classes, or itself if it is none of Holdfast's. */
export function refusal(error: unknown): unknown {
  if (!(error instanceof Error) || error.message.startsWith("ERR unknown command")) return error;
  const kind = BY_CODE[error.message.split(" ", 1)[0] ?? ""];
  return kind ? new kind(error.message, { cause: error }) : error;
}

/** Codes of the server that say that no attempt will succeed. */
const FINAL = /^(NOAUTH|NOPERM|WRONGPASS|ERR) /;

/** Whether the same call may succeed later: the connection broke, or the server cannot answer now. */
export function isPassing(error: unknown): boolean {
  if (error instanceof HoldfastError) return error instanceof OutOfMemory;
  if (error instanceof TypeError || error instanceof RangeError) return false;
  return error instanceof Error && !FINAL.test(error.message);
}
