import { bucketInit } from './bucket-init.ts';
import { bucketPolicy } from './bucket-policy.ts';
import { type CommandFactory, command } from './command.ts';

export const bucket: CommandFactory = (io) =>
  command(io, 'bucket', 'Prepare the payload store').addCommand(bucketInit(io)).addCommand(bucketPolicy(io));
