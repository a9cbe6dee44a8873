import { serveConfig } from '../config.ts';
import { type CommandFactory, command, example } from './command.ts';
import { runServe } from './serve-run.ts';
import { addServiceOptions } from './service-options.ts';
import { addStoreOptions, configOf } from './store-options.ts';

export const serve: CommandFactory = (io) => {
  const serving = addServiceOptions(
    addStoreOptions(command(io, 'serve', 'Take records over HTTP, verify them, keep them')),
    '0.0.0.0:8080',
  )
    .addHelpText('after', example('eds serve --database-url postgres://localhost/edgesentry --store-dir ./payloads'))
    .action(() => runServe(configOf(serving, serveConfig), io));
  return serving;
};
