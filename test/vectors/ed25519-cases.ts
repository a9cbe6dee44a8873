/**
 * Signatures on which Ed25519 verifiers are known to differ: the cases of Chalkias, Garillot and Nikolaenko, "Taming the
 * Many EdDSAs" (numbered as in its table), and the small-order matrix of ZIP-215. They are made here, the same in each
 * run, with @noble/curves doing the point arithmetic.
 */
import { createHash } from 'node:crypto';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';

const { Point } = ed25519;
type Point = InstanceType<typeof Point>;

export type Signed = { readonly publicKey: Buffer; readonly message: Buffer; readonly signature: Buffer };

export type CaseClass = {
  readonly name: string;
  /** What the profile of this project says. */
  readonly accepted: boolean;
  /** What ZIP-215 says, where the class as a whole has an answer. */
  readonly zip215: boolean | undefined;
  readonly cases: readonly Signed[];
};

const order = Point.Fn.ORDER;
const fieldPrime = Point.Fp.ORDER;
const signBit = 2n ** 255n;

/** RFC 8032 section 5.1.2: 32 bytes, little-endian. */
const littleEndian = (value: bigint) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
const asInteger = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
const sha512 = (...parts: Uint8Array[]) => createHash('sha512').update(Buffer.concat(parts)).digest();
const encodingOf = (point: Point) => Buffer.from(point.toBytes());

/** k of RFC 8032 section 5.1.7. */
const challenge = (r: Buffer, key: Buffer, message: Buffer) => asInteger(sha512(r, key, message)) % order;

/** The eight points of small order, and those without the identity. */
const torsion = ED25519_TORSION_SUBGROUP.map((hex) => Point.fromHex(hex));
const shifts = torsion.filter((point) => !point.is0());
/** ZIP-215's 14 encodings of them: y may be at or above the prime, and x = 0 may have the sign bit set. */
const smallOrderEncodings = [
  ...torsion.map(encodingOf),
  ...[1n + signBit, fieldPrime - 1n + signBit, fieldPrime, fieldPrime + signBit].map(littleEndian),
  ...[fieldPrime + 1n, fieldPrime + 1n + signBit].map(littleEndian),
];

const secret = asInteger(sha512(Buffer.from('secret'))) % order;
const nonce = asInteger(sha512(Buffer.from('nonce'))) % order;

/** The point `factor B + shift`, its encoding, and the bytes that are sent for it, which need not be the same. */
type Spelled = {
  readonly factor: bigint;
  readonly shift: Point;
  readonly encoding: Buffer;
  readonly sent: Buffer;
};

function spelled(factor: bigint, shift: Point): Spelled {
  const encoding = encodingOf(Point.BASE.multiply(factor).add(shift));
  return { factor, shift, encoding, sent: encoding };
}

const smallOrder: readonly Spelled[] = smallOrderEncodings.map((sent) => {
  const shift = Point.fromBytes(sent, true);
  return { factor: 0n, shift, encoding: encodingOf(shift), sent };
});
const nonCanonical = smallOrder.filter(({ encoding, sent }) => !encoding.equals(sent));
const primeKey = spelled(secret, Point.ZERO);
const primeNonce = spelled(nonce, Point.ZERO);
const mixedKeys = shifts.map((shift) => spelled(secret, shift));
const mixedNonces = shifts.map((shift) => spelled(nonce, shift));

/** Enough messages that one of the eight values of the torsion part of k A is not missed by bad luck. */
const messagesMax = 64;

/**
 * A signature that satisfies the verification equation times the cofactor. With `cofactorless`, a message is sought under
 * which it does (true) or does not (false) satisfy the equation without; none may exist.
 * @param hashed what the challenge is taken over: the bytes that are sent, or the points' own encodings
 */
function forge(key: Spelled, r: Spelled, cofactorless?: boolean, hashed: 'sent' | 'encoding' = 'sent'): Signed[] {
  for (let i = 0; i < messagesMax; i++) {
    const message = Buffer.from(`message ${i}`);
    const k = challenge(r[hashed], key[hashed], message);
    // S B = R + k A holds in the prime-order part by the choice of S; what is left of it is the torsion part.
    const holds = r.shift.add(key.shift.multiplyUnsafe(k % 8n)).is0();
    if (cofactorless !== undefined && holds !== cofactorless) continue;
    const s = littleEndian(Point.Fn.create(r.factor + k * key.factor));
    return [{ publicKey: key.sent, message, signature: Buffer.concat([r.sent, s]) }];
  }
  return [];
}

/** Every key with every nonce. */
function forgeAll(keys: readonly Spelled[], nonces: readonly Spelled[], cofactorless?: boolean): Signed[] {
  return keys.flatMap((key) => nonces.flatMap((r) => forge(key, r, cofactorless)));
}

const honest: readonly Signed[] = Array.from({ length: 32 }, (_, i) => {
  const seed = sha512(Buffer.from(`seed ${i}`)).subarray(0, 32);
  const message = Buffer.alloc(i * i, i);
  const signature = Buffer.from(ed25519.sign(message, seed));
  return { publicKey: Buffer.from(ed25519.getPublicKey(seed)), message, signature };
});

const withS = ({ signature, ...rest }: Signed, change: (s: bigint) => bigint): Signed => {
  const s = change(asInteger(signature.subarray(32)));
  return { ...rest, signature: Buffer.concat([signature.subarray(0, 32), littleEndian(s)]) };
};

function flipped(bytes: Buffer): Buffer[] {
  return Array.from({ length: bytes.length * 8 }, (_, bit) => {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    return copy;
  });
}

const oneBitOff = honest
  .slice(4, 6)
  .flatMap((signed) => [
    ...flipped(signed.signature).map((signature) => ({ ...signed, signature })),
    ...flipped(signed.publicKey).map((publicKey) => ({ ...signed, publicKey })),
    ...flipped(signed.message).map((message) => ({ ...signed, message })),
  ]);

/** All 19 values of y at or above the prime, with both signs. */
const unreduced = Array.from({ length: 19 }, (_, i) => fieldPrime + BigInt(i))
  .flatMap((y) => [y, y + signBit])
  .map(littleEndian);
const withUnreduced = honest
  .slice(0, 1)
  .flatMap((signed) => [
    ...unreduced.map((publicKey) => ({ ...signed, publicKey })),
    ...unreduced.map((r) => ({ ...signed, signature: Buffer.concat([r, signed.signature.subarray(32)]) })),
  ]);

const multiples = Array.from({ length: 14 }, (_, i) => BigInt(i + 1) * order);
const rehashed = [
  ...nonCanonical.flatMap((key) => mixedNonces.flatMap((r) => forge(key, r, undefined, 'encoding'))),
  ...nonCanonical.flatMap((r) => mixedKeys.flatMap((key) => forge(key, r, undefined, 'encoding'))),
];

const refused = { accepted: false, zip215: true } as const;
const invalid = { accepted: false, zip215: false } as const;

export const caseClasses: readonly CaseClass[] = [
  { name: 'honest signatures', accepted: true, zip215: true, cases: honest },
  { name: 'one bit changed', ...invalid, cases: oneBitOff },
  {
    name: 'S at or above the group order (case 6)',
    ...invalid,
    cases: honest.flatMap((signed) => multiples.map((more) => withS(signed, (s) => s + more))),
  },
  {
    name: 'S with high bits set (case 7)',
    ...invalid,
    cases: honest.flatMap((signed) => [253n, 254n, 255n].map((bit) => withS(signed, (s) => s | (1n << bit)))),
  },
  { name: 'small-order A and R (case 0, ZIP-215 matrix)', ...refused, cases: forgeAll(smallOrder, smallOrder) },
  {
    name: 'small-order A (case 1)',
    ...refused,
    cases: [true, false].flatMap((holds) => forgeAll(smallOrder, [primeNonce, ...mixedNonces], holds)),
  },
  {
    name: 'small-order R (case 2)',
    ...refused,
    cases: [true, false].flatMap((holds) => forgeAll([primeKey, ...mixedKeys], smallOrder, holds)),
  },
  {
    name: 'mixed-order A and R, valid without the cofactor (case 3)',
    accepted: true,
    zip215: true,
    cases: forgeAll(mixedKeys, [primeNonce, ...mixedNonces], true),
  },
  {
    name: 'mixed-order A and R, valid only times the cofactor (cases 4 and 5)',
    ...refused,
    cases: [...forgeAll(mixedKeys, [primeNonce, ...mixedNonces], false), ...forgeAll([primeKey], mixedNonces, false)],
  },
  {
    name: 'non-canonical A or R, hashed in canonical form (cases 8 to 11)',
    accepted: false,
    zip215: undefined,
    cases: rehashed,
  },
  { name: 'A or R with y at or above the prime', accepted: false, zip215: undefined, cases: withUnreduced },
];
