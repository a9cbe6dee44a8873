import { type CommandFactory, command, option } from './command.ts';
import { addRegistryOptions, withRegistry } from './device-access.ts';
import { deviceApply } from './device-apply.ts';
import { deviceEnrol } from './device-enrol.ts';
import { deviceGateway } from './device-gateway.ts';
import { deviceHistory } from './device-history.ts';
import { register, revoke, rotate } from './device-keys.ts';
import { devicesJson, devicesTable } from './device-text.ts';
import { addLedgerOptions } from './store-options.ts';

export const device: CommandFactory = (io) => {
  const parent = command(io, 'device', 'The registry: which devices may send, and with which keys');
  for (const make of commands) parent.addCommand(make(io));
  return parent;
};

const list: CommandFactory = (io) => {
  const listing = addLedgerOptions(command(io, 'list', 'Every device with its keys and gateways'))
    .addOption(option('--json', 'in the form that `eds device apply` reads').default(false))
    .action(async ({ json }: { json: boolean }) => {
      const devices = await withRegistry(listing, (registry) => registry.list());
      io.stdout.write(json ? devicesJson(devices) : devicesTable(devices));
    });
  return listing;
};

const suspend = enabling('suspend', false, 'Refuse whatever the device sends, until it is resumed');
const resume = enabling('resume', true, 'Take what a suspended device sends again');

function enabling(name: string, enabled: boolean, description: string): CommandFactory {
  return (io) => {
    const setting = addRegistryOptions(command(io, name, description))
      .argument('<id>', 'device id')
      .action(async (id: string) => {
        await withRegistry(setting, (registry) => registry.setEnabled(id, enabled));
        io.stdout.write(`${enabled ? 'resumed' : 'suspended'} ${id}\n`);
      });
    return setting;
  };
}

/** In the order of `eds device --help`. */
const commands: readonly CommandFactory[] = [
  deviceEnrol,
  register,
  list,
  rotate,
  revoke,
  suspend,
  resume,
  deviceGateway,
  deviceApply,
  deviceHistory,
];
