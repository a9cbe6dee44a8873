import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { storesConfig } from '../config.ts';
import { judgePayload } from '../record/judge.ts';
import { ledgerIntegerMax } from '../record/record.ts';
import { type CommandFactory, command, example, Failure, type Io, option } from './command.ts';
import { withLedgerPool } from './ledger-pool.ts';
import { addStoreOptions, configOf, openPayloadReader } from './store-options.ts';
import { bigWholeNumber } from './values.ts';

export const payload: CommandFactory = (io) =>
  command(io, 'payload', 'Look at stored payloads').addCommand(payloadGet(io));

const sequenceNumber = bigWholeNumber(1n, ledgerIntegerMax);

const payloadGet: CommandFactory = (io) => {
  const getting = addStoreOptions(command(io, 'get', "Write one record's payload, after verifying its hash"))
    .argument('<device>', 'device id')
    .argument('<sequence>', 'sequence of the record', (text) => sequenceNumber(text, '<sequence>'))
    .addOption(option('--out <file>', 'a new file for the payload; standard output otherwise'))
    .addHelpText('after', example('eds payload get lift-01 3 --s3-bucket audit-records --out payload.bin'))
    .action(async (deviceId: string, sequence: bigint, { out }: { out?: string }) => {
      const bytes = await readPayload(configOf(getting, storesConfig), deviceId, sequence);
      if (out === undefined) await writeAll(bytes, io);
      else await writeNewFile(out, bytes);
    });
  return getting;
};

/** @throws Failure when there is no such record, or no such payload any more */
async function readPayload(
  { ledger, payloads }: ReturnType<typeof storesConfig>,
  deviceId: string,
  sequence: bigint,
): Promise<Buffer> {
  const { findRecord } = await import('../ledger/ledger-reader.ts');
  const { PayloadMissing } = await import('../payload-store/blobs.ts');
  const stored = await withLedgerPool(ledger, 'edgesentry payload', (pool) => findRecord(pool, deviceId, sequence));
  if (stored === undefined) throw new Failure(`the ledger has no record of device=${deviceId} sequence=${sequence}`);
  await using archive = await openPayloadReader(payloads);
  const bytes = await archive.read(stored.location).catch((error: unknown) => {
    if (error instanceof PayloadMissing)
      throw new Failure(`the payload of device=${deviceId} sequence=${sequence} is gone: ${error.message}`);
    throw error;
  });
  const rejection = judgePayload({ record: stored.record, payload: bytes });
  if (rejection !== undefined)
    throw new Failure(`${rejection.message}: ${stored.location.objectKey} is not what was admitted`);
  return bytes;
}

async function writeAll(bytes: Buffer, io: Io): Promise<void> {
  if (!io.stdout.write(bytes)) await once(io.stdout, 'drain', { signal: io.signal });
}

async function writeNewFile(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EEXIST' ? 'it exists already: choose another name' : error.message;
    throw new Failure(`--out: cannot write '${path}': ${reason}`, { cause: error });
  });
  await using _ = file;
  await file.writeFile(bytes);
}
