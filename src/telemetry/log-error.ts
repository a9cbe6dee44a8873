/** An error as a log line shows it. */
export type LoggedError = {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: LoggedError;
};

/** Longer chains of causes say nothing new, and one may be circular. */
const causesMax = 4;
/** Characters. A server's own message may quote a whole statement. */
const textMax = 4096;

/**
 * Type, message, code, stack and causes of an error, and nothing else of it: what libraries hang on their errors (the
 * request, its headers, the connection's options) carries credentials. Credentials in URLs are blanked.
 */
export function describeError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: clean(String(error)) };
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const stack = depth === 0 && error.stack !== undefined ? { stack: clean(error.stack) } : {};
  const cause = error.cause !== undefined && depth < causesMax ? { cause: describeError(error.cause, depth + 1) } : {};
  return { type: error.name, message: clean(error.message), ...code, ...stack, ...cause };
}

function clean(text: string): string {
  return text.replaceAll(/:\/\/\S*@/g, '://[Redacted]@').slice(0, textMax);
}
