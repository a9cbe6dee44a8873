import { ledgerConfig } from '../config.ts';
import { type CommandFactory, command, example, Failure, option } from './command.ts';
import { planText } from './device-text.ts';
import { readInput } from './files.ts';
import { withLedgerPool } from './ledger-pool.ts';
import { addLedgerOptions, configOf } from './store-options.ts';

/** Ten thousand devices with several keys each. */
const fileBytesMax = 16 * 1024 * 1024;

type Options = { file: string; dryRun: boolean; prune: boolean };

export const deviceApply: CommandFactory = (io) => {
  const applying = addLedgerOptions(
    command(io, 'apply', 'Make the registry as a YAML or JSON file says, all of it or nothing'),
  )
    .addOption(option('-f, --file <file>', 'the devices; - = stdin').makeOptionMandatory())
    .addOption(option('--dry-run', 'print what would change, change nothing').default(false))
    .addOption(option('--prune', 'suspend devices and revoke keys that the file does not name').default(false))
    .addHelpText('after', example('eds device apply -f devices.yaml --dry-run'))
    .addHelpText('after', fileHelp)
    .action(async ({ file, dryRun, prune }: Options) => {
      const { parseDeviceFile } = await import('./device-file.ts');
      const { applyDevices } = await import('../ledger/device-apply.ts');
      const { RegistryError } = await import('../ledger/device-registry.ts');
      const config = configOf(applying, ledgerConfig);
      const specs = parseDeviceFile((await readInput(file, '--file', io, fileBytesMax)).toString('utf8'), file);
      try {
        const plan = await withLedgerPool(config, 'edgesentry device', (pool) =>
          applyDevices(pool, specs, { prune, dryRun }),
        );
        const count = plan.changes.length;
        const outcome = count === 0 ? 'nothing to change' : `${count} ${count === 1 ? 'change' : 'changes'}`;
        io.stdout.write(`${planText(plan)}${outcome}${dryRun && count > 0 ? ', none made (--dry-run)' : ''}\n`);
      } catch (error) {
        throw error instanceof RegistryError ? new Failure(error.message) : error;
      }
    });
  return applying;
};

const fileHelp = `
The file; what is left out stays as it is, null takes a value away:
  devices:
    - id: lift-01
      site: north tower
      enabled: true
      keys:
        - public_key: 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c
          scheme: payload-v1            # or record-v2
          valid_from: 2026-01-31T12:00:00Z
          valid_until: null
          revoked: false
`;
