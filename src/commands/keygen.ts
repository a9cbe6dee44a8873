import { type CommandFactory, command, example, option } from './command.ts';
import { writeOutput } from './files.ts';

type Options = { out?: string; force: boolean; json: boolean };

export const keygen: CommandFactory = (io) =>
  command(io, 'keygen', 'Make an Ed25519 key pair for a device; prints JSON with private_key_hex and public_key_hex')
    .addOption(option('--out <file>', 'write the pair here, for the owner alone (0600), and print the public key only'))
    .addOption(option('--force', 'replace an existing --out file').default(false))
    .addOption(option('--json', 'print the JSON on one line').default(false))
    .addHelpText('after', example('eds keygen --out lift-01.key'))
    .action(async ({ out, force, json }: Options) => {
      const { generateSigningKey } = await import('../record/signing-key.ts');
      const { seed, publicKey } = generateSigningKey();
      const publicPart = { public_key_hex: publicKey.toString('hex') };
      const pair = { private_key_hex: seed.toString('hex'), ...publicPart };
      const text = (value: object) => `${JSON.stringify(value, undefined, json ? undefined : 2)}\n`;
      if (out !== undefined) await writeOutput(text(pair), { path: out, flag: '--out', force, secret: true });
      io.stdout.write(text(out === undefined ? pair : publicPart));
    });
