import { serveTlsConfig } from '../config.ts';
import { type CommandFactory, command, example, option } from './command.ts';
import { runServe } from './serve-run.ts';
import { addServiceOptions } from './service-options.ts';
import { addStoreOptions, configOf } from './store-options.ts';

export const serveTls: CommandFactory = (io) => {
  const serving = addServiceOptions(
    addStoreOptions(command(io, 'serve-tls', 'As serve, over TLS; changed certificate files are taken up as it runs')),
    '0.0.0.0:8443',
  )
    .addOption(option('--tls-cert <file>', 'certificate chain as PEM, the own one first'))
    .addOption(option('--tls-key <file>', 'its private key as PEM, not encrypted'))
    .addOption(option('--tls-client-ca <file>', 'CAs of client certificates as PEM; without it none is asked for'))
    .addOption(option('--tls-client-auth <mode>', 'whether one is needed: required or optional; required otherwise'))
    .addOption(option('--tls-client-crl <file>', 'revoked client certificates: one CRL as PEM for each CA'))
    .addHelpText(
      'after',
      example(
        'eds serve-tls --tls-cert tls.crt --tls-key tls.key --database-url postgres://localhost/edgesentry --store-dir ./payloads',
      ),
    )
    .addHelpText('after', '\nSIGHUP reads the files again; they are watched as well.')
    .action(() => runServe(configOf(serving, serveTlsConfig), io));
  return serving;
};
