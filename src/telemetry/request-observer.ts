import type { Sender } from '../ingest/ports.ts';
import type { RateLimited } from '../ingest/rate-limits.ts';
import type { RefusalCode } from '../record/rejection.ts';
import type { Metrics } from './metrics.ts';
import type { TelemetryObserver } from './observer.ts';
import { type IncomingHeaders, type ServerSpan, startServerSpan } from './server-span.ts';

/** Where no route matched: one label value for every path that anybody makes up. */
const noRoute = 'none';

export type StartedRequest = {
  readonly method: string;
  /** The matched route's pattern, undefined where none matches. */
  readonly route: string | undefined;
  readonly path: string;
  readonly headers: IncomingHeaders;
};

/** Shows HTTP requests as spans, durations and, where they are refused, log lines. */
export class RequestTelemetry {
  readonly #metrics: Metrics;
  readonly #observer: TelemetryObserver;

  constructor(metrics: Metrics, observer: TelemetryObserver) {
    this.#metrics = metrics;
    this.#observer = observer;
  }

  started({ method, route = noRoute, path, headers }: StartedRequest): ObservedRequest {
    const span = startServerSpan(`${method} ${route}`, headers, {
      'http.request.method': method,
      'http.route': route,
      'url.path': path,
      'url.scheme': 'http',
    });
    return new ObservedRequest(this.#metrics, span, method, route);
  }

  /** A request, or a line of a batch, that never became a record to judge. */
  refused(code: RefusalCode, detail: string, sender: Sender): void {
    this.#observer.requestRefused(code, detail, sender);
  }

  /** The same, answered `rate_limited`. */
  limited(limit: RateLimited['limit'], sender: Sender): void {
    this.#observer.requestLimited(limit, sender);
  }
}

class ObservedRequest {
  readonly trace: ServerSpan;
  readonly #metrics: Metrics;
  readonly #method: string;
  readonly #route: string;
  readonly #startMs = performance.now();

  constructor(metrics: Metrics, span: ServerSpan, method: string, route: string) {
    this.trace = span;
    this.#metrics = metrics;
    this.#method = method;
    this.#route = route;
  }

  ended(statusCode: number): void {
    const seconds = (performance.now() - this.#startMs) / 1000;
    // The route fixes the method; of a request without one, both are the sender's to choose.
    const method = this.#route === noRoute ? noRoute : this.#method;
    this.#metrics.httpRequest({ method, route: this.#route, statusCode, seconds });
    this.trace.end(statusCode);
  }
}
