/**
 * Object keys as paths below a directory. A key may hold any character, `a` and `a/b` may both be keys, and a part may
 * be longer than a file name; yet every key has a path of its own, and a walk can meet the keys in order.
 *
 * - Bytes beyond letters, digits and `-_.=@,` are written `%XX`, and so is a dot in front: no name is `..` or hidden.
 * - A file is called `<part>.object` and a folder `<part>`: an object and a folder of one name stand side by side. A part
 *   that itself ends in `.object` has that dot encoded.
 * - Of a part of 80 bytes and more, each 80 become a folder `<bytes>%+`. An empty rest is `%`.
 */

/** File names may have 255 bytes; this many become 240 if each is encoded. */
const chunkBytes = 80;
const fileSuffix = '.object';
const chunkSuffix = '%+';
const empty = '%';

/** The path of the key's file, relative, with `/`. */
export function pathOfKey(key: string): string {
  const parts = toBinary(key).split('/');
  const last = parts.length - 1;
  return parts.map((part, index) => namesOf(part) + (index === last ? fileSuffix : '')).join('/');
}

function namesOf(part: string): string {
  let path = '';
  let rest = part;
  for (; rest.length >= chunkBytes; rest = rest.slice(chunkBytes))
    path += `${encode(rest.slice(0, chunkBytes))}${chunkSuffix}/`;
  return path + encode(rest);
}

function encode(part: string): string {
  if (part === '') return empty;
  return part.replace(/[^A-Za-z0-9._=@,-]|^\.|\.(?=object$)/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  });
}

/** The part of a key that a folder's entry stands for, as binary text. A folder's ends with its `/`. */
export function keyOfEntry(name: string, isFolder: boolean): string | undefined {
  if (!isFolder) return name.endsWith(fileSuffix) ? decode(name.slice(0, -fileSuffix.length)) : undefined;
  return name.endsWith(chunkSuffix) ? decode(name.slice(0, -chunkSuffix.length)) : `${decode(name)}/`;
}

function decode(name: string): string {
  if (name === empty) return '';
  return name.replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** UTF-8 with one character a byte, so that `<` compares bytes. */
export const toBinary = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
