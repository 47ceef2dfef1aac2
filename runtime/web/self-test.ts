/**
 * Drivers compute wrongly now and then, and pictures do not show how. Before a variant is used, a small model with kernels of its kinds
 * (products, a norm, attention) is run and held against what it is in float64.
 */
import type { Resource } from '../../compiler/emit/artefact.ts';
import { Program } from '../program.ts';
import { unpacked } from './artefact.ts';
import type { SelfTestFile } from './model-file.ts';

/** What is wrong with what the device computes; undefined where nothing is. */
export async function wrongValues(device: GPUDevice, test: SelfTestFile): Promise<string | undefined> {
  const artefact = unpacked(test.artefact);
  const [entry] = Object.keys(artefact.manifest.entries);
  const program = await Program.create(device, artefact);
  try {
    for (const [name, values] of Object.entries(test.inputs)) program.write(name, Float32Array.from(values));
    await program.run(entry);
    for (const [name, expected] of Object.entries(test.expected)) {
      const found = (await program.readOutput(entry, name)) as Float32Array;
      const bound = test.tolerance * Math.max(...expected.map(Math.abs));
      const at = expected.findIndex((value, i) => !(Math.abs(found[i] - value) <= bound));
      if (at >= 0) return `kernel ${kernelOf(artefact, entry, name)} gives ${found[at]} for ${expected[at]}`;
    }
    return undefined;
  } finally {
    program.close();
  }
}

function kernelOf({ manifest }: ReturnType<typeof unpacked>, entry: string, output: string): string {
  const { outputs, dispatches } = manifest.entries[entry];
  const { resource } = outputs.find(({ name }) => name === output)!;
  return dispatches.findLast(({ resources }) => resources.some((bound) => covers(bound, resource)))?.kernel ?? output;
}

/** Whether a kernel that binds `a` has all of `b`: what lies side by side in an arena may be bound together. */
const covers = (a: Resource, b: Resource): boolean =>
  a.kind === 'arena' && b.kind === 'arena'
    ? a.arena === b.arena && a.offset <= b.offset && b.offset + b.size <= a.offset + a.size
    : JSON.stringify(a) === JSON.stringify(b);
