/** What is told when a training fails: what went wrong, where the values came from, what is left, and how to go on. */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { DitcError, formatType } from '../../compiler/ir/index.ts';
import { RuntimeError } from '../../runtime/error.ts';
import type { Terminal } from '../terminal.ts';
import { reference, type Check } from '../verify/check.ts';
import { saveCheck } from '../verify/save.ts';
import { startProgress } from '../progress.ts';
import { findOrigin, type Finding, type Repeat } from './astray.ts';
import type { NotFinite } from './not-finite.ts';

/** What is known when the error comes. */
export interface Failed {
  readonly source: string;
  /** The last good checkpoint. */
  readonly checkpoint?: string;
  /** Where the first value that is not finite came from, in lines; at which place of the source. */
  readonly origin?: { readonly lines: readonly string[]; readonly where?: string; readonly isBroken?: boolean };
}

export function explained(error: unknown, { source, checkpoint, origin }: Failed): unknown {
  if (!(error instanceof DitcError || error instanceof RuntimeError)) return error;
  const { code, what } = error;
  const fix = code === 'bad-example' ? 'remove or replace it, or leave such out with --on-bad skip' : error.fix;
  const left = checkpoint ? `the last good checkpoint is ${checkpoint}` : 'there is no checkpoint yet';
  const why = [error.why, ...(origin?.lines ?? []), left].filter(Boolean).join('\n');
  const again = checkpoint ? `; then go on with --resume ${checkpoint}` : '';
  const where = origin?.where ?? error.where;
  const cause = { cause: error };
  if (code !== 'not-finite')
    return new DitcError({ code, what, where, why, fix: `${fix ?? 'see above'}${again}` }, cause);
  const how = checkpoint ? `go on with --resume ${checkpoint}` : 'begin anew';
  const report = `report it with that folder; ${how} on another device`;
  if (origin?.isBroken) return new DitcError({ code, what, where, why, fix: report }, cause);
  const verify = `whether the kernels compute right tells ditc verify ${source}`;
  return new DitcError({ code, what, where, why, fix: `${how} and a lower --lr or --clip 1; ${verify}` }, cause);
}

/**
 * Looks for the kernel that made the first value that is not finite. A failed check is saved in `folder`. What goes wrong
 * here is told as a line of its own: the failure that is looked into matters more.
 */
export async function originLines(
  error: NotFinite,
  repeat: Omit<Repeat, 'onProgress'>,
  { artefact, folder, terminal }: { artefact: Artefact; folder: string; terminal: Terminal },
): Promise<NonNullable<Failed['origin']>> {
  const bar = startProgress(terminal, 'taking the steps again', error.step, 'steps');
  if (!terminal.interactive) terminal.err(`${error.what}: taking the steps again to find the kernel`);
  try {
    const finding = await findOrigin({ ...repeat, onProgress: (step) => bar.update(step) }, error);
    if (!finding)
      return { lines: ['taken again, the steps gave finite values: the device does not compute the same twice'] };
    if (!('check' in finding))
      return { lines: [`${finding.value} was not finite before step ${finding.step}, and no kernel made it so`] };
    return await told(finding, artefact, folder);
  } catch (failure) {
    if (repeat.stop.aborted) return { lines: ['Ctrl-C ended the search for the kernel'] };
    return {
      lines: [`the kernel could not be found: ${failure instanceof Error ? failure.message : String(failure)}`],
    };
  } finally {
    bar.stop();
  }
}

async function told({ step, check }: Extract<Finding, { check: Check }>, artefact: Artefact, folder: string) {
  const { dispatch, evidence, worst } = check;
  const where = dispatch.source[dispatch.source.length - 1];
  const made = `${formatType(evidence.output)}: ${dispatch.ops.join(' → ')}`;
  const first = `the first such value is made by kernel ${dispatch.kernel} in step ${step}, ${made}`;
  if (check.agrees || (await overflows(check)))
    return {
      where,
      lines: [
        first,
        `${evidence.output.dtype === 'f16' ? 'float16' : 'float32'} holds no larger numbers: ${largest(evidence)}`,
      ],
    };
  const saved = saveCheck(folder, check, artefact);
  const at = worst?.index.length ? ` at [${worst.index.join(',')}]` : '';
  const differs = worst && `${String(worst.got)}${at}, where the reference has ${String(Math.fround(worst.want))}`;
  return {
    where,
    isBroken: true,
    lines: [
      first,
      `the kernel computes wrong on this device: ${differs}`,
      `saved in ${saved}/: inputs/*.npy, got.npy, expected.npy, kernel.wgsl, region.ir`,
    ],
  };
}

/** Whether the same computation, every op rounded to float32, is not finite where the kernel's result is not. */
async function overflows({ evidence }: Check): Promise<boolean> {
  const { graph, inputs, output, got } = evidence;
  const all = await reference(graph, inputs, { f32: true });
  const rounded = all[graph.outputs.findIndex(({ name }) => name === output.name)];
  return Array.from(got).every((value, i) => Number.isFinite(value) || !Number.isFinite(rounded[i]));
}

/** The largest number that the kernel read, by name: what has grown out of bounds. */
function largest({ inputs }: Check['evidence']): string {
  let [most, name] = [0, ''];
  for (const [input, values] of Object.entries(inputs))
    for (const value of values) if (Math.abs(value) > most) [most, name] = [Math.abs(value), input];
  if (!name) return 'it reads only zeros';
  return `the largest number that it reads is ${most.toPrecision(3)}, in ${name}`;
}
