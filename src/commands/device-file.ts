import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import type { DeviceSpec, KeySpec } from '../ledger/device-plan.ts';
import { deviceIdFault, gatewayFault, gatewaysPerDeviceMax, siteFault } from '../record/device.ts';
import { hexToBytes } from '../record/hex.ts';
import { verifyPossession } from '../record/possession.ts';
import type { VerificationKey } from '../record/signature.ts';
import { Failure, UsageError, type ValueParser } from './command.ts';
import { isoTime } from './times.ts';
import { publicKey, scheme } from './values.ts';

/** Applied in one transaction, which must end well before the pods' re-read of changed devices looks back (60 s). */
const devicesMax = 10_000;

/**
 * The devices that a YAML or JSON file asks for. A field that is not known is refused: what is not understood must not
 * seem applied. @throws Failure naming the line
 */
export function parseDeviceFile(text: string, path: string): DeviceSpec[] {
  const lines = new LineCounter();
  // Failsafe: every scalar is text. As numbers, a key of digits alone or an id of 007 would be lost.
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines });
  const [error] = document.errors;
  const reader = new FileReader(path, lines);
  if (error !== undefined) throw reader.failure(error.pos[0], error.message.split('\n')[0] ?? '');
  const top = reader.fields(document.contents, 'the file', ['devices']);
  const devices = reader.items(top.get('devices'), 'devices', 0).map((node) => reader.device(node));
  if (devices.length > devicesMax) throw reader.failure(0, `more than ${devicesMax} devices: split the file`);
  return devices;
}

type Fields = ReadonlyMap<string, Node | null>;

class FileReader {
  readonly #path: string;
  readonly #lines: LineCounter;
  readonly #ids = new Set<string>();

  constructor(path: string, lines: LineCounter) {
    this.#path = path;
    this.#lines = lines;
  }

  failure(offset: number, message: string): Failure {
    return new Failure(`${this.#path}: line ${this.#lines.linePos(offset).line}: ${message}`);
  }

  device(node: Node | null): DeviceSpec {
    const fields = this.fields(node, 'a device', ['id', 'site', 'enabled', 'keys', 'gateways']);
    const at = offsetOf(node);
    const id = this.#value(fields, 'id', deviceId) ?? undefined;
    if (id === undefined) throw this.failure(at, 'a device needs an id');
    if (this.#ids.has(id)) throw this.failure(at, `device ${id} is there twice`);
    this.#ids.add(id);
    const keys = this.items(fields.get('keys'), `keys of device ${id}`, at).map((key) => this.#key(key, id));
    const names = new Set(keys.map((key) => `${key.scheme}:${key.publicKey.toString('hex')}`));
    if (names.size < keys.length) throw this.failure(at, `a key of device ${id} is there twice`);
    const enabled = this.#value(fields, 'enabled', truth) ?? undefined;
    const gateways = fields.has('gateways') ? this.#gateways(fields.get('gateways'), id, at) : undefined;
    return { id, site: this.#value(fields, 'site', siteText), enabled, keys, gateways };
  }

  #gateways(node: Node | null | undefined, id: string, at: number): string[] {
    const names = this.items(node, `gateways of device ${id}`, at).map((item) => {
      const name = this.#scalar(item, 'a gateway', gatewayName);
      if (name === null) throw this.failure(offsetOf(item), 'a gateway must not be empty');
      return name;
    });
    if (new Set(names).size < names.length) throw this.failure(at, `a gateway of device ${id} is there twice`);
    if (names.length > gatewaysPerDeviceMax)
      throw this.failure(at, `device ${id} has ${names.length} gateways: the most is ${gatewaysPerDeviceMax}`);
    return names;
  }

  #key(node: Node | null, deviceId: string): KeySpec {
    const known = ['public_key', 'scheme', 'valid_from', 'valid_until', 'revoked', 'proof'];
    const fields = this.fields(node, 'a key', known);
    const bytes = this.#value(fields, 'public_key', publicKey) ?? undefined;
    if (bytes === undefined) throw this.failure(offsetOf(node), 'a key needs a public_key');
    const until = this.#value(fields, 'valid_until', isoTime);
    const key = { publicKey: bytes, scheme: this.#value(fields, 'scheme', scheme) ?? 'payload-v1' };
    return {
      ...key,
      validFromMs: this.#value(fields, 'valid_from', isoTime)?.getTime(),
      validUntilMs: until === null ? null : until?.getTime(),
      revoked: this.#value(fields, 'revoked', truth) ?? undefined,
      proof: this.#value(fields, 'proof', proofOf(deviceId, key)) ?? undefined,
    };
  }

  fields(node: Node | null | undefined, what: string, known: readonly string[]): Fields {
    if (!isMap(node)) throw this.failure(offsetOf(node), `${what} must be fields: ${known.join(', ')}`);
    const fields = new Map<string, Node | null>();
    for (const { key, value } of (node as YAMLMap<ParsedNode, ParsedNode | null>).items) {
      const name = isScalar(key) ? String(key.value) : '';
      if (!known.includes(name))
        throw this.failure(offsetOf(key), `${what} has no field '${name}': it has ${known.join(', ')}`);
      fields.set(name, value);
    }
    return fields;
  }

  items(node: Node | null | undefined, what: string, at: number): (Node | null)[] {
    if (!isSeq(node)) throw this.failure(node ? offsetOf(node) : at, `${what} must be a list`);
    return node.items as (Node | null)[];
  }

  /** Undefined when it is left out, null when it is empty or null. */
  #value<T>(fields: Fields, name: string, parse: ValueParser<T>): T | null | undefined {
    const node = fields.get(name);
    return node === undefined ? undefined : this.#scalar(node, name, parse);
  }

  #scalar<T>(node: Node | null, name: string, parse: ValueParser<T>): T | null {
    if (node === null || isNull(node)) return null;
    if (!isScalar(node)) throw this.failure(offsetOf(node), `${name} must be one value`);
    try {
      return parse(String(node.value), name);
    } catch (error) {
      if (error instanceof UsageError) throw this.failure(offsetOf(node), error.message);
      throw error;
    }
  }
}

function offsetOf(node: Node | null | undefined): number {
  return node?.range?.[0] ?? 0;
}

/** The failsafe schema has no null, so that it is read off the text. */
function isNull(node: Node): boolean {
  return isScalar(node) && (node as Scalar).type === 'PLAIN' && /^(null|~|)$/i.test(String(node.value));
}

const deviceId: ValueParser<string> = (text, name) => {
  const fault = deviceIdFault(text);
  if (fault !== undefined) throw new UsageError(`${name} '${text}': ${fault}`);
  return text;
};

const siteText: ValueParser<string> = (text, name) => {
  const fault = siteFault(text);
  if (fault !== undefined) throw new UsageError(`${name} ${fault}`);
  return text;
};

const gatewayName: ValueParser<string> = (text, name) => {
  const fault = gatewayFault(text);
  if (fault !== undefined) throw new UsageError(`${name} ${fault}`);
  return text;
};

/** A proof that does not hold refuses the file: it was made for another device, scheme or key, or is not whole. */
const proofOf =
  (deviceId: string, key: VerificationKey): ValueParser<Buffer> =>
  (text, name) => {
    const proof = hexToBytes(text);
    if (proof === undefined || !verifyPossession(deviceId, key, proof))
      throw new UsageError(`${name} does not hold for ${key.scheme} and this key of device ${deviceId}`);
    return proof;
  };

const truth: ValueParser<boolean> = (text, name) => {
  if (text !== 'true' && text !== 'false') throw new UsageError(`${name} must be true or false, got '${text}'`);
  return text === 'true';
};
