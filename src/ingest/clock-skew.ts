/** How far a device's clock is from this pod's, as its record tells: `ms` is arrival minus the record's own time. */
export type ClockSkew = { readonly ms: bigint; readonly flagged: boolean };

/**
 * A bigint, since a record may name any time that the ledger can hold: as a number, one far in the future would be rounded
 * to what the ledger cannot.
 * @param arrivedMs milliseconds since the Unix epoch
 * @param toleranceMs past it, either way, the skew is flagged
 */
export function clockSkewOf(arrivedMs: number, timestampMs: bigint, toleranceMs: number): ClockSkew {
  const ms = BigInt(Math.trunc(arrivedMs)) - timestampMs;
  const tolerance = BigInt(toleranceMs);
  return { ms, flagged: ms > tolerance || ms < -tolerance };
}
