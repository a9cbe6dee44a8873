import type { Command } from 'commander';
import type { SignatureScheme } from '../record/signature.ts';
import { type CommandFactory, command, example, option, UsageError } from './command.ts';
import { addPrivateKeyOptions, readPrivateKey } from './private-key.ts';
import { httpUrl, scheme, wholeNumber } from './values.ts';

export type SendOptions = {
  url: URL;
  deviceId?: string;
  scheme: SignatureScheme;
  objectPrefix?: string;
  payload?: string;
  payloadFile?: string;
  generate?: number;
  payloadBytes: number;
  envelopesFile?: string;
  skip: number;
  rate?: number;
  single: boolean;
  attempts: number;
  json: boolean;
};

/** The sources of records, of which a command line names one. */
const sources = ['payload', 'payloadFile', 'generate', 'envelopesFile'] as const;
const countMax = Number.MAX_SAFE_INTEGER;
/** Beyond any service's body limit. */
const payloadBytesMax = 16 * 1024 * 1024;
const attemptsMax = 1000;

export const send: CommandFactory = (io) => {
  const sending = command(io, 'send', "Sign payloads onto a device's chain and send them to a service")
    .addOption(
      option('--url <url>', 'of the service', httpUrl).default(
        new URL('http://127.0.0.1:8080'),
        '"http://127.0.0.1:8080"',
      ),
    )
    .addOption(option('--device-id <id>', 'the device that signs; the service must know its key'))
    .addOption(option('--scheme <scheme>', 'what is signed: payload-v1 or record-v2', scheme).default('payload-v1'))
    .addOption(option('--object-prefix <prefix>', 'of the object refs; <device-id>/, if left out'))
    .addOption(option('--payload <text>', 'send one payload, as UTF-8 text'))
    .addOption(option('--payload-file <file>', 'send a payload a line; - = stdin, followed live'))
    .addOption(option('--generate <n>', 'send so many random payloads', wholeNumber(1, countMax)))
    .addOption(
      option('--payload-bytes <n>', 'size of a generated payload', wholeNumber(0, payloadBytesMax)).default(1024),
    )
    .addOption(option('--envelopes-file <file>', 'send ready envelopes, one as JSON a line; - = stdin; needs no key'))
    .addOption(option('--skip <n>', 'leave out the first lines, sent before', wholeNumber(0, countMax)).default(0))
    .addOption(option('--rate <n>', 'records a second; as fast as it goes, if left out', wholeNumber(1, countMax)))
    .addOption(option('--single', 'one request for each record instead of batches').default(false))
    .addOption(
      option('--attempts <n>', 'tries in a row without progress before giving up', wholeNumber(1, attemptsMax)).default(
        10,
      ),
    )
    .addOption(option('--json', 'print the summary as JSON').default(false))
    .addHelpText(
      'after',
      example(
        "eds send --device-id lift-01 --private-key-file lift-01.key --payload 'door=ok'",
        'sensor | eds send --url https://ingest.example --device-id lift-01 --private-key-file lift-01.key --payload-file -',
        'eds send --device-id lift-01 --private-key-file lift-01.key --generate 10000 --rate 200',
      ),
    )
    .addHelpText(
      'after',
      '\nGoes on from the head that the service has. Waits and tries again while the service is unavailable;' +
        '\nexit code 1 when a record was refused or the attempts are used up.',
    )
    .action(async (options: SendOptions) => {
      const source = sourceOf(sending, options);
      const { sendEnvelopes, sendPayloads } = await import('./send-run.ts');
      if (source === 'envelopesFile') return sendEnvelopes(options, io);
      const { deviceId } = options;
      if (!deviceId) throw new UsageError("required option '--device-id <id>' not specified");
      return sendPayloads({ ...options, deviceId }, await readPrivateKey(sending, io), io);
    });
  return addPrivateKeyOptions(sending);
};

/** A flag wins over variables that the environment happens to have. */
function sourceOf(command: Command, options: SendOptions): (typeof sources)[number] {
  const named = sources.filter((source) => options[source] !== undefined);
  const flagged = named.filter((source) => command.getOptionValueSource(source) === 'cli');
  const [source, ...others] = flagged.length > 0 ? flagged : named;
  if (source === undefined || others.length > 0)
    throw new UsageError('give one of --payload, --payload-file, --generate and --envelopes-file');
  for (const other of sources) if (other !== source) delete options[other];
  return source;
}
