import type { Command } from 'commander';
import { parseEnrolment } from '../record/enrolment.ts';
import type { SignatureScheme } from '../record/signature.ts';
import { Failure, type Io, option, UsageError } from './command.ts';
import { readInput } from './files.ts';
import { publicKey, scheme } from './values.ts';

/** An enrolment has some six hundred bytes at most. */
const enrolmentBytesMax = 4096;

type KeyOptions = { publicKey?: Buffer; scheme?: SignatureScheme; enrolment?: string; requireProof: boolean };

/** A key as the command line gives it. Without a scheme where it names none. */
export type GivenKey = {
  readonly publicKey: Buffer;
  readonly scheme: SignatureScheme | undefined;
  readonly proof: Buffer | undefined;
};

export function addKeyOptions(command: Command, schemeHelp: string): Command {
  return command
    .addOption(option('--enrolment <file>', 'the key, as `eds device enrol` wrote it with its proof; - = stdin'))
    .addOption(option('--public-key <hex>', 'the Ed25519 public key, without a proof', publicKey))
    .addOption(option('--scheme <scheme>', `what it signs: payload-v1 or record-v2${schemeHelp}`, scheme))
    .addOption(requireProofOption('refuse a key without a proof of possession'));
}

export const requireProofOption = (description: string) => option('--require-proof', description).default(false);

/**
 * The key for device `id`. Flags win over variables.
 * @throws UsageError when there is none, or two; Failure when the enrolment does not hold for this device
 */
export async function readGivenKey(command: Command, id: string, io: Io): Promise<GivenKey> {
  const options = command.opts<KeyOptions>();
  const isArgument = (name: keyof KeyOptions) => command.getOptionValueSource(name) === 'cli';
  const bare = isArgument('publicKey') || isArgument('scheme');
  if (isArgument('enrolment') && bare)
    throw new UsageError('--enrolment names key and scheme: leave out --public-key and --scheme');
  if (options.enrolment !== undefined && !bare) return readEnrolment(options.enrolment, id, io);
  if (options.publicKey === undefined) throw new UsageError('give the key: --enrolment, or --public-key and --scheme');
  if (options.requireProof)
    throw new UsageError("--require-proof: give --enrolment, as 'eds device enrol' writes it on the device's side");
  return { publicKey: options.publicKey, scheme: options.scheme, proof: undefined };
}

async function readEnrolment(path: string, id: string, io: Io): Promise<GivenKey> {
  const text = await readInput(path, '--enrolment', io, enrolmentBytesMax);
  const enrolment = parseEnrolment(text.toString('utf8').trim());
  if ('fault' in enrolment) throw new Failure(`--enrolment: '${path}' ${enrolment.fault}`);
  const { deviceId, key, proof } = enrolment;
  if (deviceId !== id) throw new Failure(`--enrolment: '${path}' is for device ${deviceId}, not for ${id}`);
  return { ...key, proof };
}
