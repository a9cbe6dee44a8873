import type { DeviceRegistry } from '../ledger/device-registry.ts';
import { type CommandFactory, command, example } from './command.ts';
import { addRegistryOptions, withRegistry } from './device-access.ts';

export const deviceGateway: CommandFactory = (io) => {
  const parent = command(io, 'gateway', 'Which client certificates may speak for a device besides its own');
  for (const make of [add, remove]) parent.addCommand(make(io));
  return parent;
};

const add = changing(
  'add',
  'Let certificates with this name speak for the device; again changes nothing',
  (registry, id, identity) => registry.addGateway(id, identity),
  (id, identity) => `gateway ${identity} may speak for ${id}`,
);

const remove = changing(
  'remove',
  'Take that back at once',
  (registry, id, identity) => registry.removeGateway(id, identity),
  (id, identity) => `gateway ${identity} may no longer speak for ${id}`,
);

function changing(
  name: string,
  description: string,
  change: (registry: DeviceRegistry, id: string, identity: string) => Promise<void>,
  done: (id: string, identity: string) => string,
): CommandFactory {
  return (io) => {
    const changing = addRegistryOptions(command(io, name, description))
      .argument('<id>', 'device id')
      .argument('<identity>', "a name in the gateway's certificate: a URI or DNS name of its SAN, or its CN")
      .addHelpText('after', example(`eds device gateway ${name} lift-01 gateway-7.site.example`))
      .action(async (id: string, identity: string) => {
        await withRegistry(changing, (registry) => change(registry, id, identity));
        io.stdout.write(`${done(id, identity)}\n`);
      });
    return changing;
  };
}
