/**
 * What the compiler's own ideas are worth over regions alone: DiT-S/2's forward with everything, and as a compiler would
 * run it that only absorbs pointwise ops and views into products and row reductions: no rewrite rules (no online
 * attention, no merged linears), no row statistics inside products.
 */
import { withDevice } from '../cli/gpu.ts';
import type { Artefact } from '../compiler/emit/artefact.ts';
import { pipeline } from '../compiler/pipeline.ts';
import { PORTABLE } from '../compiler/device.ts';
import type { Plan } from '../compiler/plans/registry.ts';
import { without } from '../compiler/fusion/passes.ts';
import type { Group } from '../compiler/plans/family.ts';
import { dit, sizes } from '../models/dit.ts';
import type { Program } from '../runtime/index.ts';
import { mustBeWithin, relativeError, values } from './lib/check.ts';
import { compileEntry, contender, loadEntry, type Compiling } from './lib/ditc.ts';
import { measure } from './lib/measure.ts';
import { footer, machine, options, sampleTable, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/regions.ts [options]   DiT-S/2 forward: the whole compiler against regions alone

  --depth N     blocks (12): fewer for a slow device
  --slow        also the plans for any device: on a software GPU minutes a run`;
const { rounds, json, count, flag } = options(HELP, {
  depth: { type: 'string', default: '12' },
  slow: { type: 'boolean', default: false },
});
const depth = count('depth');

const regionsOnly: Compiling = {
  passes: pipeline.filter(({ name }) => name !== 'recognise'),
  fusion: without('fuse-row-statistics', 'partial-statistics', 'share-rows'),
};

/** Every matrix product by the plan that needs nothing of the device. */
const simpleProducts = ({ anchor }: Group): Plan | undefined =>
  anchor?.op === 'matmul' ? { family: 'product-simple', workgroup: 64 } : undefined;

const variants: Record<string, Compiling> = {
  everything: {},
  'regions only': regionsOnly,
  ...(flag('slow') && {
    'everything, portable plans': { device: PORTABLE },
    'regions only, portable plans': { ...regionsOnly, device: PORTABLE },
    'regions only, simple products': { ...regionsOnly, plan: simpleProducts },
  }),
};

/** Labels and times are in range, weights of a size that keeps activations near 1. */
function data(name: string, shape: readonly number[]): Float32Array | Int32Array {
  if (name === 'y') return Int32Array.of(207);
  if (name === 't') return Float32Array.of(417);
  const length = shape.reduce((n, size) => n * size, 1);
  const seed = [...name].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 65521, 7) + 1;
  return values(length, seed, name === 'x' ? 1 : (3 / (shape[shape.length - 1] || 1)) ** 0.5);
}

await withDevice(async (open) => {
  const model = dit({ ...sizes.S, patchSize: 2, depth });
  const programs = new Map<string, { artefact: Artefact; program: Program }>();
  let want: ArrayLike<number> | undefined;
  for (const [name, compiling] of Object.entries(variants)) {
    const artefact = compileEntry(open, model.entries.forward, compiling);
    const program = await loadEntry(open, artefact, data);
    await program.run('main');
    const got = await program.readOutput('main', 'out');
    mustBeWithin(name, relativeError(got, (want ??= got)), 1e-5);
    programs.set(name, { artefact, program });
  }
  const measured = await measure(
    [...programs].map(([name, { program }]) => contender(name, program)),
    rounds,
  );
  const entry = (name: string) => programs.get(name)!.artefact.manifest.entries.main;
  console.log(
    sampleTable(measured, {
      dispatches: ({ name }) => String(entry(name).dispatches.length),
      'activations MB': ({ name }) => (entry(name).memory.activationPeakBytes / 1e6).toFixed(2),
      'moved MB': ({ name }) => {
        const moved = entry(name).dispatches.reduce((sum, d) => sum + d.bytesRead + d.bytesWritten, 0);
        return (moved / 1e6).toFixed(0);
      },
    }),
  );
  console.log(footer(measured, open.spec));
  const counts = [...programs.keys()].map((name) => ({
    name,
    dispatches: entry(name).dispatches.length,
    ...entry(name).memory,
  }));
  writeJson(json, {
    machine: machine(open.spec),
    forward: `DiT-S/2 of ${depth} blocks, batch 1`,
    ...measured,
    variants: counts,
  });
  for (const { program } of programs.values()) program.close();
});
