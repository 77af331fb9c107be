/**
 * A trace goes through an order: W3C trace context in DATA, from who placed it to who works on it. OpenTelemetry is
 * used where it is installed, and not needed.
 */

import { createRequire } from "node:module";

import type { ClaimedOrder } from "./types.js";

type Api = typeof import("@opentelemetry/api");

const api = ((): Api | undefined => {
  try {
    return createRequire(import.meta.url)("@opentelemetry/api") as Api;
  } catch {
    return undefined;
  }
})();

const FIELDS = ["traceparent", "tracestate"] as const;

/** The W3C trace context in the data of an order. */
export type TraceContext = { traceparent?: string; tracestate?: string };

/**
 * The data of an order, with the context of the current span as `traceparent` and `tracestate`. Call it once for an
 * order and keep what it returns: a call that is sent again must have the same data.
 */
export function traced<T extends object>(data: T): T & TraceContext {
  const carrier: Record<string, string> = {};
  api?.propagation.inject(api.context.active(), carrier);
  return { ...data, ...contextOf(carrier) };
}

/** The trace context in the data of an order, as far as it is there. */
export function contextOf(data: unknown): TraceContext {
  if (typeof data !== "object" || data === null) return {};
  const found = data as Record<string, unknown>;
  return Object.fromEntries(FIELDS.flatMap((name) => (typeof found[name] === "string" ? [[name, found[name]]] : [])));
}

/** Does some work in a span of the order's trace. */
export async function inSpan<T>(store: string, order: ClaimedOrder, work: () => Promise<T>): Promise<T> {
  if (!api) return work();
  const { context, propagation, SpanKind, SpanStatusCode, trace } = api;
  const parent = propagation.extract(context.active(), contextOf(order.data));
  const attributes = {
    "messaging.system": "holdfast",
    "messaging.operation.type": "process",
    "messaging.destination.name": store,
    "messaging.message.id": order.order,
    "holdfast.attempt": order.attempt,
  };
  const tracer = trace.getTracer("holdfast");
  return tracer.startActiveSpan(`process ${store}`, { kind: SpanKind.CONSUMER, attributes }, parent, async (span) => {
    try {
      return await work();
    } catch (error) {
      span.recordException(error as Error);
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}
