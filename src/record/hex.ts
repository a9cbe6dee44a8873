/** The bytes of hexadecimal text in either case, or undefined when it is not whole bytes of hexadecimal digits. */
export function hexToBytes(text: string): Buffer | undefined {
  // Buffer.from looks at the low byte of each character only, and so takes U+0130 for the digit 0.
  if (Buffer.byteLength(text) !== text.length) return undefined;
  const bytes = Buffer.from(text, 'hex');
  // It stops at the first wrong digit, so a short result is the check.
  return bytes.length * 2 === text.length ? bytes : undefined;
}
