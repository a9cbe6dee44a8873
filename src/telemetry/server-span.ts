import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { Stage } from '../ingest/ports.ts';

/** The name of our tracer, the instrumentation scope of every span. */
const scope = 'edgesentry';
/** Stage spans of one request. A batch would make four a record; its first records already show the shape. */
const stageSpansMax = 128;

/** What is known of an HTTP request when it is routed, by OpenTelemetry's names. */
export type HttpServerAttributes = {
  readonly 'http.request.method': string;
  /** The route's pattern. */
  readonly 'http.route': string;
  readonly 'url.path': string;
  readonly 'url.scheme': 'http' | 'https';
  readonly 'server.address'?: string;
  readonly 'server.port'?: number;
  /** The sender, behind trusted proxies. */
  readonly 'client.address'?: string;
  readonly 'network.protocol.version'?: string;
  readonly 'user_agent.original'?: string;
};

/** The headers of a request as node:http has them. */
export type IncomingHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The span of one request. It is what `Sender.trace` holds, so that the stages of its records become its children. */
export class ServerSpan {
  readonly #span: Span;
  readonly #context: Context;
  readonly #recording: boolean;
  #stageSpans = 0;

  constructor(span: Span, parent: Context) {
    this.#span = span;
    this.#context = trace.setSpan(parent, span);
    this.#recording = span.isRecording();
  }

  /** For log lines; undefined when no SDK runs. */
  get ids(): { readonly trace_id: string; readonly span_id: string } | undefined {
    const { traceId, spanId } = this.#span.spanContext();
    return trace.isSpanContextValid(this.#span.spanContext()) ? { trace_id: traceId, span_id: spanId } : undefined;
  }

  /** Adds a finished child. @param startMs and `endMs` milliseconds since the Unix epoch, with fractions */
  stage(stage: Stage, startMs: number, endMs: number): void {
    if (!this.#recording || this.#stageSpans++ >= stageSpansMax) return;
    trace.getTracer(scope).startSpan(stage, { startTime: startMs }, this.#context).end(endMs);
  }

  /** Writes the W3C trace context of this span into the headers of an outgoing request. */
  inject(headers: Record<string, string>): void {
    propagation.inject(this.#context, headers);
  }

  /** Call once, when the response has been sent or given up. */
  end(statusCode: number): void {
    if (this.#recording) {
      this.#span.setAttribute('http.response.status_code', statusCode);
      // A refused record is the sender's failure; only ours mark the span.
      if (statusCode >= 500) this.#span.setStatus({ code: SpanStatusCode.ERROR });
      if (this.#stageSpans > stageSpansMax) {
        this.#span.setAttribute('edgesentry.stage_spans_omitted', this.#stageSpans - stageSpansMax);
      }
    }
    this.#span.end();
  }
}

/**
 * Starts the span of a request, as a child of the span that its headers name. Without an SDK this costs next to nothing
 * and all that follows from it is void.
 * @param name `METHOD route`
 */
export function startServerSpan(name: string, headers: IncomingHeaders, attributes: HttpServerAttributes): ServerSpan {
  const parent = propagation.extract(ROOT_CONTEXT, headers);
  const options = { kind: SpanKind.SERVER, attributes: attributes as Attributes };
  return new ServerSpan(trace.getTracer(scope).startSpan(name, options, parent), parent);
}

/** Writes the W3C trace context of the work at hand into the headers of an outgoing request. */
export function injectTraceContext(headers: Record<string, string>): void {
  propagation.inject(context.active(), headers);
}
