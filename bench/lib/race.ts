/** Contenders take turns; their times, and how many dispatches each takes, are told and written. */
import type { OpenDevice } from '../../runtime/index.ts';
import { countDispatches } from './dispatches.ts';
import { measure, type Contender } from './measure.ts';
import { peerVersions } from './peers.ts';
import { footer, machine, sampleTable, writeJson } from './report.ts';

interface Told {
  readonly rounds: number;
  readonly json?: string;
}

export async function race(contenders: readonly Contender[], open: OpenDevice, { rounds, json }: Told): Promise<void> {
  const dispatches = new Map<string, number>();
  for (const one of contenders) dispatches.set(one.name, await countDispatches(one));
  const measured = await measure(contenders, rounds);
  console.log(sampleTable(measured, { dispatches: ({ name }) => String(dispatches.get(name)) }));
  console.log(footer(measured, open.spec));
  writeJson(json, {
    machine: machine(open.spec),
    peers: peerVersions(),
    ...measured,
    dispatches: Object.fromEntries(dispatches),
  });
}
