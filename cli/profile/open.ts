/** What `ditc profile` measures: an artefact's entries on a device, each with what it goes on from. */
import { statSync } from 'node:fs';
import type { Artefact, EntrySpec, Manifest } from '../../compiler/emit/artefact.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import { readArtefact } from '../../runtime/node/artefact.ts';
import { partsOf } from '../../runtime/parts.ts';
import type { Program } from '../../runtime/program.ts';
import { unstarted } from '../../runtime/starts.ts';
import { countOf } from '../../runtime/buffers.ts';
import { CHUNK } from '../../runtime/transfer.ts';
import { UsageError } from '../errors.ts';
import { checkEntry, compileArtefact, loadModel } from '../model.ts';
import type { Terminal } from '../terminal.ts';
import { drawInputs } from '../verify/values.ts';

export interface Asked {
  readonly entry?: readonly string[];
  readonly batch?: number;
  readonly dtype?: Precision;
  readonly tuning?: string;
}

export interface Opened {
  readonly artefact: Artefact;
  /** The entries to be measured. */
  readonly measured: readonly string[];
  /** Those, and the ones that begin what they go on from. */
  readonly entries: readonly string[];
}

/** What `path` is, opened and checked as far as it can be without a device. */
export async function openFor(path: string, asked: Asked, terminal: Terminal): Promise<(device: DeviceSpec) => Opened> {
  const { entry, batch, dtype, tuning } = asked;
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    const given = batch !== undefined ? '--batch' : dtype !== undefined ? '--dtype' : undefined;
    const why = `${path} is built already`;
    if (given) throw new UsageError({ what: `${given} is for model files`, why, fix: `build it with ${given}` });
    const artefact = await readArtefact(path);
    for (const name of entry ?? []) checkEntry(name, Object.keys(artefact.manifest.entries), path);
    const opened = opening(artefact, entry);
    return () => opened;
  }
  const loaded = loadModel(path, terminal);
  for (const name of entry ?? []) checkEntry(name, Object.keys(loaded.model.entries), loaded.source);
  return (device) => {
    const compiled = (entries?: readonly string[]) =>
      compileArtefact(loaded, { terminal, device, entries, entryOptions: { batch: batch ?? 1 }, dtype, tuning });
    const artefact = compiled(entry);
    const starters = startersOf(artefact.manifest, entry ?? Object.keys(artefact.manifest.entries));
    const known = Object.keys(artefact.manifest.entries);
    const missing = starters.filter((name) => !known.includes(name) && Object.hasOwn(loaded.model.entries, name));
    return opening(missing.length ? compiled([...(entry ?? known.filter(isOwn)), ...missing]) : artefact, entry);
  };
}

/** Preludes come with the entry that they are of. */
const isOwn = (name: string): boolean => !name.includes('.');

function opening(artefact: Artefact, entry: readonly string[] | undefined): Opened {
  const { entries } = artefact.manifest;
  const parts = new Set(Object.values(entries).flatMap((spec) => (spec.parts ?? []).map((part) => part.entry)));
  const wholes = Object.keys(entries).filter((name) => !parts.has(name));
  const measured = [...new Set(entry ?? wholes)].filter((name) => computes(entries, name));
  const starters = startersOf(artefact.manifest, measured).filter((name) => Object.hasOwn(entries, name));
  return { artefact, measured, entries: [...new Set([...measured, ...starters])] };
}

/** Whether a run of the entry, with its loops, has dispatches. */
const computes = (entries: Manifest['entries'], name: string): boolean =>
  partsOf(entries, name).some((part) => entries[part].dispatches.length > 0);

const startersOf = ({ entries }: Manifest, names: readonly string[]): string[] =>
  names.flatMap((name) => unstarted(entries[name], () => false)?.by ?? []);

/** Gives an entry inputs, and a state to go on from. What it measures does not hang on their values. */
export async function begin(program: Program, entry: string, seed = 0): Promise<void> {
  const { manifest } = program;
  const spec = manifest.entries[entry];
  for (const name of [entry, spec.prelude ?? entry])
    for (const [input, values] of drawInputs(manifest, name, seed)) program.write(input, values);
  const starters = startersOf(manifest, [entry]).filter((name) => program.entries.includes(name));
  for (const name of new Set(starters)) {
    for (const [input, values] of drawInputs(manifest, name, seed)) program.write(input, values);
    await program.run(name);
  }
  const begun = new Set(starters.flatMap((name) => manifest.entries[name].changes.map((change) => change.name)));
  for (const name of unstarted(spec, (state) => begun.has(state))?.states ?? [])
    await program.setState(name, zeros(program, name));
}

function* zeros(program: Program, name: string): Iterable<Float32Array | Int32Array | Uint32Array> {
  const spec = program.states.find((state) => state.name === name)!;
  const Numbers = spec.dtype === 'i32' ? Int32Array : spec.dtype === 'u32' || spec.dtype === 'bool' ? Uint32Array : Float32Array; // prettier-ignore
  const count = countOf(spec);
  for (let at = 0; at < count; at += CHUNK) yield new Numbers(Math.min(CHUNK, count - at));
}

/** A loop's turns are counted, and its tables end where the counter does: each run is its first turn. */
export function rewind(program: Program, { changes }: EntrySpec): void {
  for (const { name, count, dtype } of program.states) {
    if (count === undefined || !changes.some((change) => change.kind === 'state' && change.name === name)) continue;
    program.writeState(name, dtype === 'u32' ? Uint32Array.of(0) : Int32Array.of(0));
  }
}
