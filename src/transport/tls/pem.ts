import { X509Certificate } from 'node:crypto';

/** A file and the flag that names it. */
export type PemSource = { readonly flag: string; readonly file: string };
export type PemText = PemSource & { readonly text: string };

/** What is wrong with a file, for whoever set the flag. */
export function problem({ flag, file }: PemSource, text: string): string {
  return `${flag} ${file}: ${text}`;
}

/** RFC 7468. An end that is missing gives a block up to the end of the file, which then does not parse. */
export function pemBlocks(text: string, label: string): string[] {
  return text.match(new RegExp(`-----BEGIN ${label}-----[^]*?(?:-----END ${label}-----|$)`, 'g')) ?? [];
}

/** The certificates of a PEM file in their order; none, and a problem, where one of them does not parse. */
export function parseCertificates(source: PemText, problems: string[]): readonly X509Certificate[] {
  const blocks = pemBlocks(source.text, 'CERTIFICATE');
  if (blocks.length === 0)
    problems.push(problem(source, 'holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)'));
  const certificates = blocks.flatMap((block, index) => {
    try {
      const certificate = new X509Certificate(block);
      // OpenSSL reads any text as a date, and Node then has NaN for it, which no comparison would refuse.
      if ([certificate.validFromDate, certificate.validToDate].every((date) => !Number.isNaN(date.getTime())))
        return [certificate];
      problems.push(
        problem(source, `certificate ${index + 1} is valid from or to a date that is none: have it issued anew`),
      );
      return [];
    } catch {
      problems.push(problem(source, `certificate ${index + 1} does not parse: was the file cut short?`));
      return [];
    }
  });
  return certificates.length === blocks.length ? certificates : [];
}
