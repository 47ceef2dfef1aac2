/** The pass that applies the rules of rules/*.rules: algebra that changes the computation, found in what models wrote. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { once, Remarks, type Graph } from '../ir/index.ts';
import { packConflicts } from './pack-conflicts.ts';
import { withPacksBeside } from './packs-beside.ts';
import { NONE_APART, type Apart } from './packs.ts';
import type { ModelContext } from './pass.ts';
import { applyRules, type RewriteStats } from './engine.ts';
import { parseRules } from './rule-parse.ts';
import type { Rule } from './rule.ts';

const FOLDER = new URL('rules/', import.meta.url);

const read = new Map<string, readonly Rule[]>();

/** The rules of a file of the folder, read once. */
function rulesIn(file: string): readonly Rule[] {
  const url = new URL(file, FOLDER);
  const rules = read.get(file) ?? parseRules(readFileSync(url, 'utf8'), fileURLToPath(url));
  read.set(file, rules);
  return rules;
}

/** Every rule there is, by file and then in the order written. */
export const allRules = once((): readonly Rule[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith('.rules'))
    .sort()
    .flatMap(rulesIn),
);

/** As a device has them; a DeviceSpec is one. */
export interface Limits {
  readonly limits: Readonly<Record<string, number>>;
}

/** What WebGPU promises of every device. */
const MIN_BINDING_BYTES = 2 ** 27;

/** What WebGPU promises of every device. */
const MIN_BUFFERS = 8;

/** The most bytes one binding of the device may have. */
export const maxBindingOf = ({ limits }: Limits): number => limits.maxStorageBufferBindingSize ?? MIN_BINDING_BYTES;

/** Some rules as a pass. */
export const applying =
  (rules: () => readonly Rule[]) =>
  (graph: Graph, { device, ...more }: Applying): Graph =>
    applyRules(graph, rules(), {
      maxBindingBytes: maxBindingOf(device),
      maxReads: (device.limits.maxStorageBuffersPerShaderStage ?? MIN_BUFFERS) - 1,
      ...more,
    });

interface Applying {
  readonly device: Limits;
  readonly remarks?: Remarks;
  readonly apart?: Apart;
  readonly stats?: RewriteStats;
}

/** Rules for what the gradients have left, and not for what they are taken of: of linears, and of the products that these become. */
const sums = once(() => rulesIn('sums.rules'));
const late = once(() => rulesIn('products.rules'));

const early = once(() => allRules().filter(({ name }) => ![...sums(), ...late()].some((rule) => rule.name === name)));

/** What merges linears joins weights by `concat`: for kernels to bind the result, packs are to be made at load. */
export const recognise = applying(early);
export const joinLinears = applying(sums);
export const joinProducts = applying(late);
export const recogniseAttention = applying(once(() => rulesIn('attention.rules')));

/**
 * Rules in all graphs of a model; again, with less joined, while these cannot have their packs together. It ends: each round but the
 * last adds to `apart`, which holds lists of parameters of the model, none of them twice.
 */
export function recogniseAll(graphs: readonly Graph[], { device, remarksOn }: ModelContext): readonly Graph[] {
  for (let apart = NONE_APART; ;) {
    const told = graphs.map(() => new Remarks());
    const recognised = graphs.map((graph, i) =>
      withPacksBeside(recognise(graph, { device, apart, remarks: told[i] }), apart),
    );
    const conflicts = packConflicts(recognised, apart);
    if (conflicts.size === apart.size) {
      graphs.forEach((graph, i) => remarksOn?.(graph).list.push(...told[i].list));
      return recognised;
    }
    apart = conflicts;
  }
}
