/** `ditc tune` from the model file to the table: what is built as which command builds it, measured, and written as it comes. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { defaultEntries } from '../../compiler/dsl/model.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import type { Plan } from '../../compiler/plans/registry.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import { writeAtomically } from '../../runtime/node/file.ts';
import { SAMPLING_ENTRIES } from '../../runtime/sample.ts';
import { UsageError } from '../errors.ts';
import { startProgram } from '../gpu.ts';
import { checkEntry, compile, homeOf, type LoadedModel } from '../model.ts';
import { startProgress } from '../progress.ts';
import { DEFAULT_BATCH } from '../sampler-batch.ts';
import { settingsOf } from '../sample/settings.ts';
import type { Terminal } from '../terminal.ts';
import { fillConstants } from '../verify/values.ts';
import { readTable, usualTable } from '../../library/tuning/find.ts';
import { OFF } from '../../library/tuning/option.ts';
import { shownPath } from '../../library/tuning/path.ts';
import { adapterOf, isFor, tableText } from '../../library/tuning/table.ts';
import { wrongText } from './text.ts';
import { jobsFor, tuneEntries, type Tuned, type TuneResult } from './tune.ts';

export interface TuneRequest {
  readonly entry?: readonly string[];
  readonly batch?: number;
  readonly dtype?: Precision;
  readonly out?: string;
  /** Measures what the table has already, too. */
  readonly again?: boolean;
}

/** Entries that are compiled together, as the command that runs them compiles them. */
interface Build {
  readonly device: DeviceSpec;
  readonly entries: readonly string[];
  readonly entryOptions: Readonly<Record<string, unknown>> & { readonly batch: number };
}

function buildsOf({ model, name, source }: LoadedModel, device: DeviceSpec, { entry, batch }: TuneRequest): Build[] {
  for (const asked of entry ?? []) checkEntry(asked, Object.keys(model.entries), source);
  const all = [...new Set(entry ?? defaultEntries(model))];
  const isSampling = (each: string) => (SAMPLING_ENTRIES as readonly string[]).includes(each);
  const others = { device, entries: all.filter((each) => !isSampling(each)), entryOptions: { batch: batch ?? 1 } };
  // As ditc sample does: its pictures hang on no batch.
  const sampling = {
    device: { ...device, steady: true },
    entries: all.filter(isSampling),
    entryOptions: { ...settingsOf(name, model, {}), batch: batch ?? DEFAULT_BATCH },
  };
  return [others, sampling].filter(({ entries }) => entries.length);
}

export async function tuneModel(
  loaded: LoadedModel,
  open: OpenDevice,
  request: TuneRequest,
  terminal: Terminal,
  stop: AbortSignal,
): Promise<TuneResult> {
  const adapter = adapterOf(open.spec);
  const out = request.out ?? usualTable(homeOf(loaded) ?? process.cwd(), open.spec);
  const plans = plansIn(out, open.spec, terminal);
  const kept = plans.size;
  const known = new Set(request.again ? [] : plans.keys());
  const tuned: Tuned[] = [];
  const builds = buildsOf(loaded, open.spec, request).map((build) => {
    const compiled = compile(loaded, { terminal, ...build, dtype: request.dtype, tuning: OFF });
    const jobs = jobsFor(compiled.artefact, compiled.entries, build.device, (kind) => known.has(kind));
    return { ...build, ...compiled, jobs };
  });
  const total = builds.reduce((sum, { jobs }) => sum + jobs.length, 0);
  for (const { device, artefact, entries, jobs } of builds) {
    if (stop.aborted) break;
    if (!jobs.length) continue;
    const names = entries.map(({ name }) => name);
    const program = await startProgram(open, { artefact, entries: names, seed: 0 }, terminal);
    const bar = startProgress(terminal, 'tuning', total, 'kernels');
    try {
      await fillConstants(program, 0, { params: true });
      await tuneEntries(program, jobs, {
        device,
        stop,
        onClass(kernel, count) {
          bar.update(tuned.length, total);
          bar.note(`${kernel}, ${count} plans`);
        },
        async onTuned(made) {
          tuned.push(made);
          if (made.ownWrong !== undefined) terminal.err(wrongText(made));
          if (!made.best) return;
          plans.set(made.kind, made.best);
          mkdirSync(dirname(out), { recursive: true });
          await writeAtomically(out, (write) => write(Buffer.from(tableText(adapter, plans))));
        },
      });
    } finally {
      bar.stop();
      program.close();
    }
  }
  return { out, tuned, kept, total, stopped: stop.aborted };
}

/** The plans of a table that is there already. One of an older driver is begun anew. */
function plansIn(path: string, device: DeviceSpec, terminal: Terminal): Map<string, Plan> {
  if (!existsSync(path)) return new Map();
  const { table } = readTable(path);
  const own = adapterOf(device);
  if (isFor(table, own)) return new Map([...table.lines].map(([kind, { plan }]) => [kind, plan]));
  if (table.device !== own.device) {
    const why = `it is a table for ${table.device}, this is ${own.device}`;
    throw new UsageError({ what: `--out is ${path}`, why, fix: 'give another --out' });
  }
  terminal.err(`note: ${shownPath(path)} is of the driver ${table.driver}, this is ${own.driver}: it is made anew`);
  return new Map();
}
