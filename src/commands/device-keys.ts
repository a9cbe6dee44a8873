import type { SignatureScheme } from '../record/signature.ts';
import { type CommandFactory, command, example, option, UsageError } from './command.ts';
import { addRegistryOptions, withRegistry } from './device-access.ts';
import { addKeyOptions, readGivenKey } from './device-key-options.ts';
import { duration, isoTime } from './times.ts';
import { publicKey } from './values.ts';

type Register = { site?: string; validFrom?: Date; validUntil?: Date };

export const register: CommandFactory = (io) => {
  const registering = addKeyOptions(
    addRegistryOptions(command(io, 'register', 'Register a device, or one more key of it; again changes nothing')),
    '',
  )
    .argument('<id>', 'device id, also the prefix of its objects')
    .addOption(option('--site <name>', 'where the device is'))
    .addOption(option('--valid-from <time>', 'when the key begins to count; now otherwise', isoTime))
    .addOption(option('--valid-until <time>', 'when the key ends to count; never otherwise', isoTime))
    .addHelpText(
      'after',
      example(
        'eds device register lift-01 --enrolment lift-01.enrolment.json',
        'eds device register lift-01 --public-key 8a88e3dd... --scheme payload-v1',
      ),
    )
    .action(async (id: string, { site, validFrom, validUntil }: Register) => {
      const { scheme, ...given } = await readGivenKey(registering, id, io);
      // Not taken for granted: a forgotten flag must not register the weaker one.
      if (scheme === undefined) throw new UsageError('--scheme is needed with --public-key');
      const key = { ...given, scheme };
      await withRegistry(registering, (registry) => registry.register(id, { ...key, validFrom, validUntil }, site));
      io.stdout.write(`registered ${id} with ${keyText(key)}\n`);
    });
  return registering;
};

export const rotate: CommandFactory = (io) => {
  const rotating = addKeyOptions(
    addRegistryOptions(command(io, 'rotate', "Add a key and end the device's other keys after an overlap")),
    "; as the device's newest key otherwise",
  )
    .argument('<id>', 'device id')
    .addOption(
      option('--overlap <duration>', 'how long both keys count', duration).default(duration('24h', '--overlap'), '24h'),
    )
    .addHelpText('after', example('eds device rotate lift-01 --enrolment lift-01.new.json --overlap 7d'))
    .action(async (id: string, { overlap }: { overlap: number }) => {
      const given = await readGivenKey(rotating, id, io);
      const key = await withRegistry(rotating, async (registry) => {
        const scheme = given.scheme ?? (await registry.find(id))?.keys.at(-1)?.scheme;
        if (scheme === undefined) throw new UsageError(`--scheme is needed: device ${id} has no key yet`);
        const key = { ...given, scheme };
        await registry.rotate(id, key, overlap);
        return key;
      });
      io.stdout.write(`rotated ${id} to ${keyText(key)}\n`);
    });
  return rotating;
};

export const revoke: CommandFactory = (io) => {
  const revoking = addRegistryOptions(
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

function keyText({
  scheme,
  publicKey,
  proof,
}: {
  scheme: SignatureScheme;
  publicKey: Buffer;
  proof?: Buffer | undefined;
}) {
  return `${scheme}:${publicKey.toString('hex')}${proof === undefined ? '' : ', proven'}`;
}
