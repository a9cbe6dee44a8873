import type { Command } from 'commander';
import { option } from './command.ts';

/** Of every service that takes records over HTTP. Options are text here: config.ts checks them all together. */
export function addServiceOptions(command: Command, ingestAddress: string): Command {
  return command
    .addOption(option('--addr <host:port>', 'ingest port').default(ingestAddress))
    .addOption(option('--ops-addr <host:port>', 'operations port: probes and metrics').default('0.0.0.0:9464'))
    .addOption(
      option('--allowed-sources <list>', 'addresses and CIDR blocks that may send, with commas').default('127.0.0.1'),
    )
    .addOption(option('--trusted-proxies <list>', 'addresses and CIDR blocks whose X-Forwarded-For counts').default(''))
    .addOption(
      option('--proxy-protocol-from <list>', 'load balancers that send a PROXY protocol header, v1 or v2').default(''),
    )
    .addOption(
      option('--connections-per-source-max <n>', 'open connections of one address; proxies are exempt').default('4096'),
    )
    .addOption(option('--limit-source <rate>', 'records of one source address: off, RATE or RATE:BURST').default('off'))
    .addOption(option('--limit-device <rate>', 'records of one device').default('1000:100000'))
    .addOption(option('--limit-pod <rate>', 'records of all together').default('off'))
    .addOption(
      option('--limit-refused <rate>', 'refusals of one source address; past it nothing of it is read').default(
        '100:1000',
      ),
    )
    .addOption(
      option('--clock-skew-seconds-max <n>', "how far a record's time may be off before its row is flagged").default(
        '300',
      ),
    )
    .addOption(option('--device <id=key>', 'register this device at the start: ID=PUBKEY_HEX').repeatable())
    .addOption(
      option('--object-ref-scope <scope>', "device: object_ref must lie under the device's id; any").default('device'),
    )
    .addOption(option('--payload-bytes-max <n>', 'the largest payload').default(String(1024 * 1024)))
    .addOption(option('--drain-seconds <n>', 'how long requests in flight may take after SIGTERM').default('25'))
    .addOption(option('--log-level <level>', 'trace, debug, info, warn, error or silent').default('info'));
}
