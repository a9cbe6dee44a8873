import { DeviceChain } from '../device/device-chain.ts';
import { type Envelope, ledgerIntegerMax } from '../record/record.ts';
import type { SignatureScheme } from '../record/signature.ts';
import { seedBytes, signingKeyFromSeed } from '../record/signing-key.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { type CommandFactory, command, example, Failure, option } from './command.ts';
import { writeOutput } from './files.ts';
import { addPrivateKeyOptions, readPrivateKey } from './private-key.ts';
import { soundRecordText } from './record-text.ts';
import { bigWholeNumber, scheme } from './values.ts';

type Options = {
  deviceId: string;
  startTimestampMs: bigint;
  objectPrefix?: string;
  scheme: SignatureScheme;
  outFile: string;
  payloadsFile?: string;
  force: boolean;
};

/** Known to everybody, as the demo's records are: for nothing but the demo. */
export const demoKeySeed = Buffer.alloc(seedBytes, 1);

const checks = [
  'check=door,status=ok,open_close_cycle=3',
  'check=vibration,status=ok,rms=0.18',
  'check=emergency_brake,status=ok,response_ms=120',
];
const msBetweenChecks = 60_000n;

/** The demo's payloads signed by `chain`, with the texts, times and names that edgesentry-rs's demo gives them. */
export function liftInspection(chain: DeviceChain, startTimestampMs: bigint, objectPrefix: string): Envelope[] {
  return checks.map((check, index) => {
    const sequence = index + 1;
    const payload = `scenario=lift-inspection,device=${chain.deviceId},sequence=${sequence},${check}`;
    return chain.next(Buffer.from(payload), {
      timestampMs: startTimestampMs + BigInt(index) * msBetweenChecks,
      objectRef: `${objectPrefix}/inspection-${sequence}.bin`,
    });
  });
}

export const demoLiftInspection: CommandFactory = (io) => {
  const demo = command(io, 'demo-lift-inspection', "Write the demo's three signed records of a lift inspection")
    .addOption(option('--device-id <id>', 'the device that signs').default('lift-01'))
    .addOption(
      option('--start-timestamp-ms <ms>', 'time of the first record', bigWholeNumber(0n, ledgerIntegerMax)).default(
        1_700_000_000_000n,
        '1700000000000',
      ),
    )
    .addOption(option('--object-prefix <prefix>', 'of the object refs; s3://bucket/<device-id>, if left out'))
    .addOption(option('--scheme <scheme>', 'what is signed: payload-v1 or record-v2', scheme).default('payload-v1'))
    .addOption(option('--out-file <file>', 'the records, a JSON array').default('lift_inspection_records.json'))
    .addOption(option('--payloads-file <file>', 'the payloads, a JSON array of hexadecimal text'))
    .addOption(option('--force', 'replace existing files').default(false))
    .addHelpText('after', example('eds demo-lift-inspection --out-file records.json --payloads-file payloads.json'))
    .addHelpText('after', '\nWithout a private key it signs with the public demo key, 32 bytes of 0x01.')
    .action(async (options: Options) => {
      const key = await readPrivateKey(demo, io, signingKeyFromSeed(demoKeySeed));
      const chain = new DeviceChain({ deviceId: options.deviceId, scheme: options.scheme, key });
      const prefix = options.objectPrefix ?? `s3://bucket/${options.deviceId}`;
      const envelopes = liftInspection(chain, options.startTimestampMs, prefix);
      const verifier = new ChainVerifier({
        keys: new Map([[options.deviceId, [{ scheme: options.scheme, publicKey: key.publicKey }]]]),
        partial: false,
      });
      for (const { record } of envelopes) if (verifier.add(record)) throw new Failure('the chain made is not valid');

      const { force } = options;
      const records = envelopes.map(({ record }) => `  ${soundRecordText(record, '--object-prefix')}`).join(',\n');
      await writeOutput(`[\n${records}\n]\n`, { path: options.outFile, flag: '--out-file', force });
      if (options.payloadsFile !== undefined) {
        const payloads = envelopes.map(({ payload }) => payload.toString('hex'));
        const text = `${JSON.stringify(payloads, undefined, 2)}\n`;
        await writeOutput(text, { path: options.payloadsFile, flag: '--payloads-file', force });
      }
      io.stdout.write(`DEMO_CREATED:${options.outFile}\nCHAIN_VALID\n`);
    });
  return addPrivateKeyOptions(demo);
};
