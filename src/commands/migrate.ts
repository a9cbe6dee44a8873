import { ledgerConfig } from '../config.ts';
import { type CommandFactory, command, example, option } from './command.ts';
import { addLedgerOptions, configOf } from './store-options.ts';

export const migrate: CommandFactory = (io) => {
  const migrating = addLedgerOptions(
    command(io, 'migrate', "Bring the ledger's schema up to date; again changes nothing"),
  )
    .addOption(
      option('--service-role <role>', 'an existing role that gets just what `eds serve` needs: insert and select'),
    )
    .addOption(
      option('--allow-newer', 'after a rollback: a schema newer than this program is good enough').default(false),
    )
    .addHelpText(
      'after',
      example('DATABASE_URL=postgres://owner@db/edgesentry eds migrate --service-role edgesentry_service'),
    )
    .action(async ({ serviceRole, allowNewer }: { serviceRole?: string; allowNewer: boolean }) => {
      const { databaseUrl } = configOf(migrating, ledgerConfig);
      const { migrate: run } = await import('../ledger/migrate.ts');
      const version = await run({ databaseUrl, serviceRole, allowNewer, log: (line) => io.stdout.write(`${line}\n`) });
      io.stdout.write(`schema version ${version}\n`);
    });
  return migrating;
};
