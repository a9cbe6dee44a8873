import type { Command } from 'commander';
import { option } from './command.ts';

/** Of every service that takes records over HTTP. Options are text here: config.ts checks them all together. */
export function addServiceOptions(command: Command): Command {
  return command
    .addOption(option('--addr <host:port>', 'ingest port').default('0.0.0.0:8080'))
    .addOption(option('--ops-addr <host:port>', 'operations port: probes and metrics').default('0.0.0.0:9464'))
    .addOption(
      option('--allowed-sources <list>', 'addresses and CIDR blocks that may send, with commas').default('127.0.0.1'),
    )
    .addOption(option('--trusted-proxies <list>', 'addresses and CIDR blocks whose X-Forwarded-For counts').default(''))
    .addOption(option('--device <id=key>', 'register this device at the start: ID=PUBKEY_HEX').repeatable())
    .addOption(
      option('--object-ref-scope <scope>', "device: object_ref must lie under the device's id; any").default('device'),
    )
    .addOption(option('--payload-bytes-max <n>', 'the largest payload').default(String(1024 * 1024)))
    .addOption(option('--drain-seconds <n>', 'how long requests in flight may take after SIGTERM').default('25'))
    .addOption(option('--log-level <level>', 'trace, debug, info, warn, error or silent').default('info'));
}
