import type { Command } from 'commander';
import { ledgerConfig } from '../config.ts';
import type { DeviceRegistry } from '../ledger/device-registry.ts';
import type { SignatureScheme } from '../record/signature.ts';
import { type CommandFactory, command, example, Failure, option, UsageError } from './command.ts';
import { deviceApply } from './device-apply.ts';
import { devicesJson, devicesTable } from './device-text.ts';
import { withLedgerPool } from './ledger-pool.ts';
import { addLedgerOptions, configOf } from './store-options.ts';
import { duration, isoTime } from './times.ts';
import { publicKey, scheme } from './values.ts';

export const device: CommandFactory = (io) => {
  const parent = command(io, 'device', 'The registry: which devices may send, and with which keys');
  for (const make of [register, list, rotate, revoke, suspend, resume, deviceApply]) parent.addCommand(make(io));
  return parent;
};

type Register = { publicKey: Buffer; scheme: SignatureScheme; site?: string; validFrom?: Date; validUntil?: Date };

const register: CommandFactory = (io) => {
  const registering = addLedgerOptions(
    command(io, 'register', 'Register a device, or one more key of it; again changes nothing'),
  )
    .argument('<id>', 'device id, also the prefix of its objects')
    .addOption(option('--public-key <hex>', 'Ed25519 public key', publicKey).makeOptionMandatory())
    .addOption(option('--scheme <scheme>', 'what the key signs: payload-v1 or record-v2', scheme).makeOptionMandatory())
    .addOption(option('--site <name>', 'where the device is'))
    .addOption(option('--valid-from <time>', 'when the key begins to count; now otherwise', isoTime))
    .addOption(option('--valid-until <time>', 'when the key ends to count; never otherwise', isoTime))
    .addHelpText('after', example('eds device register lift-01 --public-key 8a88e3dd... --scheme payload-v1'))
    .action(async (id: string, { site, ...key }: Register) => {
      await withRegistry(registering, (registry) => registry.register(id, key, site));
      io.stdout.write(`registered ${id} with ${key.scheme}:${key.publicKey.toString('hex')}\n`);
    });
  return registering;
};

const list: CommandFactory = (io) => {
  const listing = addLedgerOptions(command(io, 'list', 'Every device with its keys'))
    .addOption(option('--json', 'in the form that `eds device apply` reads').default(false))
    .action(async ({ json }: { json: boolean }) => {
      const devices = await withRegistry(listing, (registry) => registry.list());
      io.stdout.write(json ? devicesJson(devices) : devicesTable(devices));
    });
  return listing;
};

const rotate: CommandFactory = (io) => {
  const rotating = addLedgerOptions(command(io, 'rotate', "Add a key and end the device's other keys after an overlap"))
    .argument('<id>', 'device id')
    .addOption(option('--public-key <hex>', 'the new Ed25519 public key', publicKey).makeOptionMandatory())
    .addOption(option('--scheme <scheme>', "what it signs; as the device's newest key otherwise", scheme))
    .addOption(
      option('--overlap <duration>', 'how long both keys count', duration).default(duration('24h', '--overlap'), '24h'),
    )
    .addHelpText('after', example('eds device rotate lift-01 --public-key 91c4... --scheme record-v2 --overlap 7d'))
    .action(async (id: string, options: { publicKey: Buffer; scheme?: SignatureScheme; overlap: number }) => {
      const key = await withRegistry(rotating, async (registry) => {
        const newest = (await registry.find(id))?.keys.at(-1);
        const newScheme = options.scheme ?? newest?.scheme;
        if (newScheme === undefined) throw new UsageError(`--scheme is needed: device ${id} has no key yet`);
        const key = { publicKey: options.publicKey, scheme: newScheme };
        await registry.rotate(id, key, options.overlap);
        return key;
      });
      io.stdout.write(`rotated ${id} to ${key.scheme}:${key.publicKey.toString('hex')}\n`);
    });
  return rotating;
};

const revoke: CommandFactory = (io) => {
  const revoking = addLedgerOptions(
    command(io, 'revoke', 'Revoke a key at once: what it signs is refused from now on, what it signed stays valid'),
  )
    .argument('<id>', 'device id')
    .addOption(option('--public-key <hex>', 'the key', publicKey))
    .addOption(option('--all', 'every key of the device').default(false))
    .action(async (id: string, { publicKey, all }: { publicKey?: Buffer; all: boolean }) => {
      if ((publicKey !== undefined) === all) throw new UsageError('give --public-key, or --all, and not both');
      const count = await withRegistry(revoking, (registry) => registry.revoke(id, publicKey));
      io.stdout.write(`revoked ${count} ${count === 1 ? 'key' : 'keys'} of ${id}\n`);
    });
  return revoking;
};

const suspend = enabling('suspend', false, 'Refuse whatever the device sends, until it is resumed');
const resume = enabling('resume', true, 'Take what a suspended device sends again');

function enabling(name: string, enabled: boolean, description: string): CommandFactory {
  return (io) => {
    const setting = addLedgerOptions(command(io, name, description))
      .argument('<id>', 'device id')
      .action(async (id: string) => {
        await withRegistry(setting, (registry) => registry.setEnabled(id, enabled));
        io.stdout.write(`${enabled ? 'resumed' : 'suspended'} ${id}\n`);
      });
    return setting;
  };
}

/** @throws Failure with the registry's reason */
async function withRegistry<T>(command: Command, work: (registry: DeviceRegistry) => Promise<T>): Promise<T> {
  const { DeviceRegistry, RegistryError } = await import('../ledger/device-registry.ts');
  try {
    return await withLedgerPool(configOf(command, ledgerConfig), 'edgesentry device', (pool) =>
      work(new DeviceRegistry(pool)),
    );
  } catch (error) {
    throw error instanceof RegistryError ? new Failure(error.message) : error;
  }
}
