import { type CommandFactory, command, example, option } from './command.ts';
import { actorOf, addRegistryOptions, withRegistryPool } from './device-access.ts';
import { requireProofOption } from './device-key-options.ts';
import { planText } from './device-text.ts';
import { readInput } from './files.ts';

/** Ten thousand devices with several keys each. */
const fileBytesMax = 16 * 1024 * 1024;

type Options = { file: string; dryRun: boolean; prune: boolean; requireProof: boolean };

export const deviceApply: CommandFactory = (io) => {
  const applying = addRegistryOptions(
    command(io, 'apply', 'Make the registry as a YAML or JSON file says, all of it or nothing'),
  )
    .addOption(option('-f, --file <file>', 'the devices; - = stdin').makeOptionMandatory())
    .addOption(option('--dry-run', 'print what would change, change nothing').default(false))
    .addOption(option('--prune', 'suspend devices and revoke keys that the file does not name').default(false))
    .addOption(requireProofOption('refuse keys that would count without a proof of possession'))
    .addHelpText('after', example('eds device apply -f devices.yaml --dry-run'))
    .addHelpText('after', fileHelp)
    .action(async ({ file, dryRun, prune, requireProof }: Options) => {
      const { parseDeviceFile } = await import('./device-file.ts');
      const { applyDevices } = await import('../ledger/device-apply.ts');
      const specs = parseDeviceFile((await readInput(file, '--file', io, fileBytesMax)).toString('utf8'), file);
      const options = { prune, requireProof, dryRun, actor: actorOf(applying) };
      const plan = await withRegistryPool(applying, (pool) => applyDevices(pool, specs, options));
      const count = plan.changes.length;
      const outcome = count === 0 ? 'nothing to change' : `${count} ${count === 1 ? 'change' : 'changes'}`;
      io.stdout.write(`${planText(plan)}${outcome}${dryRun && count > 0 ? ', none made (--dry-run)' : ''}\n`);
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
          proof: 5d0c...                # of 'eds device enrol'; checked, and kept
      gateways: [gateway-7.example]     # exactly these; [] = none
`;
