import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';
import { describeError } from './log-error.ts';

/** The usual levels; `silent` for none. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export type LoggerOptions = {
  readonly level: LogLevel;
  /** A file descriptor, 1 for standard output. */
  readonly fd: number;
  /** Told of each line that was dropped because the reader of the log is too slow. */
  readonly onDropped?: () => void;
};

export type Logger = PinoLogger<never>;

/** Bytes gathered before a write: some ten lines, so that a write is not paid for by each. Less than a pipe holds. */
const writeBytesMin = 4096;
/** The longest that a line waits for others. */
const flushIntervalMs = 200;
/** Lines in memory while the log is not read; past it lines are dropped and counted, never the service stopped. */
const bufferBytesMax = 4 * 1024 * 1024;
/** How long the last lines may take to leave when the logger is closed. */
const flushDeadlineMs = 1000;

/** Names under which a secret or a payload could come into a line by mistake, at the top or in a nested object. */
const secretFields = [
  'authorization',
  'cookie',
  'password',
  'private_key',
  'private_key_hex',
  'privateKey',
  'privateKeyHex',
  'secret_access_key',
  'secretAccessKey',
  'session_token',
  'sessionToken',
  'database_url',
  'databaseUrl',
  'connectionString',
  'raw_payload_hex',
  'payload',
];
/** Where requests and configuration hang when somebody logs them whole. */
const nests = ['headers', 'config', 'options', 'record', 'envelope', 'credentials'];

/** JSON lines on `destination`: `level`, ISO `time`, `message` and the fields. */
export function createLoggerOn(stream: DestinationStream, level: LogLevel): Logger {
  return pino(
    {
      level,
      messageKey: 'message',
      errorKey: 'error',
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError },
      redact: [...secretFields, ...nests.flatMap((nest) => secretFields.map((field) => `${nest}.${field}`))],
    },
    stream,
  );
}

/**
 * A logger that never makes the service wait: lines are gathered and written in the background. What is left when the
 * process exits is written then; disposing writes it before, so that nothing is cut off in a pipe.
 */
export function openLogger({ level, fd, onDropped }: LoggerOptions): { logger: Logger } & AsyncDisposable {
  const stream = destination({
    dest: fd,
    sync: false,
    minLength: writeBytesMin,
    maxLength: bufferBytesMax,
    periodicFlush: flushIntervalMs,
  });
  stream.on('drop', () => onDropped?.());
  const flush = () => new Promise<void>((resolve) => stream.flush(() => resolve()));
  return {
    logger: createLoggerOn(stream, level),
    async [Symbol.asyncDispose]() {
      const deadline = Promise.withResolvers<void>();
      const timer = setTimeout(deadline.resolve, flushDeadlineMs);
      // The first waits for the write that is under way, the second writes what came in meanwhile.
      await Promise.race([flush().then(flush), deadline.promise]);
      clearTimeout(timer);
    },
  };
}
