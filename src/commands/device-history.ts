import { type CommandFactory, command, example, option } from './command.ts';
import { withRegistryPool } from './device-access.ts';
import { historyJson, historyText } from './device-text.ts';
import { addLedgerOptions } from './store-options.ts';
import { wholeNumber } from './values.ts';

/** A screenful or two; and what memory holds without thinking about it. */
const entriesDefault = 100;
const entriesMax = 10_000;

export const deviceHistory: CommandFactory = (io) => {
  const reading = addLedgerOptions(
    command(io, 'history', 'Who changed the registry, what and when, from the operation log; newest last'),
  )
    .argument('[id]', 'of this device; of every one otherwise')
    .addOption(option('--limit <n>', 'the last so many', wholeNumber(1, entriesMax)).default(entriesDefault))
    .addOption(option('--json', 'print JSON').default(false))
    .addHelpText('after', example('eds device history lift-01', 'eds device history --limit 1000 --json'))
    .action(async (deviceId: string | undefined, { limit, json }: { limit: number; json: boolean }) => {
      const { readDeviceHistory } = await import('../ledger/device-history.ts');
      const entries = await withRegistryPool(reading, (pool) => readDeviceHistory(pool, { deviceId, limit }));
      io.stdout.write(json ? historyJson(entries) : historyText(entries));
      if (entries.length === 0) io.stderr.write('the operation log has no such change\n');
    });
  return reading;
};
