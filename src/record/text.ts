/**
 * Why a name or a key must not be this text, or undefined; to be read behind the name of its field.
 * @param bytesMax in UTF-8
 */
export function textFault(text: string, bytesMax: number): string | undefined {
  if (text === '') return 'must not be empty';
  const textBytes = Buffer.byteLength(text);
  if (textBytes > bytesMax) return `has ${textBytes} bytes, at most ${bytesMax} are allowed`;
  // NUL cannot be stored by Postgres; the other control characters have no place in a name or a key.
  if (/[\u0000-\u001f\u007f]/.test(text)) return 'must not contain control characters';
  return undefined;
}
