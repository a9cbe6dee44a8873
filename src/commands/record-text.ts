import { formatRecord } from '../record/format.ts';
import { ParseError, parseRecord } from '../record/parse.ts';
import type { DeviceRecord } from '../record/record.ts';
import { UsageError } from './command.ts';

/**
 * A record made from flags, as JSON and read back once: what the service would refuse as malformed is refused here.
 * @param objectFlag the flag that the object ref came from; the other fields are named as their flags are
 * @throws UsageError naming the flag
 */
export function soundRecordText(record: DeviceRecord, objectFlag: string): string {
  const text = formatRecord(record);
  try {
    parseRecord(text);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const flag = (field: string) => (field === 'object_ref' ? objectFlag : `--${field.replaceAll('_', '-')}`);
    throw new UsageError(error.message.replace(/^record\.(\w+)/, (_, field) => flag(field)));
  }
  return text;
}
