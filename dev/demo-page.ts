/** What `npm run demo` prints. Colours only on a terminal, and never with NO_COLOR. */
import { styleText } from 'node:util';

/** What came back for one record: HTTP status and JSON body, or why nothing did. */
export type Answer =
  | {
      readonly status: number;
      readonly code?: string;
      readonly error?: string;
      readonly identical?: boolean;
      readonly recordHash?: string;
    }
  | { readonly broken: string };

/** A record that the ledger took. */
export type Link = {
  readonly sequence: bigint;
  readonly recordHash: string;
  readonly prevRecordHash: string;
  readonly replica: string;
  readonly what: string;
};

const columns = 92;
/** Enough of a hash to tell the demo's dozen apart. */
const hashDigits = 8;

export const short = (hash: string) => hash.slice(0, hashDigits);
const bold = (text: string) => styleText('bold', text);
const dim = (text: string) => styleText('dim', text);
const green = (text: string) => styleText('green', text);
const red = (text: string) => styleText('red', text);
const yellow = (text: string) => styleText('yellow', text);

export class Page {
  #acts = 0;
  #surprises = 0;

  /** How many answers were not what the page says. */
  get surprises(): number {
    return this.#surprises;
  }

  title(text: string): void {
    console.log(`\n${bold(text)}\n${dim('─'.repeat(text.length))}`);
  }

  act(text: string): void {
    console.log(`${bold(`${++this.#acts}  ${text}`)}\n`);
  }

  text(text: string): void {
    console.log(`${wrap(text, '   ')}\n`);
  }

  gap(): void {
    console.log();
  }

  fact(name: string, value: string): void {
    console.log(`   ${dim(name.padEnd(12))}${value}`);
  }

  /** One record on its way, in one line. */
  delivery(what: string, replica: string, answer: Answer, asExpected: boolean): void {
    console.log(`   ${what.padEnd(33)} ${dim('→')} ${replica}   ${verdict(answer)} ${this.#mark(asExpected)}`);
  }

  refusal(title: string, sent: string, replica: string, answer: Answer, asExpected: boolean, why: string): void {
    console.log(`   ${bold(title)}`);
    block('sent', `${sent} ${dim('→')} ${replica}`);
    block('answered', `${verdict(answer)} ${this.#mark(asExpected)}`);
    if ('error' in answer && answer.error !== undefined) block('', dim(`"${answer.error}"`));
    block('because', why);
    this.gap();
  }

  /** What a command printed, as it printed it. */
  output(command: string, lines: string, asExpected: boolean): void {
    console.log(`   ${dim('$')} ${command} ${this.#mark(asExpected)}`);
    for (const line of lines.trimEnd().split('\n')) console.log(`   ${line}`);
  }

  chain(deviceId: string, links: readonly Link[]): void {
    console.log(`   ${dim('○')} ${dim(`${short('0'.repeat(64))}  where the chain of ${deviceId} begins`)}`);
    for (const { sequence, recordHash, prevRecordHash, replica, what } of links) {
      console.log(`   ${dim('│')}`);
      const link = dim(`links to ${short(prevRecordHash)}`);
      console.log(`   ${green('●')} ${short(recordHash)}  ${bold(String(sequence))}  ${link}  ${replica}  ${what}`);
    }
  }

  end(): void {
    const wrong = this.#surprises === 1 ? 'One answer was' : `${this.#surprises} answers were`;
    const ending = this.#surprises === 0 ? green('Every answer was the expected one.') : red(`${wrong} not expected.`);
    console.log(`   ${ending}\n`);
  }

  #mark(asExpected: boolean): string {
    if (asExpected) return green('✓');
    this.#surprises++;
    return red('✗ not what was expected');
  }
}

function verdict(answer: Answer): string {
  if ('broken' in answer) return yellow(`no answer (${answer.broken})`);
  if (answer.recordHash !== undefined) return `${green(`${answer.status} accepted`)}  ${short(answer.recordHash)}`;
  const flag = answer.identical === undefined ? '' : dim(` identical: ${answer.identical}`);
  return `${red(`${answer.status} ${answer.code}`)}${flag}`;
}

const labelColumns = 15;

function block(label: string, text: string): void {
  const indent = ' '.repeat(labelColumns);
  console.log(`     ${dim(label.padEnd(labelColumns - 5))}${wrap(text, indent).trimStart()}`);
}

function wrap(text: string, indent: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && indent.length + line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line) => indent + line).join('\n');
}
