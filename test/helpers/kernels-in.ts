/** The kernels of a model run in a browser, and each held to the float64 reference of what it read there. */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { checkDispatch, jobsOf, specOf, type Check, type Job } from '../../cli/verify/check.ts';
import { resourcesOf } from '../../cli/verify/resources.ts';
import { compileModel } from '../../compiler/compile.ts';
import type { Model } from '../../compiler/dsl/model.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { EntryInput } from '../../compiler/emit/build.ts';
import { regionGraph } from '../../compiler/emit/region-graph.ts';
import { operandsOf } from '../../compiler/fusion/regions.ts';
import type { Stepper } from '../../runtime/stepper.ts';
import type { Values } from '../../runtime/transfer.ts';
import { packed } from '../../library/web/pack.ts';
import type { WebVariant } from '../../library/web/variants.ts';
import type { Engine } from './engines.ts';
import type { Seen, Watched } from './kernels-page.ts';
import { visit } from './web-page.ts';

export interface Built {
  readonly artefact: Artefact;
  readonly entries: readonly EntryInput[];
}

/** A model as a variant has it; `wanted` entries, or all. */
export function compileFor(model: Model, { device, dtype }: WebVariant, wanted?: readonly string[], batch = 1): Built {
  const entries: EntryInput[] = [];
  const artefact = compileModel(model, {
    ...{ name: 'model', source: 'model.ts', device, dtype, entries: wanted, entryOptions: { ...model.options, batch } },
    onEntry: (entry) => entries.push(entry),
  });
  return { artefact, entries };
}

let script: Promise<string> | undefined;
const pageModule = () => (script ??= bundled(fileURLToPath(new URL('kernels-page.ts', import.meta.url))));

async function bundled(entry: string): Promise<string> {
  const { outputFiles } = await build({
    ...{ entryPoints: [entry], bundle: true, write: false, format: 'esm', platform: 'browser', target: 'es2022' },
  });
  return outputFiles[0].text;
}

async function inPage<T>(engine: Engine, call: string, data: Readonly<Record<string, unknown>>): Promise<T> {
  const files = new Map([
    ['kernels.js', await pageModule()],
    ['data.json', JSON.stringify(data)],
  ]);
  const { result } = await visit(
    engine,
    files,
    `const page = await import('./kernels.js'); const data = await (await fetch('data.json')).json(); return ${call};`,
  );
  const { error } = result as { error?: { message: string } };
  if (error) throw new Error(`${engine.name}: ${error.message}`);
  return result as T;
}

/** What the front end of the browser has against each shader, in order; '' where it takes it. */
export const objections = (engine: Engine, shaders: readonly string[]): Promise<string[]> =>
  inPage(engine, 'page.objections(data.shaders)', { shaders });

/** Each kernel's first dispatch in the browser, on values drawn from a seed. */
export async function checksIn(engine: Engine, { artefact, entries }: Built): Promise<Check[]> {
  const jobs = jobsOf(artefact, entries);
  const data = { artefact: packed(artefact), watched: jobs.map(watchedOf) };
  const seen = await inPage<Seen[]>(engine, 'page.watch(data.artefact, data.watched)', data);
  return Promise.all(jobs.map((job, i) => checkDispatch(replayed(seen[i], data.watched[i]), job)));
}

function watchedOf({ entry, index, dispatch, region }: Job): Watched {
  const graph = regionGraph(region);
  const lies = resourcesOf(region, dispatch);
  const reads = operandsOf(region).map((node, i) => {
    const { attrs, type } = graph.inputs[i];
    return { spec: specOf(attrs.name, type), resource: lies.get(node)! };
  });
  const writes = region.results.map(({ node }, i) => {
    const { name } = graph.outputs[i];
    return { spec: specOf(name, node.type), resource: lies.get(node)!, replaces: region.replaces.has(node) };
  });
  return { entry, index, reads, writes };
}

/** The dispatch as it was run in the page, read in the same order. */
function replayed({ before, after }: Seen, { reads, writes }: Watched): Stepper {
  const values = [...before, ...after];
  const places = [...reads, ...writes];
  let next = 0;
  const read = () => {
    const bytes = Uint8Array.from(Buffer.from(values[next], 'base64'));
    return Promise.resolve(asType(places[next++].spec.dtype, bytes.buffer));
  };
  const done = () => {};
  return { read, poison: done, run: done, write: done } as unknown as Stepper;
}

function asType(dtype: string, buffer: ArrayBuffer): Values {
  if (dtype === 'f32' || dtype === 'f16') return new Float32Array(buffer);
  return dtype === 'i32' ? new Int32Array(buffer) : new Uint32Array(buffer);
}
