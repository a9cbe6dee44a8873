import type { Break } from '../audit/findings.ts';
import type { NamedKey } from '../record/device-key.ts';
import { ParseError, parseRecord, parseRecords } from '../record/parse.ts';
import type { DeviceRecord } from '../record/record.ts';
import type { VerificationKey } from '../record/signature.ts';
import { ChainVerifier, type VerifiedChain } from './chain-verifier.ts';
import { type CommandFactory, command, example, Failure, type Io, option } from './command.ts';
import { isBlank, openInput, readLines, wholeInputBytesMax } from './files.ts';
import { Progress } from './progress.ts';
import { deviceKey } from './values.ts';

type Options = { recordsFile: string; device?: NamedKey[]; partial: boolean; json: boolean };

/** `place` is where it stands in the file: `line 7`, or `record 7` of an array. */
type PlacedRecord = { readonly place: string; readonly record: DeviceRecord };
type PlacedBreak = Break & { readonly place: string };

/** Devices listed in the text summary; --json has them all. */
const devicesShownMax = 20;

export const verifyChain: CommandFactory = (io) =>
  command(io, 'verify-chain', 'Verify the chains in an exported file of records, without any server')
    .addOption(
      option(
        '--records-file <file>',
        'the records: one a line (any number of them) or a JSON array; of one or more devices; - = stdin',
      ).makeOptionMandatory(),
    )
    .addOption(
      option(
        '--device <id=pubkey-hex>',
        "a device's public key, to verify its signatures with; ID=record-v2:HEX for that scheme; repeatable, also for one device",
        deviceKey,
      ).repeatable(),
    )
    .addOption(
      option('--partial', 'the file may begin in the middle of a chain; what came before is taken on trust').default(
        false,
      ),
    )
    .addOption(option('--json', 'print the outcome as JSON').default(false))
    .addHelpText(
      'after',
      example(
        'eds verify-chain --records-file records.json --device lift-01=8a88e3dd...',
        'zcat export.ndjson.gz | eds verify-chain --records-file -',
      ),
    )
    .addHelpText(
      'after',
      '\nPrints CHAIN_VALID, or CHAIN_BROKEN with the first break on stderr and exit code 1.' +
        '\nRecords cut off at the end leave a valid chain: compare the head with the one the service has.',
    )
    .action(async ({ recordsFile, device = [], partial, json }: Options) => {
      const verifier = new ChainVerifier({ keys: keysByDevice(device), partial });
      const found = await firstBreak(readRecords(recordsFile, io), verifier, new Progress(io.stderr));
      const empty = found === undefined && verifier.chains.size === 0;
      if (json) io.stdout.write(`${JSON.stringify(jsonOutcome(verifier, found))}\n`);
      else if (!empty) io.stdout.write(found ? 'CHAIN_BROKEN\n' : `CHAIN_VALID\n${summary(verifier.chains)}`);
      if (found)
        throw new Failure(
          `${found.place}: device=${found.deviceId} sequence=${found.sequence}: ${found.problem}: expected ${found.expected}, got ${found.actual}`,
        );
      if (empty) throw new Failure(`--records-file: '${recordsFile}' holds no record`);
    });

function keysByDevice(devices: readonly NamedKey[]): Map<string, VerificationKey[]> {
  const keys = new Map<string, VerificationKey[]>();
  for (const { deviceId, key } of devices) keys.set(deviceId, [...(keys.get(deviceId) ?? []), key]);
  return keys;
}

async function firstBreak(
  records: AsyncIterable<PlacedRecord>,
  verifier: ChainVerifier,
  progress: Progress,
): Promise<PlacedBreak | undefined> {
  using shown = progress;
  let count = 0;
  for await (const { place, record } of records) {
    const found = verifier.add(record);
    if (found) return { ...found, place };
    count++;
    shown.update(() => `${count} records verified`);
  }
  return undefined;
}

/** Line by line with the memory of one read, or an array read whole. */
async function* readRecords(path: string, io: Io): AsyncGenerator<PlacedRecord> {
  const arrayParts: Buffer[] = [];
  let arrayBytes = 0;
  let number = 0;
  let isLines = false;
  for await (const lines of readLines(await openInput(path, '--records-file', io), '--records-file')) {
    io.signal.throwIfAborted();
    for (const line of lines) {
      number++;
      if (arrayParts.length > 0 || (!isLines && line.toString('latin1').trimStart().startsWith('['))) {
        arrayParts.push(line);
        arrayBytes += line.length;
        if (arrayBytes > wholeInputBytesMax)
          throw new Failure(
            `--records-file: an array of more than ${wholeInputBytesMax} bytes: give one record a line`,
          );
      } else if (!isBlank(line)) {
        isLines = true;
        const place = `line ${number}`;
        yield { place, record: parsed(place, () => parseRecord(line.toString('utf8'))) };
      }
    }
  }
  const records = arrayParts.length > 0 ? parsed('', () => parseRecords(arrayParts.join('\n'))) : [];
  for (const [index, record] of records.entries()) yield { place: `record ${index + 1}`, record };
}

function parsed<T>(place: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new Failure(`--records-file: ${place && `${place}: `}${error.message}`);
  }
}

function summary(chains: ReadonlyMap<string, VerifiedChain>): string {
  const all = [...chains.values()];
  const records = all.reduce((sum, chain) => sum + chain.records, 0);
  const unsigned = all.filter((chain) => !chain.signed).length;
  const heads = [...chains]
    .slice(0, devicesShownMax)
    .map(([id, { firstSequence, head, signed }]) => {
      const signatures = signed ? 'signatures verified' : 'signatures NOT checked';
      return `${id}: sequence ${firstSequence} to ${head.sequence}, head ${head.recordHash.toString('hex')}, ${signatures}\n`;
    })
    .join('');
  const more = all.length > devicesShownMax ? `and ${all.length - devicesShownMax} more devices\n` : '';
  const unchecked =
    unsigned > 0
      ? `Signatures were NOT checked for ${unsigned} of ${all.length} devices: give their keys with --device ID=PUBKEY_HEX\n`
      : '';
  return `${heads}${more}records: ${records}, devices: ${all.length}\n${unchecked}`;
}

function jsonOutcome({ chains }: ChainVerifier, found: PlacedBreak | undefined): object {
  return {
    valid: found === undefined && chains.size > 0,
    break: found && {
      place: found.place,
      device_id: found.deviceId,
      sequence: String(found.sequence),
      problem: found.problem,
      expected: found.expected,
      actual: found.actual,
    },
    devices: [...chains].map(([deviceId, { firstSequence, head, records, signed }]) => ({
      device_id: deviceId,
      first_sequence: String(firstSequence),
      sequence: String(head.sequence),
      record_hash: head.recordHash.toString('hex'),
      records,
      signatures_verified: signed,
    })),
  };
}
