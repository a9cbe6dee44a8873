import { hexToBytes } from './hex.ts';
import { publicKeyFault } from './public-key.ts';
import { deviceIdBytesMax } from './record.ts';
import { signatureSchemes, type VerificationKey } from './signature.ts';
import { textFault } from './text.ts';

export type NamedKey = { readonly deviceId: string; readonly key: VerificationKey };

/**
 * `ID=PUBKEY_HEX`, or `ID=record-v2:PUBKEY_HEX`; without a scheme it is payload-v1. The id may itself contain `=` and is one
 * that a record can have; whether a device may be registered under it is deviceIdFault's to say. The key is a sound one.
 * A fault is to be read behind the name of the flag.
 */
export function parseDeviceKey(text: string): NamedKey | { readonly fault: string } {
  const [, deviceId, schemeName = 'payload-v1', hex = ''] = /^(.+)=(?:([^=:]*):)?([^=:]*)$/s.exec(text) ?? [];
  const scheme = signatureSchemes.find((one) => one === schemeName);
  const publicKey = hexToBytes(hex);
  if (deviceId === undefined || scheme === undefined || publicKey === undefined)
    return { fault: `must be ID=PUBKEY_HEX or ID=record-v2:PUBKEY_HEX, got '${text}'` };
  const idFault = textFault(deviceId, deviceIdBytesMax);
  if (idFault !== undefined) return { fault: `${JSON.stringify(deviceId)}: a device id ${idFault}` };
  const keyFault = publicKeyFault(publicKey);
  if (keyFault !== undefined) return { fault: `public key of ${JSON.stringify(deviceId)}: ${keyFault}` };
  return { deviceId, key: { scheme, publicKey } };
}
