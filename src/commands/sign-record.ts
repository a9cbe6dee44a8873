import { blake3Hash } from '../record/hash.ts';
import { genesis, ledgerIntegerMax } from '../record/record.ts';
import type { SignatureScheme } from '../record/signature.ts';
import { signRecord as sign } from '../record/signing-key.ts';
import { type CommandFactory, command, example, type Io, option, UsageError } from './command.ts';
import { readInput, writeOutput } from './files.ts';
import { addPrivateKeyOptions, readPrivateKey } from './private-key.ts';
import { soundRecordText } from './record-text.ts';
import { bigWholeNumber, hash, scheme } from './values.ts';

type Options = {
  deviceId: string;
  sequence: bigint;
  timestampMs?: bigint;
  payload?: string;
  payloadFile?: string;
  prevHashHex?: Buffer;
  objectRef: string;
  scheme: SignatureScheme;
  out?: string;
  force: boolean;
};

export const signRecord: CommandFactory = (io) => {
  const signing = command(io, 'sign-record', 'Sign one record of a payload and write it as JSON')
    .addOption(option('--device-id <id>', 'the device that signs').makeOptionMandatory())
    .addOption(
      option(
        '--sequence <n>',
        'its place in the chain, from 1',
        bigWholeNumber(1n, ledgerIntegerMax),
      ).makeOptionMandatory(),
    )
    .addOption(
      option(
        '--timestamp-ms <ms>',
        "the record's time, milliseconds since 1970; now, if left out",
        bigWholeNumber(0n, ledgerIntegerMax),
      ),
    )
    .addOption(option('--payload <text>', 'the payload, as UTF-8 text'))
    .addOption(option('--payload-file <file>', "the payload, a file's bytes; - = stdin"))
    .addOption(
      option('--prev-hash-hex <hex>', 'record hash of the record before; zeros, if left out at sequence 1', hash),
    )
    .addOption(option('--object-ref <key>', 'the name of the payload, such as lift-01/1.bin').makeOptionMandatory())
    .addOption(option('--scheme <scheme>', 'what is signed: payload-v1 or record-v2', scheme).default('payload-v1'))
    .addOption(option('--out <file>', 'write the record here instead of to stdout'))
    .addOption(option('--force', 'replace an existing --out file').default(false))
    .addHelpText(
      'after',
      example(
        'eds sign-record --private-key-file lift-01.key --device-id lift-01 --sequence 1 \\\n' +
          "      --payload 'door=ok' --object-ref lift-01/1.bin --out record-1.json",
      ),
    )
    .action(async (options: Options) => {
      const key = await readPrivateKey(signing, io);
      const record = sign(
        {
          deviceId: options.deviceId,
          sequence: options.sequence,
          timestampMs: options.timestampMs ?? BigInt(Date.now()),
          payloadHash: blake3Hash(await readPayload(options, io)),
          prevRecordHash: previousHash(options),
          objectRef: options.objectRef,
        },
        options.scheme,
        key,
      );
      const text = `${soundRecordText(record, '--object-ref')}\n`;
      if (options.out === undefined) io.stdout.write(text);
      else await writeOutput(text, { path: options.out, flag: '--out', force: options.force });
    });
  return addPrivateKeyOptions(signing);
};

async function readPayload({ payload, payloadFile }: Options, io: Io): Promise<Buffer> {
  if ((payload === undefined) === (payloadFile === undefined))
    throw new UsageError('give the payload, either as --payload TEXT or as --payload-file FILE');
  return payloadFile === undefined ? Buffer.from(payload ?? '') : readInput(payloadFile, '--payload-file', io);
}

function previousHash({ prevHashHex, sequence }: Options): Buffer {
  if (prevHashHex) return prevHashHex;
  if (sequence === genesis.sequence + 1n) return genesis.recordHash;
  throw new UsageError(`--prev-hash-hex must be given: the record hash of sequence ${sequence - 1n}`);
}
