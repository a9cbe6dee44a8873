import type { Command } from 'commander';
import { hexToBytes } from '../record/hex.ts';
import { type SigningKey, seedBytes, signingKeyFromSeed } from '../record/signing-key.ts';
import { Failure, type Io, option, UsageError, type ValueParser } from './command.ts';
import { readInput } from './files.ts';

export type PrivateKeyOptions = { privateKeyHex?: SigningKey; privateKeyFile?: string };

/** 64 digits, or keygen's JSON, with room for white space. */
const keyFileBytesMax = 4096;

// Never repeats what was given: it may be a key with a slip in it.
const privateKey: ValueParser<SigningKey> = (text, name) => {
  const key = signingKeyFromHex(text);
  if (key === undefined) throw new UsageError(`${name} must be ${seedBytes * 2} hexadecimal digits`);
  return key;
};

export function addPrivateKeyOptions(command: Command): Command {
  return command
    .addOption(
      option('--private-key-hex <hex>', 'Ed25519 private key; as an argument it shows in the process list', privateKey),
    )
    .addOption(
      option(
        '--private-key-file <file>',
        "file with the private key: its hexadecimal digits or keygen's JSON; - = stdin",
      ),
    );
}

/**
 * The key that the command line or the environment names, or else `fallback`. A flag wins over a variable. Warns on
 * stderr about a key given as an argument.
 * @throws UsageError when there is none, or both flags are given
 */
export async function readPrivateKey(command: Command, io: Io, fallback?: SigningKey): Promise<SigningKey> {
  const { privateKeyHex, privateKeyFile } = command.opts<PrivateKeyOptions>();
  const isArgument = (name: string) => command.getOptionValueSource(name) === 'cli';
  if (isArgument('privateKeyHex') && isArgument('privateKeyFile'))
    throw new UsageError('--private-key-hex and --private-key-file exclude each other: give one');
  if (isArgument('privateKeyHex'))
    io.stderr.write(
      'warning: --private-key-hex shows in the process list: prefer --private-key-file or EDS_PRIVATE_KEY_HEX\n',
    );
  if (privateKeyHex && !isArgument('privateKeyFile')) return privateKeyHex;
  if (privateKeyFile) return readKeyFile(privateKeyFile, io);
  if (fallback) return fallback;
  throw new UsageError('no private key: give --private-key-file, or set EDS_PRIVATE_KEY_HEX');
}

async function readKeyFile(path: string, io: Io): Promise<SigningKey> {
  const text = (await readInput(path, '--private-key-file', io, keyFileBytesMax)).toString('utf8').trim();
  const key = signingKeyFromHex(/"private_key_hex"\s*:\s*"([0-9a-fA-F]*)"/.exec(text)?.[1] ?? text);
  if (key === undefined)
    throw new Failure(
      `--private-key-file: '${path}' holds neither ${seedBytes * 2} hexadecimal digits nor the JSON of eds keygen`,
    );
  return key;
}

function signingKeyFromHex(text: string): SigningKey | undefined {
  const seed = hexToBytes(text);
  return seed?.length === seedBytes ? signingKeyFromSeed(seed) : undefined;
}
