import { deviceIdFault } from '../record/device.ts';
import { formatEnrolment } from '../record/enrolment.ts';
import type { SignatureScheme } from '../record/signature.ts';
import { type CommandFactory, command, example, option, UsageError } from './command.ts';
import { writeOutput } from './files.ts';
import { addPrivateKeyOptions, readPrivateKey } from './private-key.ts';
import { scheme } from './values.ts';

type Options = { deviceId: string; scheme: SignatureScheme; out?: string; force: boolean };

/** On the device's side: nothing here needs the registry. */
export const deviceEnrol: CommandFactory = (io) => {
  const enrolling = command(
    io,
    'enrol',
    "On the device's side: ask for its key to be registered, with a proof that the private key is here",
  )
    .addOption(option('--device-id <id>', 'the device').makeOptionMandatory())
    .addOption(
      option('--scheme <scheme>', 'what the key will sign: payload-v1 or record-v2', scheme).default('record-v2'),
    )
    .addOption(option('--out <file>', 'write the enrolment here instead of to stdout; it holds nothing secret'))
    .addOption(option('--force', 'replace an existing --out file').default(false))
    .addHelpText(
      'after',
      example(
        'eds device enrol --device-id lift-01 --private-key-file lift-01.key --out lift-01.enrolment.json',
        'eds device register lift-01 --enrolment lift-01.enrolment.json',
      ),
    )
    .action(async ({ deviceId, scheme, out, force }: Options) => {
      const fault = deviceIdFault(deviceId);
      if (fault !== undefined) throw new UsageError(`--device-id '${deviceId}': ${fault}`);
      const { provePossession } = await import('../record/possession.ts');
      const key = await readPrivateKey(enrolling, io);
      const proof = provePossession(deviceId, scheme, key);
      const text = `${formatEnrolment({ deviceId, key: { scheme, publicKey: key.publicKey }, proof })}\n`;
      if (out === undefined) io.stdout.write(text);
      else await writeOutput(text, { path: out, flag: '--out', force });
    });
  return addPrivateKeyOptions(enrolling);
};
