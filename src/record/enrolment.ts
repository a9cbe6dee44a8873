import { deviceIdFault } from './device.ts';
import { hexToBytes } from './hex.ts';
import { JsonError, type JsonObject, type JsonValue, parseJson } from './json.ts';
import { verifyPossession } from './possession.ts';
import { publicKeyFault } from './public-key.ts';
import { signatureSchemes, type VerificationKey } from './signature.ts';

/** What a device's side hands to whoever registers it. Its proof holds. */
export type Enrolment = { readonly deviceId: string; readonly key: VerificationKey; readonly proof: Buffer };

/** `{"device_id","scheme","public_key","proof"}`, bytes in lowercase hex. parseEnrolment reads it back. */
export function formatEnrolment({ deviceId, key, proof }: Enrolment): string {
  const fields = {
    device_id: deviceId,
    scheme: key.scheme,
    public_key: key.publicKey.toString('hex'),
    proof: proof.toString('hex'),
  };
  return JSON.stringify(fields, undefined, 2);
}

/** The enrolment, or why the text is none, to be read behind its name. */
export function parseEnrolment(text: string): Enrolment | { readonly fault: string } {
  let value: JsonValue;
  try {
    value = parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) return { fault: `is not JSON: ${error.message}` };
    throw error;
  }
  if (!(value instanceof Map)) return { fault: 'must be what eds device enrol writes' };
  const stranger = [...value.keys()].find((name) => !fieldNames.includes(name));
  if (stranger !== undefined) return { fault: `has a field '${stranger}': it has ${fieldNames.join(', ')}` };
  const deviceId = textOf(value, 'device_id');
  const idFault = deviceIdFault(deviceId);
  if (idFault !== undefined) return { fault: `device_id ${idFault}` };
  const scheme = signatureSchemes.find((one) => one === textOf(value, 'scheme'));
  if (scheme === undefined) return { fault: `scheme must be ${signatureSchemes.join(' or ')}` };
  const publicKey = hexToBytes(textOf(value, 'public_key'));
  const keyFault = publicKey ? publicKeyFault(publicKey) : 'not hexadecimal digits';
  if (publicKey === undefined || keyFault !== undefined) return { fault: `public_key: ${keyFault}` };
  const proof = hexToBytes(textOf(value, 'proof'));
  const key = { scheme, publicKey };
  if (proof === undefined || !verifyPossession(deviceId, key, proof))
    return { fault: 'proof does not hold: it is not by this key, or for another device or scheme' };
  return { deviceId, key, proof };
}

const fieldNames = ['device_id', 'scheme', 'public_key', 'proof'];

/** What is missing, or of another type, is empty, which no field may be. */
function textOf(fields: JsonObject, name: string): string {
  const value = fields.get(name);
  return typeof value === 'string' ? value : '';
}
