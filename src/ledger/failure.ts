import pg from 'pg';
import { BatchRefused, OutcomeUnknown, Unavailable } from '../ingest/ports.ts';

/**
 * SQLSTATEs that Postgres sends while it ends the connection (PostgreSQL documentation, appendix A). The statement may
 * have been committed by then, as when the server is stopped while a commit waits for its standby.
 */
const connectionEnds = /^(08|57P0)/;
/** Data exception, integrity constraint violation, program limit: this statement can never succeed. */
const dataFaults = /^(22|23|54)/;

/** A failed read or a statement that was not sent: nothing has changed. */
export function unavailable(what: string, error: unknown): Unavailable {
  return new Unavailable('ledger', `${what}: ${reason(error)}`, { cause: error });
}

/** A failed write: unknown unless Postgres itself said that it failed and the connection lives on. */
export function writeFailure(what: string, error: unknown): Unavailable {
  const code = error instanceof pg.DatabaseError ? (error.code ?? '') : undefined;
  const message = `${what}: ${reason(error)}`;
  if (code === undefined || connectionEnds.test(code)) return new OutcomeUnknown('ledger', message, { cause: error });
  if (dataFaults.test(code)) return new BatchRefused('ledger', message, { cause: error });
  return new Unavailable('ledger', message, { cause: error });
}

/** Postgres's text without its DETAIL, which can quote values. */
function reason(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
