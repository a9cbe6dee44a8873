import { hostname, userInfo } from 'node:os';
import type { Command } from 'commander';
import { ledgerConfig } from '../config.ts';
import type { DeviceRegistry } from '../ledger/device-registry.ts';
import { textFault } from '../record/text.ts';
import { Failure, option, UsageError, type ValueParser } from './command.ts';
import { type LedgerPool, withLedgerPool } from './ledger-pool.ts';
import { addLedgerOptions, configOf } from './store-options.ts';

/** As much of it as the operation log keeps. */
const actorBytesMax = 255;

const actor: ValueParser<string> = (text, name) => {
  const fault = textFault(text, actorBytesMax);
  if (fault !== undefined) throw new UsageError(`${name} ${fault}`);
  return text;
};

/** Of every command that changes the registry. */
export function addRegistryOptions(command: Command): Command {
  return addLedgerOptions(command).addOption(
    option('--actor <name>', 'who makes the change, for the operation log; user@host of this system otherwise', actor),
  );
}

/** Who the command line says makes the change. */
export function actorOf(command: Command): string {
  const { actor } = command.opts<{ actor?: string }>();
  return actor ?? `${userName()}@${hostname()}`;
}

/** A container's user may have a number and no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.()}`;
  }
}

/** @throws Failure with the registry's reason */
export async function withRegistry<T>(command: Command, work: (registry: DeviceRegistry) => Promise<T>): Promise<T> {
  const { DeviceRegistry } = await import('../ledger/device-registry.ts');
  return withRegistryPool(command, (pool) => work(new DeviceRegistry(pool, actorOf(command))));
}

/** @throws Failure with the registry's reason */
export async function withRegistryPool<T>(command: Command, work: (pool: LedgerPool) => Promise<T>): Promise<T> {
  const { RegistryError } = await import('../ledger/device-registry.ts');
  try {
    return await withLedgerPool(configOf(command, ledgerConfig), 'edgesentry device', work);
  } catch (error) {
    throw error instanceof RegistryError ? new Failure(error.message) : error;
  }
}
