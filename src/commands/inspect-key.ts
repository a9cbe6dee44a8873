import { type CommandFactory, command, example, option } from './command.ts';
import { addPrivateKeyOptions, readPrivateKey } from './private-key.ts';

export const inspectKey: CommandFactory = (io) => {
  const inspect = command(io, 'inspect-key', 'Print the public key of a private key, as JSON with public_key_hex')
    .addOption(option('--json', 'print the JSON on one line').default(false))
    .addHelpText('after', example('eds inspect-key --private-key-file lift-01.key'))
    .action(async ({ json }: { json: boolean }) => {
      const { publicKey } = await readPrivateKey(inspect, io);
      const value = { public_key_hex: publicKey.toString('hex') };
      io.stdout.write(`${JSON.stringify(value, undefined, json ? undefined : 2)}\n`);
    });
  return addPrivateKeyOptions(inspect);
};
