import { blake3Hash, recordHash } from '../record/hash.ts';
import { ParseError, parseRecord } from '../record/parse.ts';
import type { DeviceRecord } from '../record/record.ts';
import { type SignatureScheme, signatureSchemes, verifySignature } from '../record/signature.ts';
import { type CommandFactory, command, example, Failure, type Io, option } from './command.ts';
import { readInput } from './files.ts';
import { publicKey as publicKeyValue, scheme as schemeValue } from './values.ts';

type Options = {
  recordFile: string;
  publicKeyHex: Buffer;
  scheme: SignatureScheme;
  payloadFile?: string;
  json: boolean;
};

export const verifyRecord: CommandFactory = (io) =>
  command(io, 'verify-record', "Verify one record's signature, and its payload where that is given")
    .addOption(option('--record-file <file>', 'the record as JSON; - = stdin').makeOptionMandatory())
    .addOption(option('--public-key-hex <hex>', "the device's public key", publicKeyValue).makeOptionMandatory())
    .addOption(
      option('--scheme <scheme>', 'what is signed: payload-v1 or record-v2', schemeValue).default('payload-v1'),
    )
    .addOption(option('--payload-file <file>', 'the payload, to be held against payload_hash'))
    .addOption(option('--json', 'print the outcome as JSON').default(false))
    .addHelpText('after', example('eds verify-record --record-file record-1.json --public-key-hex 8a88e3dd...'))
    .addHelpText('after', '\nPrints VALID, or INVALID with the reason on stderr and exit code 1.')
    .action(async (options: Options) => {
      const record = await readRecord(options.recordFile, io);
      const payload = options.payloadFile && (await readInput(options.payloadFile, '--payload-file', io));
      const fault = signatureFault(record, options) ?? (payload ? payloadFault(record, payload) : undefined);
      const valid = fault === undefined;
      const outcome = { valid, reason: fault, record_hash: recordHash(record).toString('hex') };
      io.stdout.write(options.json ? `${JSON.stringify(outcome)}\n` : valid ? 'VALID\n' : 'INVALID\n');
      if (!valid) throw new Failure(fault);
    });

async function readRecord(path: string, io: Io): Promise<DeviceRecord> {
  const text = await readInput(path, '--record-file', io);
  try {
    return parseRecord(text.toString('utf8'));
  } catch (error) {
    if (error instanceof ParseError) throw new Failure(`--record-file: '${path}' holds no record: ${error.message}`);
    throw error;
  }
}

function signatureFault(record: DeviceRecord, { publicKeyHex: publicKey, scheme }: Options): string | undefined {
  if (verifySignature(record, { scheme, publicKey })) return undefined;
  const fitting = signatureSchemes.find((other) => verifySignature(record, { scheme: other, publicKey }));
  return `the signature is not valid under this key with --scheme ${scheme}${fitting ? `, but it is with --scheme ${fitting}` : ''}`;
}

function payloadFault(record: DeviceRecord, payload: Buffer): string | undefined {
  const hash = blake3Hash(payload);
  if (hash.equals(record.payloadHash)) return undefined;
  return `the payload is another one: payload_hash is ${record.payloadHash.toString('hex')}, the payload's hash ${hash.toString('hex')}`;
}
