/** The bytes of hexadecimal text in either case, or undefined when it is not whole bytes of hexadecimal digits. */
export function hexToBytes(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'hex');
  // Buffer.from stops at the first wrong digit, so a short result is the check.
  return bytes.length * 2 === text.length ? bytes : undefined;
}
