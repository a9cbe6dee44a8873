import { type RelayConfig, relayConfig } from '../config.ts';
import { type CommandFactory, command, example, type Io, option } from './command.ts';
import { addServiceOptions } from './service-options.ts';
import { configOf } from './store-options.ts';

export const relay: CommandFactory = (io) => {
  const relaying = addServiceOptions(
    command(io, 'relay', 'Take records at a site as serve does, keep them on disk, forward them to the centre')
      .addOption(option('--upstream <url>', 'of the centre'))
      .addOption(option('--data-dir <dir>', "the relay's database; created where there is none"))
      .addOption(
        option('--queue-bytes-max <n>', 'records and payloads that may wait for the centre').default(
          String(1024 * 1024 * 1024),
        ),
      ),
    '0.0.0.0:8080',
  )
    .addHelpText('after', example('eds relay --upstream https://ingest.example --data-dir ./relay --device ID=KEY'))
    .addHelpText(
      'after',
      '\nKeys given by --device are kept in the data directory; given again, they take the place of those kept.',
    )
    .action(() => run(configOf(relaying, relayConfig), io));
  return relaying;
};

/** The composition root of a site. */
async function run(config: RelayConfig, io: Io): Promise<void> {
  // It has no files to read again, and a hangup must not end it.
  using _hangup = io.onReload?.(() => {});
  const { openRelay } = await import('./relay-service.ts');
  const { serveHttp } = await import('./http-service.ts');
  const service = await openRelay(config, io);
  await serveHttp(
    {
      ...service,
      config,
      stored: 'relay',
      checks: [{ name: 'queue', check: async () => void service.status() }],
      background: () => service.forwarder.run(),
    },
    io,
  );
}
